"""A lot of a million packs on the embedded ledger: commissioned, packed into cases and pallets, shipped and received.

The ledger keeps a record for each unit and none for a pack, and its memory does not grow with what it holds.
"""

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from chain.ledger.embedded import EmbeddedLedger
from chaincode.lots.items import Quantity
from chaincode.lots.records import Balance
from chaincode.lots.unit_records import UnitRecord
from crypto import bulk, cbor
from crypto.keys import Algorithm, PrivateKey
from tests.contract_suite.actors import Actor, MemoryLog, log_signers
from tests.torture.scale import scaled

IN_CASE = CASES = 100  # packs of a case, cases of a pallet
MAX_GROWN = 32  # MiB, from the first case on, of which SQLite keeps 16 as its cache
MOVED = 32  # units of one call


def packs_of(count: int) -> list[bytes]:
    return sorted(sha256(i.to_bytes(8)).digest() for i in range(count))


def resident_mib() -> int:
    """What this process has in memory now: a peak would hide growth behind what the packs' ids took before."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) // 256


@contextmanager
def timed(what: str, calls: int) -> Iterator[None]:
    begun = time.monotonic()
    yield
    seconds = time.monotonic() - begun
    print(f"{what}: {calls} transactions in {seconds:.1f} s, {resident_mib()} MiB in memory")


def test_a_lot_of_a_million_packs(tmp_path: Path) -> None:
    pallets = scaled(1, 100)
    asyncio.run(_trade(tmp_path, pallets))


async def _trade(folder: Path, pallets: int) -> None:
    nobody, name = PrivateKey.generate(Algorithm.ED25519), "trade.example/ledger"
    ledger = EmbeddedLedger(folder, name, log_signers(name), nobody)
    maker, made_by = await _enrolled(ledger, "MakerOrg")
    wholesaler, got_by = await _enrolled(ledger, "WholesalerOrg")
    packs, lot_id = packs_of(pallets * CASES * IN_CASE), bytes(31) + b"L"
    with timed("commissioned", 1):
        root = bulk.root(bulk.leaf_hashes(packs))
        await maker.submit("lots.commission", lot_id, root, str(len(packs)).encode(), b"", made_by)
    before = resident_mib()
    with timed("packed into cases", pallets * CASES):
        content = Quantity(lot_id, IN_CASE).encode()
        cases = [await _pack(maker, packs[i : i + IN_CASE], [content], made_by) for i in range(0, len(packs), IN_CASE)]
    with timed("cases packed on pallets", pallets):
        groups = [sorted(cases[i : i + CASES]) for i in range(0, len(cases), CASES)]
        units = [await _pack(maker, group, group, made_by) for group in groups]
    chunks = [units[i : i + MOVED] for i in range(0, len(units), MOVED)]
    with timed("pallets shipped and received", 2 * len(chunks)):
        for chunk in chunks:
            await maker.submit("lots.ship", *chunk, b"WholesalerOrg", made_by)
            received = await wholesaler.submit("lots.receive", *chunk, got_by)
    grown = resident_mib() - before
    print(f"ledger.db has {sum(file.stat().st_size for file in folder.iterdir()) / 2**20:.0f} MiB")
    assert grown < MAX_GROWN, f"memory grew by {grown} MiB while {len(cases)} cases were packed"
    last = UnitRecord.decode(cbor.decode(received.result, 2**20)[-1])
    assert (last.custodian, last.contents) == ("WholesalerOrg", (Quantity(lot_id, CASES * IN_CASE),))
    left = Balance.decode(await maker.evaluate("lots.balance", lot_id, b"MakerOrg"))
    assert left.count == 0
    await ledger.close()


async def _enrolled(ledger: EmbeddedLedger, organisation: str) -> tuple[EmbeddedLedger, bytes]:
    """The ledger as this company's gateway sees it, and evidence of its log."""
    origin = f"{organisation.lower()}.example/gw"
    actor, log = Actor(organisation, origin), MemoryLog(origin, log_signers(origin))
    own = ledger.as_caller(actor.key, organisation)
    await own.submit("identities.bootstrap", *actor.bootstrap())
    await own.submit("logs.register", origin.encode(), *log.vkeys())
    await own.submit("logs.anchor", *log.anchor(0, 8))
    return own, log.evidence(3, 8)


async def _pack(maker: EmbeddedLedger, members: list[bytes], content: list[bytes], evidence: bytes) -> bytes:
    unit_id = sha256(members[0] + members[-1]).digest()
    root = bulk.root(bulk.leaf_hashes(members))
    await maker.submit("lots.pack", unit_id, root, str(len(members)).encode(), *content, evidence)
    return unit_id
