"""Evidence for the contract: a record of this gateway's log, proved in a checkpoint that the ledger holds.

The contract believes nothing of it but what it proves (chaincode.evidence).
"""

import asyncio
from collections.abc import Sequence
from contextlib import closing

from chain.errors import LedgerError
from chain.log.proofs import ProofBuilder
from chain.site import SiteReader
from chaincode.evidence import Evidence
from chaincode.log_records import AnchoredCheckpoint
from gateway.supply.ground import Ground

ANCHORED_WITHIN_S = 30.0
_LOOK_S = 0.05


class Prover:
    """Makes evidence, on the event loop, with proofs made in a thread; records that are not anchored yet are anchored
    first."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._anchored = 0  # a size that the ledger holds
        self._one = asyncio.Lock()

    async def evidence(self, leaf: int) -> bytes:
        """The encoded argument for one record. Raises as `several` does."""
        return (await self.several([leaf]))[0]

    async def several(self, leaves: Sequence[int]) -> list[bytes]:
        """The encoded arguments for some records, in their order, all by one checkpoint.

        Raises:
            LedgerError: the ledger is away, or does not take anchors.
            LogError: the log has no such record, or the gateway is stopping.
        """
        size = await self.anchored_above(max(leaves))
        return await asyncio.to_thread(self._build, leaves, size)

    async def under(self, leaf: int, size: int) -> bytes:
        """The encoded argument for one record by the checkpoint of `size` entries, which was anchored."""
        return (await asyncio.to_thread(self._build, [leaf], size))[0]

    async def anchored_above(self, leaf: int) -> int:
        """A size that the ledger has anchored, in which this record is."""
        async with self._one:  # whoever waits meanwhile finds it done
            if leaf >= self._anchored:
                self._anchored = await self.head(leaf + 1)
            return self._anchored

    async def head(self, least: int) -> int:
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

    def _build(self, leaves: Sequence[int], size: int) -> list[bytes]:
        origin = self._ground.folder.origin
        with closing(SiteReader.open(self._ground.folder)) as reader:
            builder = ProofBuilder(reader.entries, size)
            return [
                Evidence(origin, size, leaf, reader.entries.entry(leaf), builder.inclusion(leaf)).encode()
                for leaf in leaves
            ]
