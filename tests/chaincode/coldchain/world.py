"""Four organisations on a ledger in memory, whose clock a test moves."""

import pytest

from chaincode.coldchain.quarantine import Quarantine
from chaincode.coldchain.records import DisputeRecord, Explanation, Progress, ReportRecord, Shipment
from chaincode.errors import Code, ContractError
from crypto import cbor
from tests.chain.conditions.readings import MINUTE_US, POLICY, START_US, course
from tests.chaincode.memory import MemoryLedger
from tests.contract_suite.actors import Actor
from tests.contract_suite.shipments import CARRIER, MAKER, SIZE, STRANGER, WHOLESALER, Party, Trip, logger_of

PREPARED: list[tuple["ColdWorld", dict[str, bytes]]] = []


class ColdWorld:
    """`submit` calls as a party's gateway, at `ledger.now_us`."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.maker, self.carrier, self.wholesaler, self.stranger = self.parties = tuple(
            map(Party.named, (MAKER, CARRIER, WHOLESALER, STRANGER))
        )
        self.ledger.now_us = START_US
        for party in self.parties:
            self.submit(party, "identities.bootstrap", *party.actor.bootstrap())
            self.submit(party, "logs.register", party.origin.encode(), *party.log.vkeys())
            self.submit(party, "logs.anchor", *party.log.anchor(0, SIZE))
        for name in ("logger-1", "logger-2"):
            source = Actor(name, self.carrier.origin)
            self.submit(self.carrier, "identities.enrol", *source.enrolment("source"))
        self.submit(self.maker, "coldchain.policy", POLICY.encode())

    @classmethod
    def fresh(cls) -> "ColdWorld":
        """As after its making, which takes a second and is done once."""
        if not PREPARED:
            made = cls()
            PREPARED.append((made, dict(made.ledger.state)))
        world, state = PREPARED[0]
        world.ledger.state, world.ledger.now_us = dict(state), START_US
        return world

    def trip(self, **changes: object) -> Trip:
        return Trip(self.carrier, loggers=(logger_of(self.carrier),)).but(**changes)

    def opened(self, **changes: object) -> Trip:
        trip = self.trip(**changes)
        self.submit(self.maker, "coldchain.open", *trip.opening(self.maker))
        return trip

    def submit(self, party: Party, function: str, *args: bytes) -> bytes:
        return self.ledger.call(party.actor.key.public, function, *args, organisation=party.organisation)

    def refused(self, code: Code, party: Party, function: str, *args: bytes) -> str:
        before = dict(self.ledger.state)
        with pytest.raises(ContractError) as caught:
            self.submit(party, function, *args)
        assert caught.value.code is code, caught.value
        assert self.ledger.state == before
        return str(caught.value)

    def at(self, minutes: float) -> int:
        """Move the clock to so many minutes after the start."""
        self.ledger.now_us = START_US + round(minutes * MINUTE_US)
        return self.ledger.now_us

    def report(self, trip: Trip, *celsius: float, seq: int = 1, end: int = SIZE) -> Progress:
        """Report readings of every five minutes from the beginning, as soon as the last of them has held."""
        to_us = self.at(5 * len(celsius))
        report = trip.report(seq, to_us, course(*celsius), end=end)
        return Progress.decode(self.submit(self.carrier, "coldchain.report", *trip.reporting(report)))

    # -- what came of it

    @property
    def event(self) -> tuple[str, list[object]]:
        assert self.ledger.event is not None
        name, payload = self.ledger.event
        return name, cbor.decode(payload, 2**16)

    def get(self, trip: Trip) -> tuple[Shipment, Progress]:
        shipment, progress = cbor.decode(self.submit(self.maker, "coldchain.get", trip.shipment_id), 2**17)
        return Shipment.decode(shipment), Progress.decode(progress)

    def progress(self, trip: Trip) -> Progress:
        return self.get(trip)[1]

    def reports(self, trip: Trip, *after: bytes) -> list[ReportRecord]:
        found = cbor.decode(self.submit(self.maker, "coldchain.reports", trip.shipment_id, *after), 2**20)
        return [ReportRecord.decode(one) for one in found]

    def disputes(self, trip: Trip) -> list[DisputeRecord]:
        found = cbor.decode(self.submit(self.maker, "coldchain.disputes", trip.shipment_id), 2**20)
        return [DisputeRecord.decode(one) for one in found]

    def explanations(self, trip: Trip) -> list[Explanation]:
        found = cbor.decode(self.submit(self.maker, "coldchain.explanations", trip.shipment_id), 2**20)
        return [Explanation.decode(one) for one in found]

    def quarantine(self, unit: bytes) -> Quarantine | None:
        found = cbor.decode(self.submit(self.maker, "coldchain.quarantine", unit), 2**16)
        return Quarantine.decode(found[0]) if found else None

    def held(self, trip: Trip) -> list[bool]:
        return [(found := self.quarantine(unit)) is not None and found.held for unit in trip.units]

    def listed(self, party: Party, state: bytes = b"any", *after: bytes) -> list[bytes]:
        return self.page(party, state, *after)[0]

    def page(self, party: Party, state: bytes = b"any", *after: bytes) -> tuple[list[bytes], bytes | None]:
        """Ids, and the id behind which to go on."""
        args = (party.organisation.encode(), state, *after)
        ids, onward = cbor.decode(self.submit(self.maker, "coldchain.list", *args), 2**20)
        return ids, onward
