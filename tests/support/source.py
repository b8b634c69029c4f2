"""A source with a real key: numbers, blinds, seals and chains its events as docs/formats/device.md says."""

import json
import os
from dataclasses import dataclass, field

from chain.event import BLIND_BYTES, Event, Message, SignedSeal, content_hash
from chain.seal import FIRST_PREVIOUS, Seal, seal_hash, sign_seal
from crypto.keys import Algorithm, PrivateKey
from crypto.merkle import root_of

START_US = 1_795_413_600_000_000  # 2026-11-23T06:00:00Z
READING, PRODUCTION, INFERENCE = 1, 2, 3


@dataclass
class Source:
    """What is made but never sent is a gap."""

    name: str
    key: PrivateKey = field(default_factory=lambda: PrivateKey.generate(Algorithm.ED25519))
    boot: int = 1
    seq: int = 0
    sealed: int = 0
    previous: bytes = FIRST_PREVIOUS
    events: dict[int, bytes] = field(default_factory=dict)  # of this boot, by seq

    def event(self, payload: object = None, *, kind: int = READING, sensed_us: int = START_US) -> bytes:
        """The next event. `payload`: JSON value, a number in °C, or exact bytes."""
        blind = os.urandom(BLIND_BYTES)
        raw = Event(self.name, self.boot, self.seq, kind, 1, sensed_us, blind, payload_bytes(payload)).encode()
        self.events[self.seq] = raw
        self.seq += 1
        return raw

    def batch(self, count: int, value: float = 5.0) -> list[bytes]:
        return [self.event(value, sensed_us=START_US + i) for i in range(count)]

    def draft(self, *, first: int | None = None, count: int | None = None, signed_us: int = START_US) -> Seal:
        """The seal over everything since the last one, or over a stretch; nothing is remembered of it."""
        start = self.sealed if first is None else first
        size = self.seq - start if count is None else count
        root = root_of([content_hash(self.events[seq]) for seq in range(start, start + size) if seq in self.events])
        return Seal(self.name, self.boot, start, size, root, self.previous, signed_us, self.key.public.kid)

    def seal(self, *, signed_us: int = START_US) -> SignedSeal:
        """Seal everything since the last seal."""
        signed = sign_seal(self.draft(signed_us=signed_us), self.key)
        self.sealed, self.previous = self.seq, seal_hash(signed.seal)
        return signed

    def restart(self) -> None:
        self.boot, self.seq, self.sealed, self.events = self.boot + 1, 0, 0, {}


def payload_bytes(payload: object) -> bytes:
    if isinstance(payload, bytes):
        return payload
    if payload is None or isinstance(payload, int | float):
        payload = [{"n": "urn:dev:ops:cold-1:temperature", "u": "Cel", "v": 5.0 if payload is None else payload}]
    return json.dumps(payload, separators=(",", ":")).encode()


def message(events: list[bytes] | None = None, *seals: SignedSeal) -> bytes:
    return Message(tuple(events or ()), seals).encode()
