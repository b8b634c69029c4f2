"""The first gate: is this message from an enrolled source, of the right form, and may it say this?

Takes untrusted bytes, returns parsed events and undecoded seals, or raises RefusedError. Touches no disk.
"""

import os

from chain.event import BLIND_BYTES, Event, Message
from crypto.errors import FormatError
from gateway.ingest.inbound import Channel, Inbound, Verdict
from gateway.pipeline.errors import RefusedError
from gateway.pipeline.sources import EnrolledSource, SourceBook
from gateway.preprocess import kinds
from gateway.preprocess.errors import UnknownKindError
from gateway.preprocess.kind import Kind


class PlainNumbers:
    """Numbers for plain payloads, which bring none: the gateway's own boot, and a count for each source.

    A redelivery is logged again: a payload without a number cannot be told from an equal one that never
    arrived, and losing one is worse than having it twice; only numbered events are exactly once. What is not
    stored gives its number back, so that a hole always means a record that is gone.
    """

    def __init__(self, boot: int) -> None:
        self._boot = boot
        self._next: dict[str, int] = {}

    def take(self, source: str) -> tuple[int, int]:
        seq = self._next.get(source, 0)
        self._next[source] = seq + 1
        return self._boot, seq

    def give_back(self, source: str, count: int = 1) -> None:
        """The last `count` numbers were not used."""
        self._next[source] -= count


def admit(inbound: Inbound, book: SourceBook) -> EnrolledSource:
    """The source, if it may send at all and by this channel.

    Raises:
        RefusedError: with the reason and the verdict for the sender.
    """
    # 1. Only enrolled sources.
    source = book.get(inbound.source)
    if source is None:
        raise RefusedError(f"{inbound.source!r} is not enrolled here", Verdict.NOT_AUTHORIZED)
    if source.revoked:
        raise RefusedError(f"the key of {source.name} is revoked; enrol the device anew", Verdict.NOT_AUTHORIZED)
    # 2. A source with a key may not fall back to unsigned payloads, and one without has no events to sign.
    if (inbound.channel is Channel.PLAIN) is not source.plain:
        raise RefusedError(_wrong_channel(source), Verdict.NOT_AUTHORIZED)
    # 3. Where a session is asked for, the same words outside of one are anybody's.
    if source.session_required and not inbound.session:
        reason = f"{source.name} must send in a session; switch sessions on at the device, or enrol it anew"
        raise RefusedError(reason, Verdict.NOT_AUTHORIZED)
    return source


def open_message(
    came: Inbound, payload: bytes, received_us: int, source: EnrolledSource, numbers: PlainNumbers
) -> Message:
    """One message of an admitted source: the raw bytes of its events, and its seals; RefusedError says why not."""
    if came.channel is Channel.PLAIN:
        return Message((_wrap(came.kind, payload, received_us, source, numbers),), ())
    try:
        return Message.decode(payload)
    except FormatError as e:
        raise RefusedError(str(e)) from e


def open_event(raw: bytes, source: EnrolledSource) -> tuple[Event, Kind]:
    """Parse one event and check that this source may report it; RefusedError says why not."""
    try:
        event = Event.decode(raw)
        kind = kinds.by_code(event.kind)
    except (FormatError, UnknownKindError) as e:
        raise RefusedError(str(e)) from e
    if event.source != source.name:
        raise RefusedError(f"{source.name} sent an event in the name of {event.source}", Verdict.NOT_AUTHORIZED)
    if kind.name not in source.kinds:
        raise RefusedError(f"{source.name} may not report events of kind {kind.name}", Verdict.NOT_AUTHORIZED)
    if event.schema != kind.version:
        raise RefusedError(f"{kind.name} schema version {event.schema} is not known; expected {kind.version}")
    return event, kind


def _wrap(name: str, payload: bytes, received_us: int, source: EnrolledSource, numbers: PlainNumbers) -> bytes:
    """Put a plain payload into an envelope of the gateway's own making."""
    try:
        kind = kinds.by_name(name)
    except UnknownKindError as e:
        raise RefusedError(str(e)) from e
    boot, seq = numbers.take(source.name)
    blind = os.urandom(BLIND_BYTES)
    return Event(source.name, boot, seq, kind.code, kind.version, received_us, blind, payload).encode()


def _wrong_channel(source: EnrolledSource) -> str:
    if source.plain:
        return f"{source.name} is enrolled without a key; publish bare JSON on its plain topic"
    return f"{source.name} is enrolled with a key; bare payloads without numbers and seals are refused"
