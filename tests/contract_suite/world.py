"""A ledger under test with its callers, driven without async in the tests."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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


class World:
    """`open_as` gives the ledger as one key sees it. `gateway` is the first gateway, with a registered `log`."""

    def __init__(self, runner: asyncio.Runner, open_as: Callable[[PrivateKey], Ledger]) -> None:
        self.runner = runner
        self.open_as = open_as
        self.gateway = Actor("plant/gateway", ORIGIN)
        self.log = MemoryLog(ORIGIN, log_signers(ORIGIN))

    def start(self) -> "World":
        self.submit(self.gateway, "identities.bootstrap", *self.gateway.bootstrap())
        self.submit(self.gateway, "logs.register", ORIGIN.encode(), *self.log.vkeys())
        return self

    def submit(self, caller: Actor, function: str, *args: bytes) -> Submitted:
        return self.runner.run(self.open_as(caller.key).submit(function, *args))

    def evaluate(self, function: str, *args: bytes) -> bytes:
        return self.runner.run(self.open_as(self.gateway.key).evaluate(function, *args))

    def refused(self, code: Code, caller: Actor, function: str, *args: bytes) -> None:
        """The call is refused with this code, and nothing was committed: no event, no transaction."""
        before = self.submit(self.gateway, "logs.anchor", *self._probe())
        with refusal(code):
            self.submit(caller, function, *args)
        after = self.submit(self.gateway, "logs.anchor", *self._probe())
        assert after.index == before.index + 1
        assert after.result == before.result

    def _probe(self) -> list[bytes]:
        """An anchor of the head as it is, which changes nothing, and shows the ledger's next index."""
        return self.log.anchor(self.head().size, self.head().size)

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
