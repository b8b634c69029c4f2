"""Anchored checkpoints: those this site still keeps, and what the ledger says of each."""

import asyncio
from dataclasses import dataclass, replace

from chain.errors import LedgerError
from chain.ledger.interface import Ledger
from chaincode.errors import ContractError
from chaincode.log_records import AnchoredCheckpoint
from crypto.errors import FormatError
from crypto.flat import MAX_NUMBER
from crypto.merkle import HASH_BYTES
from gateway.query.view import View

MAX_PAGE = 100
ASK_S = 5.0


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
    try:
        async with asyncio.timeout(ASK_S):
            return tuple(await asyncio.gather(*(_asked(anchor, ledger, origin) for anchor in anchors)))
    except (LedgerError, TimeoutError):
        return anchors


async def _asked(anchor: Anchor, ledger: Ledger, origin: str) -> Anchor:
    try:
        answer = await ledger.evaluate("logs.checkpoint", origin.encode(), str(anchor.size).encode())
        held = AnchoredCheckpoint.decode(answer)
    except (ContractError, FormatError):
        return anchor
    same = held.root == anchor.root and len(anchor.root) == HASH_BYTES
    return replace(anchor, anchored_us=held.anchored_us, tx_id=held.tx_id) if same else anchor
