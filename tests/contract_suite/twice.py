"""Runs every contract call twice on equal state and demands equal writes, events and answers."""

from collections.abc import AsyncIterator, Sequence

from chaincode import contract
from chaincode.errors import Code, ContractError
from chaincode.transaction import Transaction, Version


class Recording:
    """A transaction that reads from another one and keeps its own writes to itself."""

    def __init__(self, below: Transaction) -> None:
        self._below = below
        self.id, self.caller, self.timestamp_us = below.id, below.caller, below.timestamp_us
        self.reads: list[tuple[str, bytes | None]] = []
        self.writes: list[tuple[str, bytes]] = []
        self.events: list[tuple[str, bytes]] = []
        self.queried = False  # ranges make conflicts on Fabric, and a history is not checked there at the commit

    async def get(self, key: str) -> bytes | None:
        value = await self._below.get(key)
        self.reads.append((key, value))
        return value

    async def put(self, key: str, value: bytes) -> None:
        self.writes.append((key, value))

    async def range(self, start: str, end: str) -> AsyncIterator[tuple[str, bytes]]:
        self.queried = True
        async for pair in self._below.range(start, end):
            yield pair

    async def history(self, key: str) -> AsyncIterator[Version]:
        self.queried = True
        async for version in self._below.history(key):
            yield version

    def set_event(self, name: str, payload: bytes) -> None:
        self.events.append((name, payload))


async def _attempt(tx: Recording, name: str, args: Sequence[bytes]) -> bytes | tuple[Code, str]:
    try:
        return await contract.invoke(tx, name, args)
    except ContractError as e:
        return e.code, str(e).removeprefix(f"{e.code}: ")


async def invoke_twice(tx: Transaction, name: str, args: Sequence[bytes]) -> bytes:
    """contract.invoke, and an AssertionError where a second run differs from the first."""
    first, second = Recording(tx), Recording(tx)
    outcome, again = await _attempt(first, name, args), await _attempt(second, name, args)
    assert (outcome, first.reads, first.writes, first.events) == (again, second.reads, second.writes, second.events)
    if isinstance(outcome, tuple):
        raise ContractError(*outcome)
    assert len(first.events) <= 1
    assert contract.function_named(name).query or not first.queried
    assert len({key for key, _ in first.writes}) == len(first.writes)
    for key, value in first.writes:
        await tx.put(key, value)
    for event in first.events:
        tx.set_event(*event)
    return outcome
