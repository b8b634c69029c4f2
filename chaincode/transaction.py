"""What the contract sees of a ledger: one small interface, served by Fabric peers and by the embedded ledger.

A ledger is trusted to have authenticated the caller and to keep state. Reads see the state before the
transaction, never its own writes, as on Fabric; a ledger applies the writes only when the call succeeded.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed the transaction: SHA-256 of the raw public key (32 bytes), and the organisation that the
    ledger vouches for (Fabric: the MSP id; embedded: the ledger's name). Roles are looked up by the contract."""

    kid: bytes
    organisation: str


@dataclass(frozen=True, slots=True)
class Version:
    """One writing of a key: by which transaction, when by that client's claim (µs since 1970), and SHA-256 of the
    value that was put there (None: it was deleted, which this contract never does)."""

    tx_id: str
    timestamp_us: int
    value_hash: bytes | None


class Transaction(Protocol):
    """One transaction. Keys are text, values non-empty bytes."""

    @property
    def id(self) -> str:
        """Names this transaction on its ledger."""

    @property
    def caller(self) -> Caller: ...

    @property
    def timestamp_us(self) -> int:
        """Microseconds since 1970 as the client claims them: equal on every peer, proof of nothing."""

    async def get(self, key: str) -> bytes | None:
        """The value at `key` before this transaction, None where there is none."""

    async def put(self, key: str, value: bytes) -> None:
        """Write `value` when the transaction commits."""

    def range(self, start: str, end: str) -> AsyncIterator[tuple[str, bytes]]:
        """Pairs with start ≤ key < end in bytewise order of keys. For queries only."""

    def history(self, key: str) -> AsyncIterator[Version]:
        """Every version of `key` before this transaction, newest first. For queries only."""

    def set_event(self, name: str, payload: bytes) -> None:
        """The one event that is emitted when the transaction commits; a second call replaces the first."""
