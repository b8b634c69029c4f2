"""Devices whose messages are made before anything is measured: real keys, numbers, seals, and exact sizes."""

import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import httpx

from bench.load import Lane
from bench.packets import connect, publish, subscribe
from chain.event import BLIND_BYTES, Event, Message, SignedSeal, content_hash
from chain.seal import FIRST_PREVIOUS, Seal, seal_hash, sign_seal
from crypto.keys import Algorithm, PrivateKey
from crypto.merkle import root_of
from gateway.device.enrolment import enrolment_request

SEALED = 256  # events under one seal
PAYLOAD = 300  # bytes of an event's payload
TIMEOUT_S = 60.0
_FORM = '[{"bn":"%s:","bt":%d.%02d,"n":"temperature","u":"Cel","v":%d}]'
_BASE_S = int(time.time())
_SERIES = "urn:dev:ops:32473-".ljust(PAYLOAD - len(_FORM % ("", _BASE_S, 0, 10)), "x")


def payload_of(seq: int) -> bytes:
    """One SenML reading of exactly 300 bytes, most of them its long name."""
    return (_FORM % (_SERIES, _BASE_S, seq % 100, 10 + seq % 20)).encode()


def random_payload(seq: int) -> bytes:
    """One SenML text of exactly 300 bytes, most of them random: nothing of it stands in another event."""
    start, end = f'[{{"bn":"urn:dev:ops:32473-","bt":{_BASE_S + seq},"n":"label","vs":"', '"}]'
    left = PAYLOAD - len(start) - len(end)
    return f"{start}{secrets.token_urlsafe(left)[:left]}{end}".encode()


@dataclass
class Device:
    """An enrolled source. What is made must be sent: the numbers go on."""

    name: str
    key: PrivateKey
    password: str
    boot: int = 1
    seq: int = 0
    previous: bytes = FIRST_PREVIOUS
    kind: int = 1
    payload: Callable[[int], bytes] = payload_of
    _unsealed: list[bytes] = field(default_factory=list)

    def messages(
        self, count: int, each: int, sealed: int = SEALED, payload: Callable[[int], bytes] | None = None
    ) -> Iterator[bytes]:
        """`count` events, `each` a message. Behind every `sealed`-th, and behind the last one, comes their seal."""
        waiting: list[bytes] = []
        for left in range(count - 1, -1, -1):
            waiting.append(self._event((payload or self.payload)(self.seq)))
            seals = (self._seal(),) if len(self._unsealed) == sealed or not left else ()
            if len(waiting) == each or seals:
                yield Message(tuple(waiting), seals).encode()
                waiting = []

    def lane(self, messages: list[bytes], *, receipts: bool = True) -> Lane:
        """A connection that sends these and, where wanted, takes receipts."""
        topic, hello = f"st/1/{self.name}/events".encode(), connect(self.name, self.name, self.password)
        hello += subscribe(f"st/1/{self.name}/receipts") if receipts else b""
        return Lane(hello, 1 + receipts, [publish(topic, n, m) for n, m in enumerate(messages)])

    def _event(self, payload: bytes) -> bytes:
        now, blind = time.time_ns() // 1000, os.urandom(BLIND_BYTES)
        raw = Event(self.name, self.boot, self.seq, self.kind, 1, now, blind, payload).encode()
        self.seq += 1
        self._unsealed.append(content_hash(raw))
        return raw

    def _seal(self) -> SignedSeal:
        count, root = len(self._unsealed), root_of(self._unsealed)
        now, kid = time.time_ns() // 1000, self.key.public.kid
        signed = sign_seal(Seal(self.name, self.boot, self.seq - count, count, root, self.previous, now, kid), self.key)
        self.previous = seal_hash(signed.seal)
        self._unsealed.clear()
        return signed


def enrol(url: str, codes: Sequence[str], origin: str) -> list[Device]:
    """Enrol new devices over REST with their one-time codes."""
    with httpx.Client(base_url=url, timeout=TIMEOUT_S) as client:
        return [_enrol(client, code, origin) for code in codes]


def _enrol(client: httpx.Client, code: str, origin: str) -> Device:
    key = PrivateKey.generate(Algorithm.ED25519)
    source = client.post("/v1/enrol/offer", json={"code": code}).raise_for_status().json()["source"]
    answer = client.post("/v1/enrol", json=enrolment_request(code, source, origin, key)).raise_for_status()
    return Device(source, key, answer.json()["password"])
