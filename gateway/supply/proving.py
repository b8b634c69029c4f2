"""Evidence for the contract: a record of this gateway's log, proved in a checkpoint that the ledger holds."""

import asyncio
from collections.abc import Sequence
from contextlib import closing

from chain.log.proofs import ProofBuilder
from chain.site import SiteReader
from chaincode.evidence import Evidence
from chaincode.log_records import AnchoredCheckpoint
from gateway.supply.ground import Ground


class Prover:
    """Makes evidence; records that are not anchored yet are anchored first."""

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
            LedgerError: the ledger is away. LogError: the log has no such record, or the gateway is stopping.
        """
        size = await self.anchored_above(max(leaves))
        return await asyncio.to_thread(self._build, leaves, size)

    async def anchored_above(self, leaf: int) -> int:
        """A size that the ledger has anchored, in which this record is."""
        async with self._one:  # whoever waits meanwhile finds it done
            if leaf >= self._anchored:
                await self._ground.anchor()
                answer = await self._ground.ledger.evaluate("logs.head", self._ground.folder.origin.encode())
                self._anchored = AnchoredCheckpoint.decode(answer).size
            return self._anchored

    def _build(self, leaves: Sequence[int], size: int) -> list[bytes]:
        origin = self._ground.folder.origin
        with closing(SiteReader.open(self._ground.folder)) as reader:
            builder = ProofBuilder(reader.entries, size)
            return [
                Evidence(origin, size, leaf, reader.entries.entry(leaf), builder.inclusion(leaf)).encode()
                for leaf in leaves
            ]
