"""A whole ledger in a dict: the Transaction interface without a disk, for many calls quickly."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256

from chaincode.contract import function_named
from chaincode.transaction import Caller, Version
from crypto.keys import PublicKey
from tests.contract_suite.twice import invoke_twice


class MemoryTransaction:
    """Reads the state before it, collects its writes."""

    def __init__(self, state: dict[str, bytes], history: dict[str, list[Version]], number: int, caller: Caller) -> None:
        self._state, self._history = state, history
        self.id, self.caller, self.timestamp_us = f"{number:064x}", caller, 1_700_000_000_000_000 + number
        self.writes: dict[str, bytes] = {}
        self.event: tuple[str, bytes] | None = None

    async def get(self, key: str) -> bytes | None:
        return self._state.get(key)

    async def put(self, key: str, value: bytes) -> None:
        assert key
        assert value
        self.writes[key] = value

    async def range(self, start: str, end: str) -> AsyncIterator[tuple[str, bytes]]:
        for key in sorted(self._state):
            if start <= key < end:
                yield key, self._state[key]

    async def history(self, key: str) -> AsyncIterator[Version]:
        for version in reversed(self._history.get(key, [])):
            yield version

    def set_event(self, name: str, payload: bytes) -> None:
        self.event = name, payload


class MemoryLedger:
    """State and a counter. Every call runs twice."""

    def __init__(self) -> None:
        self.state: dict[str, bytes] = {}
        self.history: dict[str, list[Version]] = {}
        self._calls = 0
        self.now_us: int | None = None  # the callers' clock, where a test needs one
        self.event: tuple[str, bytes] | None = None  # of the newest call that was no query

    def call(self, caller: PublicKey, function: str, *args: bytes, organisation: str = "plant") -> bytes:
        self._calls += 1
        tx = MemoryTransaction(self.state, self.history, self._calls, Caller(caller.kid, organisation))
        tx.timestamp_us = tx.timestamp_us if self.now_us is None else self.now_us
        result = asyncio.run(self.run(tx, function, *args))
        if not function_named(function).query:
            self.event = tx.event
        return result

    async def run(self, tx: MemoryTransaction, function: str, *args: bytes) -> bytes:
        """Twice, and apply what it writes."""
        result = await invoke_twice(tx, function, args)
        self.state.update(tx.writes)
        for key, value in tx.writes.items():
            self.history.setdefault(key, []).append(Version(tx.id, tx.timestamp_us, sha256(value).digest()))
        return result
