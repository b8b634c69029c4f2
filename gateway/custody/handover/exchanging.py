"""Hand-overs at work: what was shipped is sent, what came is checked and taken, and each side tells the other.

Everything that goes out passes through the outbox, so it arrives after days of outage, in order. What comes is answered
once it is on disk; it is checked against the ledger afterwards, by one hand-over at a time.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from hashlib import sha256
from typing import Any

from chain.errors import LedgerError, LogError, StoreError
from chain.event import Event
from chaincode.errors import ContractError
from crypto import cbor, labels
from crypto.errors import SealtrailError
from gateway.custody.calls import units_of
from gateway.custody.database import Store
from gateway.custody.errors import CustodyError, HandoverError
from gateway.custody.handover import format as form
from gateway.custody.handover.book import AT_ONCE, Book, Handover
from gateway.custody.handover.building import Builder
from gateway.custody.handover.checking import Checking, Senders
from gateway.custody.handover.entering import Entering
from gateway.custody.handover.format import Message, Notice, Part, SharedEvent
from gateway.custody.handover.sending import Sending
from gateway.custody.handover.taking import Duplicate, Taking
from gateway.custody.partners import Partners
from gateway.custody.schema import HandoverState, TaskState, UnitState
from gateway.custody.tasks import Task, now_us
from gateway.custody.transitions import RECEIVE, RECEIVING, SHIP
from gateway.custody.units import Units
from gateway.delivery.outbox import Outbox
from gateway.epcis.event import read_event
from gateway.finishing import finished
from gateway.supply.ground import Ground
from gateway.supply.ourselves import OwnOrganisation
from gateway.turning import Turning

log = logging.getLogger(__name__)
BEHIND_S = 120.0  # a peer of a ledger elsewhere may not know yet what the sender was told
DAY_US = 86_400_000_000
COMING_US = 7 * DAY_US  # that a hand-over may wait for its next part
Hear = Callable[[str, Notice], Awaitable[None]]


class BehindError(LedgerError):
    """Our peer of the ledger may not have yet what the sender was told."""


class Handovers(Turning):
    """Runs on the event loop. `alert(kind, organisation, text)` tells people; `heard[kind]` takes notices."""

    what = "hand-overs"

    def __init__(
        self, ground: Ground, store: Store, units: Units, book: Book, builder: Builder, taking: Taking,
        entering: Entering, partners: Partners, outbox: Outbox, *, alert: Callable[[str, str, str], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._ground, self._store, self._units, self._book = ground, store, units, book
        self._builder, self._taking, self._entering = builder, taking, entering
        self._partners, self._alert = partners, alert
        self._senders = Senders(ground.ledger)
        self.sending = Sending(ground, units, book, builder, partners, outbox, alert=alert)
        super().__init__()
        self._enter = asyncio.Lock()
        self.organisation = OwnOrganisation(ground.ledger, ground.folder.origin)
        self._wait_us = int(ground.config.custody.product_wait_days * 86_400e6)
        self.heard: dict[str, Hear] = {
            "taken": self._was_taken, "rejected": self._was_rejected, "received": self._was_received,
        }  # fmt: skip
        self.overdue: Callable[[Handover], None] = lambda handover: None
        self.taken: Callable[[], Awaitable[None]] = _nobody
        self.complete: Callable[[bytes], None] = lambda handover: None  # all its goods were received
        self.doubled: Callable[[str, str, str], None] = lambda pack, unit, sender: None

    # -- in the transactions of others

    def ended(self, task: Task) -> None:
        """A transition was told: what was shipped is handed over, and of what was received the sender hears."""
        if task.state is not TaskState.DONE:
            return
        if task.name == SHIP:
            numbers, organisation = task.detail
            uris = [self._units.numbered(number).uri for number in numbers]
            # With a secret in it: nobody else can take the id before this comes.
            name = cbor.encode([self._ground.folder.origin, task.leaf, *uris, self._units.numbered(numbers[0]).secret])
            self._book.begin(sha256(labels.HANDOVER + name).digest(), organisation, task.leaf, uris)
        elif task.name == RECEIVE and task.detail[2] is not None:
            self._note_received(task)

    def _note_received(self, task: Task) -> None:
        for number in units_of([task]):
            unit = self._units.numbered(number)
            for handover in self._book.of_unit(unit.uri, unit.origin):
                if handover.state is HandoverState.KEPT and not any(
                    self._units.of(uri).state == UnitState.COMING for uri in handover.units
                ):
                    self._book.change(handover.id, HandoverState.RECEIVED)
                    self.complete(handover.id)
                self.say(handover.organisation, handover.id, "received", [[unit.uri], task.leaf])

    def say(self, organisation: str, handover: bytes, kind: str, body: Any) -> None:
        """Tell a partner something, durably, in the transaction that is open."""
        self._book.put_said(organisation, handover, kind, cbor.encode(body))

    # -- the loop

    async def turn(self) -> None:
        """Send what is to be sent, take what came. What one company or one hand-over holds up holds up no other."""
        held = list[Exception]()
        try:
            await self.sending.turn(held)
        except LedgerError as e:
            held.append(e)
        for organisation in await finished(self._book.with_any, HandoverState.CHECKING):
            await self._take_of(organisation, held)
        for handover in await finished(self._book.overdue, now_us()):
            await finished(self._late, handover)
        for handover in await finished(self._book.stale, now_us() - COMING_US):
            await self._reject(handover, f"parts of it did not come within {COMING_US // DAY_US} days")
        if held:
            raise held[0]

    async def _take_of(self, organisation: str, held: list[Exception]) -> None:
        waiting = await finished(self._book.in_state, HandoverState.CHECKING, organisation)
        for handover in waiting:
            try:
                await self._take(handover)
            except (BehindError, ContractError) as e:  # the others' are looked at all the same
                held.append(e)
        if len(waiting) == AT_ONCE and not held:
            self.wake()

    def _late(self, handover: Handover) -> None:
        with self._store.transaction():
            self.overdue(handover)
            self._book.change(handover.id, HandoverState.KEPT, until_us=None)

    # -- to us

    async def receive(self, body: bytes, organisation: str) -> None:
        """A message of the company whose token it came with; durable when this returns.

        Raises:
            FormatError: it is no message. HandoverError: it is not for us, or not signed by that company.
            PartnerError: the company is none of [[partners]].
        """
        message = await asyncio.to_thread(form.open_message, body)
        self._partners.of(organisation)
        heading = message.content.heading
        if heading.recipient != await self.organisation():
            raise HandoverError(
                f"the message is for {heading.recipient[:80]}, and this gateway is {self.organisation.name}'s"
            )
        await self._senders.require(message, organisation)
        if isinstance(message.content, Part):
            if await finished(self._put, message, message.content, organisation):
                self.wake()
            return
        hear = self.heard.get(message.content.kind)
        if hear is None:
            raise HandoverError(f"a notice of the kind {message.content.kind[:40]!r} is not known here")
        await hear(organisation, message.content)

    def _put(self, message: Message, part: Part, organisation: str) -> bool:
        known = self._book.coming(part.heading.handover, organisation)
        if known.state is not HandoverState.COMING:
            return False  # it is here, or was rejected, and comes again because an answer was lost
        return self._book.put_part(known, part.number, message.signed, last=part.last)

    async def _take(self, handover: Handover) -> None:
        """Check, keep, log; or reject, and tell the sender why."""
        try:
            await self._take_in(handover)
        except (HandoverError, CustodyError) as e:
            if self._may_be_behind(handover):
                raise BehindError(f"a hand-over does not fit the ledger yet: {e}") from e
            await self._reject(handover, str(e))
        except (LedgerError, ContractError, LogError, StoreError, sqlite3.Error, OSError):
            raise  # nothing about this one; later it may be possible
        except Exception as e:  # outermost boundary of one hand-over: it must hold up no other
            log.exception("a hand-over of %s cannot be taken", handover.organisation)
            await self._reject(handover, f"it cannot be taken: {e}" if isinstance(e, SealtrailError) else repr(e))
        else:
            await self.taken()

    async def _take_in(self, handover: Handover) -> None:
        organisation, parts = handover.organisation, partial(self._book.parts, handover)
        checking = Checking(self._ground.ledger, await self.organisation(), organisation)
        outline = await checking.check(parts())
        duplicates = await finished(self._taking.keep, organisation, outline, checking, parts)
        async with self._enter:
            await self._entering.log(handover, parts())
        await finished(self._kept, handover, outline.shipped, duplicates)

    def _may_be_behind(self, handover: Handover) -> bool:
        young = now_us() - handover.changed_us < BEHIND_S * 1e6
        return self._ground.config.ledger == "fabric" and young

    def _kept(self, handover: Handover, shipped: list[str], duplicates: list[Duplicate]) -> None:
        with self._store.transaction():
            for duplicate in duplicates:
                self.doubled(*duplicate)
            self._book.keep(handover.id, shipped, now_us() + self._wait_us)
            self.say(handover.organisation, handover.id, "taken", None)

    async def _reject(self, handover: Handover, reason: str) -> None:
        def note() -> None:
            with self._store.transaction():
                self._book.reject(handover, reason)
                self.say(handover.organisation, handover.id, "rejected", reason[:1000])

        await finished(note)
        await self._alert("hand-over", handover.organisation, f"a hand-over is rejected: {reason}")

    # -- what the recipient says

    async def _was_taken(self, organisation: str, notice: Notice) -> None:
        await finished(self._answered, organisation, notice, HandoverState.TAKEN, "")

    async def _was_rejected(self, organisation: str, notice: Notice) -> None:
        reason = str(notice.body)[:1000]
        if await finished(self._answered, organisation, notice, HandoverState.REFUSED, reason):
            await self._alert("hand-over", organisation, f"{organisation} rejects a hand-over: {reason}")

    def _answered(self, organisation: str, notice: Notice, state: HandoverState, reason: str) -> bool:
        found = self._book.get(notice.heading.handover)
        if found is None or found.incoming or found.organisation != organisation:
            raise HandoverError("no hand-over of this id went to you")
        if found.state in (HandoverState.SENT, HandoverState.BUILDING):
            self._book.change(found.id, state, reason=reason)
            return True
        return False

    async def _was_received(self, organisation: str, notice: Notice) -> None:
        """The recipient has the goods; its receiving event, if it comes along, is logged as its own."""
        body = notice.body
        if type(body) is not list or len(body) != 2 or type(body[0]) is not list:
            raise HandoverError("a notice of goods received is a list of units and event")
        found = await finished(self._book.get, notice.heading.handover)
        if found is None or found.incoming or found.organisation != organisation:
            raise HandoverError("no hand-over of this id went to you")
        if not body[0] or any(uri not in found.units for uri in body[0]):
            raise HandoverError("a notice of goods received names units that were shipped with its hand-over")
        if body[1] is not None:
            event = await self._receiving(notice, found)
            async with self._enter:
                await self._entering.log_one(found, event)
        await finished(self._book.change, found.id, HandoverState.ARRIVED)

    async def _receiving(self, notice: Notice, handover: Handover) -> SharedEvent:
        """The event in a notice: one that the sender's own gateway logged, that says what the notice says."""
        form.check_item(notice.body[1])
        if notice.body[1][0] != form.EVENT:
            raise HandoverError("a notice of goods received has an event, or null")
        event = SharedEvent.of(notice.body[1])
        await Checking(self._ground.ledger, await self.organisation(), handover.organisation).check_one(event)
        read = read_event(Event.decode(event.event).payload)
        about = await finished(self._builder.is_about, read, notice.body[0])
        if event.origin != notice.heading.sender or read.biz_step not in RECEIVING or not about:
            raise HandoverError(
                "the event in a notice of goods received is one of the recipient's own log that receives what is named"
            )
        return event


async def _nobody() -> None:
    """Nobody hears of it."""
