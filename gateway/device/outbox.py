"""What to send next, what is on its way, and what an answer or a silence means for it. No network, no clock.

Trust boundary: PUBACK codes steer only when something is sent again. Nothing leaves the buffer because of
them, except what is refused for good, which is kept aside; acknowledgements are checked in storage.py.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from chain.acknowledgement import StoredRange
from chain.event import Message
from gateway.device.options import DeviceOptions
from gateway.device.storage import AFTER_ALL, BEFORE_ALL, Kept, KeptSeal, Number, Storage

PACKET_OVERHEAD: Final = 512  # topic, properties, and the message's own frame
ITEM_OVERHEAD: Final = 16  # CBOR heads of an event or of a seal with its signature
SEALS_PER_MESSAGE: Final = 64
MAX_RETRY_S: Final = 60.0
SPLIT_AFTER: Final = 2  # silences before the events of a message are sent singly
STUCK_AFTER: Final = 3  # silences, while the gateway answers to others, before a message frees its place
REFUSED: Final = frozenset({0x87, 0x99})  # not authorised, payload format invalid: final (MQTT 5.0 section 3.4.2.1)
FAILED: Final = 0x80  # this reason code and all above: not taken, for now


class Answer(Enum):
    """What a PUBACK says."""

    TAKEN = "taken"  # by the endpoint; the gateway's own acknowledgement is still to come
    LATER = "later"  # not now: back off
    REFUSED = "refused"  # not ever


@dataclass(slots=True)
class Parcel:
    """One message: the events not acknowledged yet, its seals, and how often it met with silence."""

    events: set[Number]
    seals: tuple[int, ...]
    attempts: int = 0
    first_sent: float = 0.0
    deadline: float = 0.0


class Outbox:
    """Decides for one connection at a time; `reset` forgets all that was on its way."""

    def __init__(self, storage: Storage, options: DeviceOptions, seal_bytes: int) -> None:
        """`seal_bytes`: the size of a seal with its signature, about."""
        self._storage, self._options, self._seal_bytes = storage, options, seal_bytes
        self._signs_each = options.seal_events == 1
        self._last_answer = float("-inf")
        self.reset(options.message_bytes + PACKET_OVERHEAD)

    def reset(self, packet_bytes: int) -> None:
        """A new connection whose endpoint takes packets of `packet_bytes`: everything waiting is sent again."""
        self._packet = packet_bytes - PACKET_OVERHEAD
        self._budget = min(self._options.message_bytes, self._packet)
        self._cursor: Number = BEFORE_ALL  # everything waiting up to here was sent on this connection
        self._flights: dict[int, Parcel] = {}
        self._retries: deque[Parcel] = deque()
        self._single_seals = 0  # so many seals go alone, because a message with them was refused

    def compose(self) -> tuple[Parcel, Message] | None:
        """The next message to publish, None when there is nothing or no place for it."""
        if sum(not self._is_stuck(parcel) for parcel in self._flights.values()) >= self._options.window:
            return None
        while self._retries:
            parcel = self._retries.popleft()
            if kept := self._storage.still_waiting(parcel.events):
                parcel.events = {event.number for event in kept}
                return parcel, Message(tuple(event.data for event in kept), ())
        return self._fresh()

    def _fresh(self) -> tuple[Parcel, Message] | None:
        seals_may_go = not any(parcel.seals for parcel in self._flights.values())
        if self._single_seals and seals_may_go:
            if alone := self._seals(1):
                return _packed([], alone)
            self._single_seals = 0
        seals_may_go = seals_may_go and not self._single_seals
        reserve = min(_size_of(self._seals(SEALS_PER_MESSAGE)), self._budget // 2) if seals_may_go else 0
        events = self._events(reserve, seals_may_go)
        if events:
            self._cursor = events[-1].number
        room = self._budget - sum(len(event.data) + ITEM_OVERHEAD for event in events)
        seals = _fitting(self._seals(SEALS_PER_MESSAGE), room) if seals_may_go else []
        return _packed(events, seals)

    def _events(self, reserve: int, seals_may_go: bool) -> list[Kept]:
        """Events not sent on this connection yet. Where every event is signed, each waits for its own seal."""
        before = self._storage.sealed_to() if self._signs_each else AFTER_ALL
        if self._signs_each and not seals_may_go:
            return []
        events: list[Kept] = []
        room = self._budget - reserve
        for event in self._storage.waiting(self._cursor, before, self._options.message_events):
            size = len(event.data) + ITEM_OVERHEAD
            if size > self._packet:  # it must not block what is behind it
                reason = f"larger than the endpoint's packets of {self._packet} bytes"
                self._storage.reject_event(event.number, reason)
                continue
            room -= size + (self._seal_bytes if self._signs_each else 0)
            if room < 0 and (events or reserve):
                break
            events.append(event)
        return events

    def _seals(self, limit: int) -> list[KeptSeal]:
        """Seals over events that were all sent: a seal never runs ahead of what it covers."""
        unsent = self._storage.waiting(self._cursor, AFTER_ALL, 1)
        return self._storage.waiting_seals(unsent[0].number if unsent else AFTER_ALL, limit)

    def sent(self, identifier: int, parcel: Parcel, now: float) -> None:
        """The message went out under this packet identifier."""
        parcel.first_sent = parcel.first_sent or now
        parcel.deadline = now + min(self._options.ack_timeout * 2.0**parcel.attempts, MAX_RETRY_S)
        self._flights[identifier] = parcel

    def answered(self, identifier: int, code: int) -> Answer:
        """PUBACK with this reason code. What is refused is split, and, once single, kept aside."""
        if code < FAILED:
            return Answer.TAKEN
        parcel = self._flights.pop(identifier, None)
        if code not in REFUSED:
            if parcel is not None:
                self._retry(parcel)
            return Answer.LATER
        if parcel is not None:
            self._refused(parcel, f"refused by the gateway with MQTT reason code 0x{code:02x}")
        return Answer.REFUSED

    def _refused(self, parcel: Parcel, reason: str) -> None:
        if len(parcel.events) + len(parcel.seals) > 1:
            self._split(parcel)
            self._single_seals = len(parcel.seals)
            return
        for number in parcel.events:
            self._storage.reject_event(number, reason)
        for seal_id in parcel.seals:
            self._storage.reject_seal(seal_id, reason)
            self._single_seals = max(0, self._single_seals - 1)

    def confirmed(self, ranges: Iterable[StoredRange], last_seal: int, now: float) -> None:
        """The gateway acknowledged these ranges, and the seals up to this id."""
        self._last_answer = now
        for parcel in self._flights.values():
            for stored in ranges:
                inside = range(stored.first, stored.first + stored.count)
                parcel.events -= {n for n in parcel.events if n[0] == stored.boot and n[1] in inside}
            left = tuple(seal_id for seal_id in parcel.seals if seal_id > last_seal)
            self._single_seals = max(0, self._single_seals - len(parcel.seals) + len(left))
            parcel.seals = left
        self._flights = {key: p for key, p in self._flights.items() if p.events or p.seals}

    def expire(self, now: float) -> None:
        """What met with silence until `now` is sent again, after a while singly."""
        for identifier in [key for key, parcel in self._flights.items() if parcel.deadline <= now]:
            parcel = self._flights.pop(identifier)
            parcel.attempts += 1
            if parcel.attempts >= SPLIT_AFTER and self._last_answer > parcel.first_sent:
                self._split(parcel)
            else:
                self._retry(parcel)

    def next_deadline(self) -> float | None:
        """When `expire` has something to do."""
        return min((parcel.deadline for parcel in self._flights.values()), default=None)

    def _is_stuck(self, parcel: Parcel) -> bool:
        return parcel.attempts >= STUCK_AFTER and self._last_answer > parcel.first_sent

    def _split(self, parcel: Parcel) -> None:
        for number in sorted(parcel.events):
            self._retry(Parcel({number}, (), parcel.attempts, parcel.first_sent))

    def _retry(self, parcel: Parcel) -> None:
        """Events only: its seals are still unacknowledged in the buffer and go with a later message."""
        if parcel.events:
            parcel.seals = ()
            self._retries.append(parcel)


def _packed(events: list[Kept], seals: list[KeptSeal]) -> tuple[Parcel, Message] | None:
    if not events and not seals:
        return None
    message = Message(tuple(event.data for event in events), tuple(seal.signed for seal in seals))
    return Parcel({event.number for event in events}, tuple(seal.id for seal in seals)), message


def _size_of(seals: list[KeptSeal]) -> int:
    return sum(seal.size + ITEM_OVERHEAD for seal in seals)


def _fitting(seals: list[KeptSeal], room: int) -> list[KeptSeal]:
    """The first of them, as many as fit."""
    fitting = []
    for seal in seals:
        room -= seal.size + ITEM_OVERHEAD
        if room < 0:
            break
        fitting.append(seal)
    return fitting
