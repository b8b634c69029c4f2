"""Which failures pass, and trying again under a new transaction id until they have.

Only what is known to have changed nothing is tried again, and never longer than a bound. The words are Fabric's own,
from real runs (tests/chain/ledger/fabric/test_failures.py, test_upgrade.py): it has no codes for them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from chain.ledger.fabric.errors import (
    ClockError,
    CommitError,
    EndorseError,
    EvaluateError,
    FabricError,
    LyingPeerError,
)

T = TypeVar("T")
PATIENCE_S = 20.0  # a peer or chaincode server restarts in a few seconds
CONFLICTS = 5  # each stands in a block for ever
PAUSE_S, LONGEST_PAUSE_S = 0.1, 1.0
# Keys that it read were written first, by another transaction or by a new definition of the contract; or that
# definition wants endorsers that it does not have.
_PASSING_CODES = ("MVCC_READ_CONFLICT", "PHANTOM_READ_CONFLICT", "ENDORSEMENT_POLICY_FAILURE")
# A peer or chaincode server that starts, peers a block apart, a definition that not every peer has or knows of yet.
_PASSING_STATES = ("ABORTED", "FAILED_PRECONDITION", "UNAVAILABLE", "DEADLINE_EXCEEDED")
# The chaincode failed by itself, or the client may not: the same again would fail again.
_STAYS = ("chaincode response 5", "access denied")


async def patiently(attempt: Callable[[], Awaitable[T]], patience_s: float = PATIENCE_S) -> T:
    """`attempt`, again while it fails for what passes, for so many seconds. Raises the last error."""
    deadline, pause, conflicts = time.monotonic() + patience_s, PAUSE_S, 0
    while True:
        try:
            return await attempt()
        except (CommitError, EndorseError, EvaluateError) as e:
            conflicts += isinstance(e, CommitError)
            if not _passes(e) or conflicts == CONFLICTS or time.monotonic() + pause > deadline:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


def _passes(error: FabricError) -> bool:
    if isinstance(error, CommitError):
        return error.code in _PASSING_CODES
    if isinstance(error, LyingPeerError | ClockError):
        return False
    return error.status in _PASSING_STATES and not any(words in str(error) for words in _STAYS)
