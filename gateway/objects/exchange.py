"""Grants, receipts and revocations of what is kept here, on the ledger.

The contract decides. What it cannot see is checked here before: that the object is kept and logged, and that a
recipient's key is one of those that it is sealed to, by its header or by a grant file.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from chain.ledger.interface import Ledger
from chaincode.errors import Code, ContractError
from chaincode.exchange import To
from chaincode.exchange_queries import MAX_LISTED, Side
from chaincode.exchange_records import DeliveryRecord, DeliveryStatement, GrantRecord, ObjectRecord
from chaincode.log_records import AnchoredCheckpoint
from crypto import cbor
from crypto.envelope.grants import Grant
from gateway.objects.catalogue import Catalogue, StoredObject
from gateway.objects.errors import ObjectError
from gateway.objects.partners import Partners

MAX_ANSWER_BYTES = 2**20
ANCHORED_WITHIN_S = 20.0
Heard = Callable[[str, StoredObject], None]


@dataclass(frozen=True, slots=True)
class Granted:
    """One grant on the ledger, what its recipient signed, and its grant file where there is one and it is kept here."""

    record: GrantRecord
    deliveries: tuple[DeliveryRecord, ...]
    file: bytes | None


@dataclass(frozen=True, slots=True)
class PassedOn:
    """A holder's own word that it passes an object on: its handle, and its signature over
    chaincode.exchange.passing_on."""

    holder: str
    signature: bytes


class Exchange:
    """ContractError where the contract refuses, LedgerError where the ledger cannot be asked, ObjectError else."""

    def __init__(
        self, ledger: Ledger, origin: str, catalogue: Catalogue, partners: Partners, *,
        anchor: Callable[[], Awaitable[None]], heard: Heard,
    ) -> None:  # fmt: skip
        """`anchor` anchors what is logged now; `heard` is told of each new grant."""
        self._ledger, self._origin, self._catalogue, self._partners = ledger, origin, catalogue, partners
        self._anchor, self._heard = anchor, heard

    async def grant(self, object_id: bytes, handles: Sequence[str]) -> None:
        """Grant to recipients who are sealed to in the object's own header."""
        stored = await self._stored(object_id)
        wanted = []
        for handle in handles:
            current = (await self._partners.kem_keys(handle)).current
            if current is None or current.kid not in stored.kids:
                raise ObjectError(
                    f"the object is not sealed to the present key of {handle}: whoever holds it makes a grant file"
                    " (sealtrail grant), and gives that with this request"
                )
            wanted.append(To(handle, current.kid))
        await self._submit(stored, wanted)

    async def grant_by_file(self, object_id: bytes, handle: str, body: bytes, by: PassedOn | None) -> None:
        """Grant to a later recipient by a grant file, as this log's owner or in the name of a holder who signed."""
        # 1. The file is for this object and for the recipient's present key, as far as anyone without it can see.
        stored, file = await self._stored(object_id), Grant.decode(body)
        current = (await self._partners.kem_keys(handle)).current
        if (file.object_id, file.digest) != (object_id, stored.digest):
            raise ObjectError("the grant file is for another object, or for other bytes")
        if current is None or file.kid != current.kid:
            raise ObjectError(f"the grant file is not for the present KEM key of {handle}")
        # 2. A holder's word is one that the contract takes: nobody else fills the room for an object's grant files.
        wanted = To(handle, file.kid, file.grant_digest)
        word = (object_id, wanted.encode(), by.holder.encode(), by.signature) if by else ()
        if by:
            await self._ledger.evaluate("exchange.regrant", *word)
        # 3. It is kept before the ledger names it.
        await asyncio.to_thread(self._catalogue.add_grant, object_id, file.grant_digest, body)
        if by is None:
            await self._submit(stored, [wanted])
            return
        await self._ledger.submit("exchange.regrant", *word)
        self._heard(handle, stored)

    async def _submit(self, stored: StoredObject, wanted: Sequence[To]) -> None:
        size = await self._anchored_size(_leaf(stored))
        known = await self._known(stored.object_id)  # whoever logged it twice keeps to the first record
        await self._ledger.submit(
            "exchange.grant", stored.object_id, stored.digest, str(stored.size).encode(), self._origin.encode(),
            str(size).encode(), str(known.index if known else _leaf(stored)).encode(),
            *(to.encode() for to in wanted),
        )  # fmt: skip
        for to in wanted:
            self._heard(to.handle, stored)

    async def _anchored_size(self, leaf: int) -> int:
        """The ledger's head, once that covers the record."""
        try:
            async with asyncio.timeout(ANCHORED_WITHIN_S):
                while (size := await self._head()) <= leaf:
                    await self._anchor()
        except TimeoutError as e:
            raise ObjectError("the record that names the object is not anchored yet; grant it again in a while") from e
        return size

    async def _head(self) -> int:
        head = await self._ledger.evaluate("logs.head", self._origin.encode())
        return AnchoredCheckpoint.decode(head).size

    async def facts(self, object_id: bytes) -> ObjectRecord:
        """What the ledger says of an object; ContractError `unknown-object` where it was never granted."""
        return ObjectRecord.decode(await self._ledger.evaluate("exchange.get", object_id))

    async def _known(self, object_id: bytes) -> ObjectRecord | None:
        try:
            return await self.facts(object_id)
        except ContractError as e:
            if e.code is not Code.UNKNOWN_OBJECT:
                raise
            return None

    async def receive(self, statement: bytes, signature: bytes) -> DeliveryStatement:
        """Bring a recipient's signed receipt to the ledger."""
        said = DeliveryStatement.decode(statement)
        await self._ledger.submit("exchange.receive", statement, signature)
        return said

    async def revoke(self, object_id: bytes, handle: str, reason: str) -> None:
        await self._ledger.submit("exchange.revoke", object_id, handle.encode(), reason.encode("ascii", "replace"))

    async def granted(self, object_id: bytes, handle: str) -> Granted:
        """One recipient's grant; ContractError `not-granted` where there is none."""
        return await self._read(await self._ledger.evaluate("exchange.granted", object_id, handle.encode()))

    async def grants(self, object_id: bytes, after: str | None = None) -> list[Granted]:
        """A page of an object's grants, by recipient."""
        more = () if after is None else (after.encode(),)
        listed = cbor.decode(await self._ledger.evaluate("exchange.grants", object_id, *more), MAX_ANSWER_BYTES)
        return [await self._read(cbor.encode(items)) for items in listed]

    async def listed(self, handle: str, after: bytes | None = None) -> list[bytes]:
        """Ids of the objects that a recipient was ever granted, at most 256 behind `after`."""
        more = () if after is None else (after,)
        ids = await self._ledger.evaluate("exchange.list", str(Side.RECIPIENT).encode(), handle.encode(), *more)
        return list(cbor.decode(ids, 64 * MAX_LISTED))

    async def _read(self, encoded: bytes) -> Granted:
        record_bytes, said = cbor.decode(encoded, MAX_ANSWER_BYTES)
        record = GrantRecord.decode(record_bytes)
        file = None
        if record.grant_digest is not None:
            file = await asyncio.to_thread(self._catalogue.grant_file, record.object_id, record.grant_digest)
        return Granted(record, tuple(map(DeliveryRecord.decode, said)), file)

    async def _stored(self, object_id: bytes) -> StoredObject:
        return await asyncio.to_thread(self._catalogue.get, object_id)


def _leaf(stored: StoredObject) -> int:
    if stored.leaf is None:
        raise ObjectError("the object is not logged yet; upload it again, which goes on where that ended")
    return stored.leaf
