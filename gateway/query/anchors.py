"""Anchored checkpoints: those this site still keeps, and what the ledger says of each."""

from dataclasses import dataclass

from chain.ledger.interface import Ledger
from chaincode.log_records import AnchoredCheckpoint
from crypto.errors import SealtrailError
from crypto.flat import MAX_NUMBER
from crypto.merkle import HASH_BYTES
from gateway.query.view import View

MAX_PAGE = 100


@dataclass(frozen=True, slots=True)
class Anchor:
    """A checkpoint that the ledger accepted. `created_us` is when the log signed it; `anchored_us` and
    `tx_id` are the ledger's, None where the ledger could not be asked."""

    size: int
    root: bytes
    created_us: int
    anchored_us: int | None = None
    tx_id: str | None = None


def anchored_checkpoints(view: View, limit: int, below: int | None = None) -> tuple[Anchor, ...]:
    """The newest anchored checkpoints first, of sizes below `below`; at most 100. The site keeps the newest
    1,000 checkpoints; older ones are on the ledger."""
    query = """SELECT size, root, created_us FROM log_checkpoint WHERE evidence IS NOT NULL AND size < ?
        ORDER BY size DESC LIMIT ?"""
    bound = (MAX_NUMBER if below is None else below, min(limit, MAX_PAGE))
    return tuple(Anchor(*row) for row in view.site.db.connection.execute(query, bound).fetchall())


async def with_ledger(anchors: tuple[Anchor, ...], ledger: Ledger, origin: str) -> tuple[Anchor, ...]:
    """The same anchors with the ledger's own word on each; unchanged where the ledger is away."""
    found = []
    for anchor in anchors:
        try:
            answer = await ledger.evaluate("logs.checkpoint", origin.encode(), str(anchor.size).encode())
            held = AnchoredCheckpoint.decode(answer)
        except SealtrailError:
            found.append(anchor)
            continue
        same = held.root == anchor.root and len(anchor.root) == HASH_BYTES
        found.append(Anchor(anchor.size, anchor.root, anchor.created_us, held.anchored_us, held.tx_id)
                     if same else anchor)  # fmt: skip
    return tuple(found)
