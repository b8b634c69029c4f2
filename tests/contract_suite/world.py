"""A ledger under test with its callers, driven without async in the tests."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import pytest

from chain.ledger.interface import Ledger, LedgerEvent, Submitted
from chaincode.errors import Code, ContractError
from chaincode.identity_records import Identity
from chaincode.log_records import AnchorAnswer, AnchoredCheckpoint, ForkRecord
from crypto import cbor
from crypto.keys import PrivateKey
from tests.contract_suite.actors import Actor, MemoryLog, log_signers

ORIGIN = "plant.example/gw1"
OTHER = "hospital.example/gw2"


@contextmanager
def refusal(code: Code) -> Iterator[None]:
    """The block must end in the contract's refusal with this code."""
    with pytest.raises(ContractError) as caught:
        yield
    assert caught.value.code is code, caught.value
    assert str(caught.value).startswith(f"{code}: ")


class OpenAs(Protocol):
    """The ledger as one key of an organisation sees it; without a name of the first gateway's organisation."""

    def __call__(self, caller: PrivateKey, organisation: str = "") -> Ledger: ...


class World:
    """`open_as` gives the ledger as one key sees it, `transactions` the number of all that are on the ledger, and
    `replayed` checks what Fabric's peers answered. `gateway` is the first gateway, with a registered `log`."""

    def __init__(
        self, runner: asyncio.Runner, open_as: OpenAs, transactions: Callable[[], int],
        replayed: Callable[[], int] | None = None,
    ) -> None:  # fmt: skip
        self.runner = runner
        self.open_as = open_as
        self.transactions, self.replayed = transactions, replayed
        self.gateway = Actor("plant/gateway", ORIGIN)
        self.log = MemoryLog(ORIGIN, log_signers(ORIGIN))

    async def begin(self) -> None:
        """Enrol the first gateway and register its log."""
        ledger = self.open_as(self.gateway.key)
        await ledger.submit("identities.bootstrap", *self.gateway.bootstrap())
        await ledger.submit("logs.register", ORIGIN.encode(), *self.log.vkeys())

    def start(self) -> "World":
        self.runner.run(self.begin())
        return self

    def submit(self, caller: Actor, function: str, *args: bytes) -> Submitted:
        return self.runner.run(self.open_as(caller.key, caller.organisation).submit(function, *args))

    def evaluate(self, function: str, *args: bytes) -> bytes:
        return self.runner.run(self.open_as(self.gateway.key).evaluate(function, *args))

    def refused(self, code: Code, caller: Actor, function: str, *args: bytes) -> None:
        """The call is refused with this code, and nothing was committed: no transaction, and so no event."""
        before, head = self.transactions(), self.head()
        with refusal(code):
            self.submit(caller, function, *args)
        assert (self.transactions(), self.head()) == (before, head)

    def anchor(self, old: int, new: int, log: MemoryLog | None = None, caller: Actor | None = None) -> AnchorAnswer:
        args = (log or self.log).anchor(old, new)
        return AnchorAnswer.decode(self.submit(caller or self.gateway, "logs.anchor", *args).result)

    def head(self, origin: str = ORIGIN) -> AnchoredCheckpoint:
        return AnchoredCheckpoint.decode(self.evaluate("logs.head", origin.encode()))

    def forks(self, origin: str = ORIGIN) -> list[ForkRecord]:
        records = cbor.decode(self.evaluate("logs.forks", origin.encode()), 2**21)
        return [ForkRecord.decode(record) for record in records]

    def identity(self, name: str) -> Identity:
        return Identity.decode(self.evaluate("identities.get", name.encode()))

    def names(self, role: str, *after: bytes) -> list[str]:
        names: list[str] = cbor.decode(self.evaluate("identities.list", role.encode(), *after), 2**20)
        return names

    def history(self, name: str, *before: str) -> list[tuple[str, int, bytes]]:
        changes = cbor.decode(self.evaluate("identities.history", name.encode(), *map(str.encode, before)), 2**20)
        return [tuple(change) for change in changes]

    def enrolled(self, name: str, role: str, origin: str = ORIGIN, by: Actor | None = None) -> Actor:
        actor = Actor(name, origin)
        self.submit(by or self.gateway, "identities.enrol", *actor.enrolment(role))
        return actor

    def other_gateway(self) -> tuple[Actor, MemoryLog]:
        """A second gateway with a registered log of its own."""
        other, log = self.enrolled("hospital/gateway", "gateway", OTHER), MemoryLog(OTHER, log_signers(OTHER))
        self.submit(other, "logs.register", OTHER.encode(), *log.vkeys())
        return other, log

    def events(self, count: int, after: int = -1) -> list[LedgerEvent]:
        async def collect() -> list[LedgerEvent]:
            found: list[LedgerEvent] = []
            async with asyncio.timeout(30):
                async for event in self.open_as(self.gateway.key).events(after):
                    found.append(event)
                    if len(found) == count:
                        break
            return found

        return self.runner.run(collect())
