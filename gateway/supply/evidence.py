"""Evidence for calls of the contract: that a record of this gateway's own stands in an anchored checkpoint of its log.

The contract believes nothing of it but what it proves (chaincode.evidence).
"""

import asyncio
from contextlib import closing

from chain.errors import LedgerError
from chain.log.proofs import inclusion_proof
from chain.site import Folder, SiteReader
from chaincode.evidence import Evidence
from chaincode.log_records import AnchoredCheckpoint
from gateway.supply.ground import Ground

ANCHORED_WITHIN_S = 30.0
_LOOK_S = 0.05


class Evidences:
    """Runs on the event loop; proofs are made in a thread."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def of(self, leaf: int) -> bytes:
        """The encoded argument for the record at `leaf`; it is anchored first where it is not yet.

        Raises:
            LedgerError: the ledger is away, or does not take anchors.
        """
        return await self.under(leaf, await self.anchored(leaf + 1))

    async def under(self, leaf: int, size: int) -> bytes:
        """The same under the checkpoint of `size` entries, which was anchored."""
        return (await asyncio.to_thread(_proved, self._ground.folder, leaf, size)).encode()

    async def anchored(self, least: int) -> int:
        """The size of the log's head on the ledger, which is `least` or more when this returns."""
        try:
            async with asyncio.timeout(ANCHORED_WITHIN_S):
                while (size := await self._head()) < least:
                    await self._ground.anchor()
                    if await self._head() < least:
                        await asyncio.sleep(_LOOK_S)  # a peer that is a little behind
        except TimeoutError as e:
            raise LedgerError(f"the log's first {least} entries are not anchored yet; try again in a while") from e
        return size

    async def _head(self) -> int:
        head = await self._ground.ledger.evaluate("logs.head", self._ground.folder.origin.encode())
        return AnchoredCheckpoint.decode(head).size


def _proved(folder: Folder, leaf: int, size: int) -> Evidence:
    with closing(SiteReader.open(folder)) as reader:
        proof = inclusion_proof(reader.entries, leaf, size)
        return Evidence(folder.origin, size, leaf, reader.entries.entry(leaf), tuple(proof))
