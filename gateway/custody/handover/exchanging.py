"""Hand-overs at work: what was shipped is sent, what came is checked and taken, and each side tells the other.

Everything that goes out passes through the outbox, so it arrives after days of outage, in order. What comes is answered
once it is on disk; it is checked against the ledger afterwards, by one hand-over at a time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from chain.errors import LedgerError
from crypto import cbor, labels
from gateway.custody.database import Store
from gateway.custody.errors import CustodyError, HandoverError, PartnerError, PartnerTokenError
from gateway.custody.handover import format as form
from gateway.custody.handover.book import Book, Handover
from gateway.custody.handover.building import Builder
from gateway.custody.handover.checking import Checking, Senders
from gateway.custody.handover.format import Heading, Message, Notice, Part, SharedEvent
from gateway.custody.handover.taking import Taking
from gateway.custody.partners import Partner, Partners
from gateway.custody.schema import HandoverState, TaskState, UnitState
from gateway.custody.tasks import Task, now_us
from gateway.custody.telling import units_of
from gateway.custody.transitions import RECEIVE, SHIP
from gateway.custody.units import Units
from gateway.delivery.outbox import Outbox
from gateway.delivery.target import Bounds, Target
from gateway.finishing import finished
from gateway.supply.ground import Ground
from gateway.supply.ourselves import OwnOrganisation
from gateway.supply.proving import Prover
from gateway.turning import Turning

log = logging.getLogger(__name__)
BEHIND_S = 120.0  # a peer of a ledger elsewhere may not know yet what the sender was told
PATH = "/v1/handovers"
MAX_SAID_BYTES = 128 * 1024
Hear = Callable[[str, Notice], Awaitable[None]]


class BehindError(LedgerError):
    """Our peer of the ledger may not have yet what the sender was told."""


class Handovers(Turning):
    """Runs on the event loop. `alert(kind, organisation, text)` tells people; `heard[kind]` takes notices."""

    what = "hand-overs"

    def __init__(
        self, ground: Ground, store: Store, units: Units, book: Book, builder: Builder, taking: Taking,
        partners: Partners, outbox: Outbox, *, alert: Callable[[str, str, str], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._ground, self._store, self._units, self._book = ground, store, units, book
        self._builder, self._taking, self._partners, self._outbox = builder, taking, partners, outbox
        self._alert = alert
        self._prover, self._senders = Prover(ground), Senders(ground.ledger)
        super().__init__()
        self._logging = asyncio.Lock()
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
            name = cbor.encode([self._ground.folder.origin, task.leaf, *uris])
            self._book.begin(sha256(labels.HANDOVER + name).digest(), organisation, task.leaf, uris)
        elif task.name == RECEIVE and task.detail[2] is not None:
            self._note_received(task)

    def _note_received(self, task: Task) -> None:
        for number in units_of([task]):
            unit = self._units.numbered(number)
            for handover in self._book.of_unit(unit.uri, unit.origin):
                left = [uri for uri in handover.units if self._units.of(uri).state == UnitState.COMING]
                if not left and handover.state is HandoverState.KEPT:
                    self._book.change(handover.id, HandoverState.RECEIVED)
                    self.complete(handover.id)
                self.say(handover.organisation, handover.id, "received", [[unit.uri], task.leaf])

    def say(self, organisation: str, handover: bytes, kind: str, body: Any) -> None:
        """Tell a partner something, durably, in the transaction that is open."""
        self._book.put_said(organisation, handover, kind, cbor.encode(body))

    # -- the loop

    async def turn(self) -> None:
        """Send what is to be sent, take what came."""
        without = dict[str, PartnerTokenError]()  # whom nothing can be sent now; the others get theirs
        for handover in await finished(self._book.in_state, HandoverState.BUILDING):
            try:
                await self._send(handover)
            except PartnerTokenError as e:
                without[handover.organisation] = e
        for number, organisation, about, kind, body in await finished(self._book.said):
            try:
                await self._send_notice(number, organisation, about, kind, body)
            except PartnerTokenError as e:
                without[organisation] = e
        behind: BehindError | None = None
        for handover in await finished(self._book.in_state, HandoverState.CHECKING):
            try:
                await self._take(handover)
            except BehindError as e:  # the others' are looked at all the same
                behind = e
        for handover in await finished(self._book.overdue, now_us()):
            await finished(self._late, handover)
        for error in (behind, *without.values()):
            if error:
                raise error

    def _late(self, handover: Handover) -> None:
        with self._store.transaction():
            self.overdue(handover)
            self._book.change(handover.id, HandoverState.KEPT, until_us=None)

    # -- from us

    async def _send(self, handover: Handover) -> None:
        try:
            target = self._target(self._partners.of(handover.organisation))
            anchored = await self._prover.anchored_above(handover.leaf or 0)
            parts = self._builder.parts(handover, anchored)
            while (part := await finished(next, parts, None)) is not None:
                await self._post(target, form.encode_part(part), f"{handover.id.hex()}.{part.number}")
                number = part.number
            await finished(self._book.change, handover.id, HandoverState.SENT, parts=number + 1)
        except PartnerTokenError:
            raise  # made once the token is there
        except (PartnerError, CustodyError) as e:
            await finished(self._book.change, handover.id, HandoverState.REFUSED, reason=str(e))
            await self._alert("hand-over", handover.organisation, f"a hand-over cannot be made: {e}")

    async def _send_notice(self, number: int, organisation: str, about: bytes, kind: str, body: Any) -> None:
        partner = self._partners.get(organisation)
        if partner is not None:
            if kind == "received":
                body = [body[0], await self._shared(organisation, body[1])]
            notice = Notice(Heading(self._ground.folder.origin, organisation, about), kind, body)
            await self._post(self._target(partner), form.encode_notice(notice), f"said.{number}")
        await finished(self._book.unsay, number)

    async def _shared(self, organisation: str, leaf: int) -> list[Any] | None:
        """The receiving event, where everything in it passed between the two companies."""
        if not await finished(self._all_from, organisation, leaf):
            return None
        anchored = await self._prover.anchored_above(leaf)
        event = await finished(self._builder.one_event, leaf, anchored)
        return event.items() if event else None

    def _all_from(self, organisation: str, leaf: int) -> bool:
        for task in self._book.receipts(leaf):
            number = task.detail[2]
            if number is None or self._units.numbered(number).origin != organisation:
                return False
        return True

    async def _post(self, target: Target, message: bytes, name: str) -> None:
        key = await finished(self._ground.folder.gateway_key)
        body = await finished(form.seal_message, message, key)
        await self._outbox.add(target, body, {"content-type": form.MEDIA_TYPE}, message=name)

    def _target(self, partner: Partner) -> Target:
        return Target(
            f"partner/{partner.organisation}", partner.url + PATH, headers=partner.headers, configured=True,
            tls_ca=str(partner.tls_ca or ""), bounds=Bounds(refuse=True),
        )  # fmt: skip

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
        if known.state not in (HandoverState.COMING, HandoverState.REJECTED):
            return False  # it is here, and comes again because an answer was lost
        if known.state is HandoverState.REJECTED:
            raise HandoverError(f"this hand-over was rejected: {known.reason}")
        return self._book.put_part(part.heading.handover, part.number, message.signed, last=part.last)

    async def _take(self, handover: Handover) -> None:
        """Check, keep, log; or reject, and tell the sender why."""
        checking = Checking(self._ground.ledger, await self.organisation(), handover.organisation)
        try:
            outline = await checking.check(self._book.parts(handover))
            keep = self._taking.keep
            await finished(keep, handover.organisation, outline, checking, self._book.parts(handover))
            async with self._logging:
                await self._taking.log(handover.organisation, self._book.parts(handover))
        except (HandoverError, CustodyError) as e:
            if self._may_be_behind(handover):
                raise BehindError(f"a hand-over does not fit the ledger yet: {e}") from e
            await self._reject(handover, str(e))
            return
        await finished(self._kept, handover, outline.shipped)
        await self.taken()

    def _may_be_behind(self, handover: Handover) -> bool:
        young = now_us() - handover.changed_us < BEHIND_S * 1e6
        return self._ground.config.ledger == "fabric" and young

    def _kept(self, handover: Handover, shipped: list[str]) -> None:
        with self._store.transaction():
            while self._taking.duplicates:
                self.doubled(*self._taking.duplicates.pop())
            until = now_us() + self._wait_us
            self._book.change(handover.id, HandoverState.KEPT, units=shipped, until_us=until)
            self._book.drop_parts(handover.id)
            self.say(handover.organisation, handover.id, "taken", None)

    async def _reject(self, handover: Handover, reason: str) -> None:
        def note() -> None:
            with self._store.transaction():
                self._book.change(handover.id, HandoverState.REJECTED, reason=reason)
                self._book.drop_parts(handover.id)
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
        if type(notice.body) is not list or len(notice.body) != 2:
            raise HandoverError("a notice of goods received is a list of units and event")
        found = await finished(self._book.get, notice.heading.handover)
        if found is None or found.incoming or found.organisation != organisation:
            raise HandoverError("no hand-over of this id went to you")
        if notice.body[1] is not None:
            form.check_item(notice.body[1])
            event = SharedEvent.of(notice.body[1])
            checking = Checking(self._ground.ledger, await self.organisation(), organisation)
            await checking.check_one(event)
            async with self._logging:
                await self._taking.log_one(organisation, event)
        await finished(self._book.change, found.id, HandoverState.ARRIVED)


async def _nobody() -> None:
    """Nobody hears of it."""
