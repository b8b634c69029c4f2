"""Compares a hand-over with the ledger, before anything of it is believed. Steps:

 1. Every part is whole, in order, of one hand-over, and its sender's gateway signed it (`Senders`, when it came).
 2. Each unit that was shipped is on its way to us from the sender's company, or with us already: by its id, so the
    secret is right.
 3. Each unit in it is there, and what is said to be in it makes the root, the number and the lots that the ledger has.
 4. Each lot is there, and the packs' places, or all its ids, lead to the root that the ledger has.
 5. Each event is the one that its record names, is a good EPCIS event, and the record stands in a log at a size that
    the ledger has anchored.

HandoverError says which of these failed, with what was expected and what came.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from chain.event import Event, content_hash
from chain.ledger.interface import Ledger
from chain.record import Record
from chaincode.errors import Code, ContractError
from chaincode.identity_records import Identity
from chaincode.log_records import AnchoredCheckpoint
from chaincode.lots.items import Position
from chaincode.lots.records import LotRecord
from chaincode.lots.unit_records import UnitRecord, UnitState
from crypto import bulk
from crypto.errors import FormatError, ProofError, SealtrailError
from crypto.merkle import EMPTY_ROOT, HASH_BYTES, leaf_hash, verify_inclusion
from crypto.units import unit_id
from gateway.custody.errors import HandoverError
from gateway.custody.handover import format as form
from gateway.custody.handover.format import Message, SharedEvent
from gateway.custody.handover.outline import Contents, Outline
from gateway.custody.names import PRODUCT
from gateway.epcis.errors import EpcisError
from gateway.epcis.event import open_event
from gateway.events.follower import EPCIS_KIND
from gateway.supply.signers import SignerError, require_signed

MAX_EVENTS = 200_000
_AT_ONCE = 64
_IN_PASSING = 256  # ids whose root is computed on the loop


class Senders:
    """Who may have signed: the gateways of a company, by the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def require(self, message: Message, organisation: str) -> None:
        """Step 1 for one message. HandoverError unless a gateway of this organisation signed it."""
        name = message.content.heading.sender
        try:
            identity = Identity.decode(await self._ledger.evaluate("identities.get", name.encode()))
        except (ContractError, UnicodeEncodeError) as e:
            raise HandoverError(f"the ledger knows no gateway {name[:80]!r}: {e}") from e
        try:
            require_signed(identity, organisation, name, message)
        except SignerError as e:
            raise HandoverError(str(e)) from e


class Checking:
    """Steps 2 to 5 for one hand-over."""

    def __init__(self, ledger: Ledger, organisation: str, sender: str) -> None:
        """We are `organisation`; `sender` is the organisation whose gateway signed."""
        self._ledger, self._us, self._sender = ledger, organisation, sender
        self._roots: dict[tuple[str, int], bytes] = {}
        self._lots: dict[str, LotRecord] = {}
        self.outline, self._events_so_far = Outline(), 0

    async def check(self, parts: Iterable[bytes]) -> Outline:
        """Everything; one part is in memory at a time, and of what is in units their ids."""
        outline, rest = self.outline, form.parts_in(parts)
        while (part := await asyncio.to_thread(next, rest, None)) is not None:
            await asyncio.to_thread(outline.read, part)
            for item in part.items:
                if item[0] == form.PLACES:
                    await self._places(item)
            await self._events([SharedEvent.of(item) for item in part.items if item[0] == form.EVENT])
        await asyncio.to_thread(outline.require_whole)
        await self._each(self._lot, outline.lots)
        await self._each(self._shipped, outline.shipped)
        await self._each(self._unit, outline.logistic)
        for uri, count in outline.trees.items():
            await self._whole_tree(uri, count)
        outline.coming = set(outline.with_contents(outline.coming))
        return outline

    async def _each(self, check: Callable[[str], Awaitable[object]], uris: Sequence[str]) -> None:
        for start in range(0, len(uris), _AT_ONCE):
            results = await asyncio.gather(*map(check, uris[start : start + _AT_ONCE]), return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result

    # -- steps 2 and 3

    async def _shipped(self, uri: str) -> None:
        record = await self._record(uri)
        coming = record.state is UnitState.IN_TRANSIT and record.recipient == self._us
        if coming and record.custodian == self._sender:
            self.outline.coming.add(uri)
            return
        if record.custodian == self._us and (record.supplier == self._sender or record.state is UnitState.OPENED):
            return
        raise HandoverError(
            f"{uri[:120]} is not on its way from {self._sender} to {self._us}: by the ledger it is {record.state} with"
            f" {record.custodian}" + (f", for {record.recipient}" if record.recipient else "")
        )

    async def _unit(self, uri: str) -> None:
        record, said = await self._record(uri), self.outline.contents.get(uri, Contents())
        if said.size > _IN_PASSING:
            root = await asyncio.to_thread(self._root_in, uri)
        else:
            root = self._root_in(uri)
        unlisted = record.root == EMPTY_ROOT and record.count == 0 and not said.children
        if not unlisted and (root, said.size) != (record.root, record.count):
            raise HandoverError(
                f"what is said to be in {uri[:120]} is not what the ledger has: {said.size} things with the root"
                f" {root.hex()[:16]}…, expected {record.count} with {record.root.hex()[:16]}…"
            )
        if said.children and (said.ids or said.amounts):
            raise HandoverError(f"{uri[:120]} has units in it, and beside them packs or amounts")
        if said.children:
            return
        counts: dict[bytes, int] = {}
        packs = {lot: len(ids) // HASH_BYTES for lot, ids in said.ids.items()}
        for lot, number in (*packs.items(), *said.amounts.items()):
            counts[self.outline.id_of(lot)] = counts.get(self.outline.id_of(lot), 0) + number
        if counts != {quantity.lot_id: quantity.count for quantity in record.contents}:
            raise HandoverError(f"the lots and amounts said to be in {uri[:120]} are not those that the ledger has")

    def _root_in(self, uri: str) -> bytes:
        ids = self.outline.ids_in(uri)
        return bulk.root(bulk.leaf_hashes(ids)) if ids else EMPTY_ROOT

    async def _record(self, uri: str) -> UnitRecord:
        try:
            return UnitRecord.decode(await self._ledger.evaluate("lots.unit", self.outline.id_of(uri)))
        except ContractError as e:
            if e.code is not Code.UNKNOWN_UNIT:
                raise
            raise HandoverError(f"the ledger has no unit that {uri[:120]} is under the secret that came with it") from e

    # -- step 4

    async def _lot(self, uri: str) -> LotRecord:
        if uri not in self._lots:
            try:
                record = LotRecord.decode(await self._ledger.evaluate("lots.get", self.outline.id_of(uri)))
            except ContractError as e:
                if e.code is not Code.UNKNOWN_LOT:
                    raise
                raise HandoverError(f"the ledger has no lot that {uri[:120]} is under the secret that came") from e
            self._lots[uri] = record
        return self._lots[uri]

    async def _whole_tree(self, uri: str, count: int) -> None:
        lot = await self._lot(uri)
        if count != lot.count:
            raise HandoverError(f"{count} ids of {uri[:120]} came, and the ledger has {lot.count}")

    async def _places(self, item: list[Any]) -> None:
        lot = await self._lot(item[1])
        _, secret = self.outline.units[item[1]]
        for name, index, proof in item[2]:
            one = unit_id(secret, PRODUCT + name)
            try:
                Position(index, tuple(proof)).require(one, lot.count, lot.root)
            except (ProofError, FormatError) as e:
                raise HandoverError(f"the pack {name[:80]} is not of {item[1][:120]} as the ledger has it: {e}") from e

    def root_of_lot(self, uri: str) -> tuple[int, bytes] | None:
        """Size and root that the ledger has for a lot whose whole tree comes; compared when it is built."""
        record = self._lots.get(uri)
        return (record.count, record.root) if record else None

    # -- step 5

    async def _events(self, events: Sequence[SharedEvent]) -> None:
        self._events_so_far += len(events)
        if self._events_so_far > MAX_EVENTS:
            raise HandoverError(f"a hand-over has at most {MAX_EVENTS:,} events")
        for event in events:
            await self._root(event.origin, event.size)
        await asyncio.to_thread(self._check_events, events)

    def _check_events(self, events: Sequence[SharedEvent]) -> None:
        for event in events:
            check_event(event, self._roots[event.origin, event.size])

    async def check_one(self, event: SharedEvent) -> None:
        """Step 5 for one event, of a notice."""
        check_event(event, await self._root(event.origin, event.size))

    async def _root(self, origin: str, size: int) -> bytes:
        if (origin, size) not in self._roots:
            try:
                answer = await self._ledger.evaluate("logs.checkpoint", origin.encode(), str(size).encode())
            except ContractError as e:
                raise HandoverError(f"no checkpoint of {origin[:80]} with {size} entries is anchored: {e}") from e
            self._roots[origin, size] = AnchoredCheckpoint.decode(answer).root
        return self._roots[origin, size]


def check_event(shared: SharedEvent, root: bytes) -> None:
    """That the event is the one that its record names, that the record is in the log, and that it is a good event."""
    place = f"event {shared.index} of {shared.origin[:80]}"
    try:
        record, event = Record.decode(shared.leaf), Event.decode(shared.event)
        if content_hash(shared.event) != record.content_hash:
            raise HandoverError(f"{place} is not what its record names: it was altered")
        if record.kind != EPCIS_KIND or (event.source, event.boot, event.seq) != record.event_id:
            raise HandoverError(f"{place} is no EPCIS event, or its record is another event's")
        verify_inclusion(leaf_hash(shared.leaf), shared.index, shared.size, shared.proof, root)
        open_event(event.payload)
    except ProofError as e:
        raise HandoverError(f"the record of {place} is not in the log that was anchored: {e}") from e
    except EpcisError as e:
        raise HandoverError(f"{place} is not as EPCIS demands: {e}") from e
    except HandoverError:
        raise
    except SealtrailError as e:
        raise HandoverError(f"{place} cannot be read: {e}") from e
