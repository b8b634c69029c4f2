"""What a gateway needs of a ledger, whichever it is: the embedded one or Hyperledger Fabric.

Refusals of the contract arrive as chaincode.errors.ContractError on every ledger, with its stable code;
everything that is the ledger's own trouble is a LedgerError. Nothing of one ledger may show here.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Submitted:
    """A committed transaction: its name, what the contract answered, and its place in the ledger's order."""

    tx_id: str
    result: bytes
    index: int


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """What a committed transaction emitted."""

    index: int
    tx_id: str
    name: str
    payload: bytes


Wanted = Callable[[str, bytes], bool]


def every(name: str, payload: bytes) -> bool:
    """All events are wanted."""
    return True


class Ledger(Protocol):
    """A ledger as one caller sees it; every submit is signed with that caller's key."""

    async def submit(self, function: str, *args: bytes) -> Submitted:
        """Run a contract function and return once its transaction is committed durably.

        Raises:
            ContractError: the contract refused; nothing changed.
            LedgerError: `function` is a query, or the ledger did not commit.
        """

    async def evaluate(self, function: str, *args: bytes) -> bytes:
        """Run a contract function on the current state and change nothing."""

    def events(self, after: int, wanted: Wanted = every) -> AsyncIterator[LedgerEvent]:
        """Events of the transactions behind index `after` (−1: all) whose name and payload are wanted, old ones
        first, then new ones as they commit. Ends when the ledger is closed."""

    async def evidence(self, index: int) -> bytes:
        """What a receipt carries to prove the transaction at `index` offline; its form is the ledger's."""

    async def close(self) -> None:
        """Finish what runs and let go of the ledger."""
