"""Records the evidence in this folder from a real network: `python -m tests.golden.fabric.make BFT|etcdraft`.

Run by hand where Fabric's programs are; the three transactions share a block, the evidence is of one behind the first.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from chain.ledger.fabric.evidence import FabricEvidence
from chain.ledger.fabric.reader import POSITION_BITS
from tests.chain.ledger.fabric.small_network import SmallNetwork, small_network


async def _record(net: SmallNetwork) -> bytes:
    async with net.open() as ledger:
        while True:
            calls = (ledger.submit("put", f"golden-{n}".encode(), b"value %d" % n) for n in range(3))
            last = max((await asyncio.gather(*calls)), key=lambda done: done.index)
            if last.index % (1 << POSITION_BITS):
                return await ledger.evidence(last.index)


def main(consensus: str) -> None:
    with tempfile.TemporaryDirectory() as home, small_network(Path(home), consensus) as net:
        evidence = asyncio.run(_record(net))
    folder = Path(__file__).parent
    (folder / f"{consensus}.cbor").write_bytes(evidence)
    (folder / f"{consensus}.hash").write_text(FabricEvidence.decode(evidence).config_header.hash.hex() + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
