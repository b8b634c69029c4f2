"""The real contract with as many worlds on one channel as tests want; chaincode_program.py serves it.

A call of `<world>/<function>` runs chaincode.contract.invoke of `<function>` on the state keys below `<world>/`, and
its event is named `<world>/<event>`. Nothing else differs.
"""

from collections.abc import AsyncIterator, Sequence

from chaincode import contract
from chaincode.transaction import Transaction, Version


class OneWorld:
    """A transaction that sees only the keys of its world."""

    def __init__(self, below: Transaction, world: str) -> None:
        self._below, self._prefix = below, f"{world}/"
        self.id, self.caller, self.timestamp_us = below.id, below.caller, below.timestamp_us

    async def get(self, key: str) -> bytes | None:
        return await self._below.get(self._prefix + key)

    async def put(self, key: str, value: bytes) -> None:
        await self._below.put(self._prefix + key, value)

    async def range(self, start: str, end: str) -> AsyncIterator[tuple[str, bytes]]:
        async for key, value in self._below.range(self._prefix + start, self._prefix + end):
            yield key.removeprefix(self._prefix), value

    async def history(self, key: str) -> AsyncIterator[Version]:
        async for version in self._below.history(self._prefix + key):
            yield version

    def set_event(self, name: str, payload: bytes) -> None:
        self._below.set_event(self._prefix + name, payload)


async def invoke(tx: Transaction, name: str, args: Sequence[bytes]) -> bytes:
    """contract.invoke in the world that the name begins with."""
    world, _, function = name.partition("/")
    return await contract.invoke(OneWorld(tx, world), function, args)
