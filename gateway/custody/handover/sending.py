"""Sends what is handed over, and what partners are to be told, into the outbox.

A partner that cannot be sent to now, since its token is not there or its queue is full, holds up no other.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from chain.errors import LedgerError, LogError, StoreError
from gateway.custody.errors import CustodyError, PartnerError, PartnerTokenError
from gateway.custody.handover import format as form
from gateway.custody.handover.book import Book, Handover
from gateway.custody.handover.building import Builder
from gateway.custody.handover.format import Heading, Notice
from gateway.custody.partners import Partner, Partners
from gateway.custody.schema import HandoverState
from gateway.custody.units import Units
from gateway.delivery.outbox import Outbox
from gateway.delivery.target import Bounds, Target
from gateway.finishing import finished
from gateway.supply.ground import Ground
from gateway.supply.proving import Prover

PATH = "/v1/handovers"


class Sending:
    """Runs on the event loop. `alert(kind, organisation, text)` tells people."""

    def __init__(
        self, ground: Ground, units: Units, book: Book, builder: Builder, partners: Partners, outbox: Outbox, *,
        alert: Callable[[str, str, str], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._ground, self._units, self._book, self._alert = ground, units, book, alert
        self.builder, self._partners, self._outbox = builder, partners, outbox
        self.prover = Prover(ground)

    async def turn(self, held: list[Exception]) -> None:
        """Send what can be sent now, each partner's in order; why the rest cannot goes on `held`.

        Raises:
            LedgerError, LogError, StoreError: nobody can be sent anything.
        """
        failed = dict[str, Exception]()
        await self._to_each(await finished(self._book.with_any, HandoverState.BUILDING), self._handovers, failed)
        await self._to_each(await finished(self._book.to_tell), self._notices, failed)
        held += failed.values()

    async def _to_each(
        self, organisations: Iterable[str], work: Callable[[str], Awaitable[None]], failed: dict[str, Exception]
    ) -> None:
        for organisation in organisations:
            if organisation in failed:
                continue
            try:
                await work(organisation)
            except (LedgerError, LogError, StoreError):
                raise
            except Exception as e:  # outermost boundary of one partner: it must hold up no other
                failed[organisation] = e

    async def _handovers(self, organisation: str) -> None:
        for handover in await finished(self._book.in_state, HandoverState.BUILDING, organisation):
            await self._send(handover)

    async def _notices(self, organisation: str) -> None:
        for number, about, kind, body in await finished(self._book.said, organisation):
            await self._send_notice(number, organisation, about, kind, body)

    async def _send(self, handover: Handover) -> None:
        try:
            target = self._target(self._partners.of(handover.organisation))
            anchored = await self._anchored(handover)
            parts = self.builder.parts(handover, anchored)
            while (part := await finished(next, parts, None)) is not None:
                await self._post(target, form.encode_part(part), f"{handover.id.hex()}.{part.number}")
                number = part.number
            await finished(self._book.change, handover.id, HandoverState.SENT, parts=number + 1)
        except PartnerTokenError:
            raise  # made once the token is there
        except (PartnerError, CustodyError) as e:
            await finished(self._book.change, handover.id, HandoverState.REFUSED, reason=str(e))
            await self._alert("hand-over", handover.organisation, f"a hand-over cannot be made: {e}")

    async def _anchored(self, handover: Handover) -> int:
        """The size of the checkpoint to prove its events in: the same each time, so that its parts are the same."""
        if handover.anchored is not None:
            return handover.anchored
        anchored = await self.prover.anchored_above(handover.leaf or 0)
        await finished(self._book.prove_in, handover.id, anchored)
        return anchored

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
        anchored = await self.prover.anchored_above(leaf)
        event = await finished(self.builder.one_event, leaf, anchored)
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
