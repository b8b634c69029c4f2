"""Companies on a ledger in memory: quick enough for every way to break a rule. Each call runs twice."""

import pytest

from chain.ledger.interface import Submitted
from chaincode.coldchain.quarantine import Quarantine, quarantine_key
from chaincode.errors import Code, ContractError
from chaincode.identity_records import Identity
from chaincode.lots.exception_records import ExceptionRecord
from chaincode.lots.pack_records import EndAnswer
from chaincode.lots.unit_records import UnitRecord
from crypto import cbor
from tests.chaincode.memory import MemoryLedger
from tests.contract_suite.actors import Actor, MemoryLog, log_signers
from tests.contract_suite.companies import Company, Lot, Unit, companies, position
from tests.contract_suite.world import ORIGIN

PLANT = "plant"


class MemoryWorld:
    """What tests.contract_suite.companies needs of a world."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.gateway = Actor("plant/gateway", ORIGIN)
        self.log = MemoryLog(ORIGIN, log_signers(ORIGIN))
        self.submit(self.gateway, "identities.bootstrap", *self.gateway.bootstrap())
        self.submit(self.gateway, "logs.register", ORIGIN.encode(), *self.log.vkeys())

    def submit(self, caller: Actor, function: str, *args: bytes) -> Submitted:
        organisation = caller.organisation or PLANT
        return Submitted("", self.ledger.call(caller.key.public, function, *args, organisation=organisation), 0)

    def evaluate(self, function: str, *args: bytes) -> bytes:
        return self.submit(self.gateway, function, *args).result

    def identity(self, name: str) -> Identity:
        return Identity.decode(self.evaluate("identities.get", name.encode()))

    def anchor(self, old: int, new: int, log: MemoryLog | None = None, caller: Actor | None = None) -> object:
        return self.submit(caller or self.gateway, "logs.anchor", *(log or self.log).anchor(old, new))


class Trade:
    """A maker, a wholesaler and a pharmacy, and what a test asks of them."""

    def __init__(self) -> None:
        self.maker, self.wholesaler, self.pharmacy = self.all = companies(MemoryWorld())
        self.ledger: MemoryLedger = self.maker.world.ledger  # type: ignore[attr-defined]
        self._begun = dict(self.ledger.state)

    def again(self) -> "Trade":
        """As in the beginning: making it takes long."""
        self.ledger.state, self.ledger.now_us = dict(self._begun), None
        self.maker, self.wholesaler, self.pharmacy = self.all = [
            Company(one.world, one.actor, one.log, one.organisation) for one in self.all
        ]
        return self

    def refused(self, code: Code, caller: Company, function: str, *args: bytes) -> str:
        """The call is refused with this code; and a refused call writes nothing, since nothing is kept of it."""
        before = dict(self.ledger.state)
        with pytest.raises(ContractError) as caught:
            caller.submit(function, *args)
        assert caught.value.code is code, caught.value
        assert self.ledger.state == before
        return str(caught.value)

    def unit(self, unit: Unit) -> UnitRecord:
        return UnitRecord.decode(self.maker.world.evaluate("lots.unit", unit.unit_id))

    def exception(self, exception_id: bytes | None) -> ExceptionRecord:
        return ExceptionRecord.decode(self.maker.world.evaluate("lots.exception", exception_id or b""))

    def open_exceptions(self, company: Company) -> list[ExceptionRecord]:
        listed, more = cbor.decode(self.maker.world.evaluate("lots.exceptions", company.named), 2**17)
        assert more is None
        return [ExceptionRecord.decode(one) for one in listed]

    def quarantine(self, unit: Unit, released_by: str | None = None) -> None:
        """As the contract `coldchain` writes it."""
        released = (released_by, 9, "shown to be harmless") if released_by else ()
        self.ledger.state[quarantine_key(unit.unit_id)] = Quarantine(bytes(32), 7, "ab", *released).encode()


def ending(lot: Lot, pack: bytes, unit: Unit | None = None) -> list[bytes]:
    """The first arguments of dispense and decommission."""
    inside = [unit.unit_id, position(unit.members, pack)] if unit else [b"", b""]
    return [lot.lot_id, pack, position(lot.packs, pack), *inside]


def dispensed(company: Company, lot: Lot, pack: bytes, unit: Unit | None = None) -> EndAnswer:
    return EndAnswer.decode(company.submit("lots.dispense", *ending(lot, pack, unit), company.evidence()))


def decommissioned(company: Company, lot: Lot, pack: bytes, fate: bytes) -> EndAnswer:
    return EndAnswer.decode(company.submit("lots.decommission", *ending(lot, pack), fate, company.evidence()))
