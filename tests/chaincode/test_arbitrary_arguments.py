"""Whatever bytes are given to any function, the answer is a result or a refusal with a code, never another error."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaincode.coldchain.records import Logger
from chaincode.contract import FUNCTIONS
from chaincode.errors import ContractError
from crypto.kem import KemPrivateKey, KemSuite
from crypto.keys import Algorithm, PrivateKey
from tests.chain.conditions.readings import POLICY, START_US, course
from tests.chaincode.lots.prepared import prepare
from tests.chaincode.memory import MemoryLedger
from tests.contract_suite.actors import Actor, MemoryLog, log_signers
from tests.contract_suite.parties import Partner, Thing
from tests.contract_suite.shipments import CARRIER as OTHERS
from tests.contract_suite.shipments import SIZE, Party, Trip, logger_of
from tests.torture.scale import scaled

ORIGIN = "plant.example/gw1"
GATEWAY, THING = Actor("plant/gateway", ORIGIN), Actor("thing", ORIGIN)
LOG = MemoryLog(ORIGIN, log_signers(ORIGIN))
NEW_KEM = KemPrivateKey.generate(KemSuite.ML_KEM_768)
NEW_KEY = PrivateKey.generate(Algorithm.ML_DSA_44)
SPARE, LAMP = Actor("spare", ORIGIN), Actor("lamp", ORIGIN)
OFFLINE = PrivateKey.generate(Algorithm.ML_DSA_44)
PARTNER, LATER = (Partner(Actor(name, ORIGIN, role="partner")) for name in ("partner", "later"))
OBJECT = Thing(bytes(32))
TO_LATER = replace(LATER.to, grant_digest=bytes(32))
PLANT, CARRIER = Party("plant", GATEWAY, LOG), Party.named(OTHERS)
OPENED_US = 1_690_000_000_000_000
OWN = Trip(PLANT, bytes(32), from_us=OPENED_US, recipient="plant", loggers=(Logger(THING.handle, "t"),))
AWAY = Trip(
    CARRIER, bytes(31) + b"1", from_us=OPENED_US, recipient="plant", loggers=(logger_of(CARRIER, calibrated=None),)
)
FRESH = OWN.but(shipment_id=bytes(31) + b"2", units=(bytes(32),))
HOUR_US = OPENED_US + 1_200_000_000
COLD = [sample._replace(time_us=sample.time_us - START_US + OPENED_US) for sample in course(5, 5, 5, 5)]
FROZEN = [sample._replace(milli=-1_000) for sample in COLD]


def ledger() -> MemoryLedger:
    made = MemoryLedger()
    made.call(GATEWAY.key.public, "identities.bootstrap", *GATEWAY.bootstrap())
    made.call(GATEWAY.key.public, "logs.register", ORIGIN.encode(), *LOG.vkeys())
    made.call(GATEWAY.key.public, "logs.anchor", *LOG.anchor(0, 5))
    made.call(GATEWAY.key.public, "identities.enrol", *THING.enrolment("source"))
    for one in (PARTNER, LATER):
        made.call(GATEWAY.key.public, "identities.enrol", *one.actor.enrolment("partner"))
        made.call(GATEWAY.key.public, "kem.publish", *one.publication())
    made.call(GATEWAY.key.public, "exchange.grant", *OBJECT.grant(PARTNER.to))
    made.call(GATEWAY.key.public, "identities.enrol", *LAMP.enrolment("source"))
    made.call(GATEWAY.key.public, "identities.recovery", *LAMP.recovery(OFFLINE))
    LOTS.update(prepare(made, GATEWAY, LOG))
    _ship(made)
    return made


def _ship(made: MemoryLedger) -> None:
    """A shipment that this gateway reports, and one that it receives and another one reported."""
    made.now_us = OPENED_US
    made.call(GATEWAY.key.public, "logs.anchor", *LOG.anchor(5, SIZE))
    made.call(GATEWAY.key.public, "coldchain.policy", POLICY.encode())
    made.call(GATEWAY.key.public, "coldchain.open", *OWN.opening(PLANT))
    other = CARRIER.actor.key.public
    made.call(other, "identities.bootstrap", *CARRIER.actor.bootstrap(), organisation=OTHERS)
    made.call(other, "logs.register", CARRIER.origin.encode(), *CARRIER.log.vkeys(), organisation=OTHERS)
    made.call(other, "logs.anchor", *CARRIER.log.anchor(0, SIZE), organisation=OTHERS)
    source = Actor("logger-1", CARRIER.origin)
    made.call(other, "identities.enrol", *source.enrolment("source"), organisation=OTHERS)
    made.call(GATEWAY.key.public, "coldchain.open", *AWAY.opening(PLANT))
    made.now_us = HOUR_US
    said = AWAY.reporting(AWAY.report(1, HOUR_US, FROZEN))
    made.call(other, "coldchain.report", *said, organisation=OTHERS)


LOTS: dict[str, list[bytes]] = {}
_LEDGER = ledger()
VALID = {
    "logs.register": [ORIGIN.encode(), *LOG.vkeys()],
    "logs.anchor": LOG.anchor(SIZE, SIZE + 4),
    "logs.rotate": LOG.rotation(SIZE, log_signers(ORIGIN)),
    "logs.get": [ORIGIN.encode()],
    "logs.head": [ORIGIN.encode()],
    "logs.checkpoint": [ORIGIN.encode(), b"5"],
    "logs.forks": [ORIGIN.encode()],
    "identities.bootstrap": GATEWAY.bootstrap(),
    "identities.enrol": SPARE.enrolment("source"),
    "identities.rotate": THING.rotation(NEW_KEY, 7),
    "identities.revoke": THING.revocation(7),
    "identities.recovery": THING.recovery(NEW_KEY),
    "identities.recover": LAMP.recovered(OFFLINE, NEW_KEY, 7, 3),
    "identities.get": [THING.handle.encode()],
    "identities.history": [THING.handle.encode()],
    "identities.list": [b"source", b"a"],
    "kem.publish": PARTNER.publication(1, NEW_KEM),
    "kem.withdraw": PARTNER.withdrawal(),
    "kem.get": [b"partner"],
    "exchange.grant": OBJECT.grant(PARTNER.to, LATER.to),
    "exchange.regrant": PARTNER.passes_on(OBJECT, TO_LATER),
    "exchange.receive": PARTNER.receipt(OBJECT.said("partner")),
    "exchange.revoke": [OBJECT.object_id, b"partner", b"ended"],
    "exchange.get": [OBJECT.object_id],
    "exchange.granted": [OBJECT.object_id, b"partner"],
    "exchange.grants": [OBJECT.object_id, b"a"],
    "exchange.list": [b"recipient", b"partner", bytes(32)],
    "exchange.history": [OBJECT.object_id, b"partner"],
    "coldchain.policy": [replace(POLICY, gap_s=901).encode()],
    "coldchain.open": FRESH.opening(PLANT),
    "coldchain.report": OWN.reporting(OWN.report(1, HOUR_US, COLD)),
    "coldchain.overdue": [OWN.shipment_id],
    "coldchain.explain": AWAY.explaining(0, PLANT),
    "coldchain.release": AWAY.releasing(PLANT),
    "coldchain.close": AWAY.closing(PLANT),
    "coldchain.dispute": AWAY.disputing(AWAY.report(1, HOUR_US, COLD), PLANT),
    "coldchain.get": [OWN.shipment_id],
    "coldchain.get-policy": [POLICY.id],
    "coldchain.reports": [AWAY.shipment_id, b"0"],
    "coldchain.disputes": [AWAY.shipment_id],
    "coldchain.explanations": [AWAY.shipment_id],
    "coldchain.quarantine": [AWAY.units[0]],
    "coldchain.list": [b"plant", b"excursion", bytes(32)],
    **LOTS,
}


def answers(call: Callable[[], bytes]) -> None:
    try:
        assert isinstance(call(), bytes)
    except ContractError as e:
        assert str(e).startswith(f"{e.code}: ")  # noqa: PT017 - a result is as good as a refusal


def test_every_function_has_arguments_to_spoil() -> None:
    assert VALID.keys() == FUNCTIONS.keys()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_arguments_are_good_before_they_are_spoilt(function: str) -> None:
    """Else spoiling them would test nothing behind the first check."""
    ledger = MemoryLedger() if function == "identities.bootstrap" else ledger_once()
    if function == "logs.register":
        ledger.state = {key: value for key, value in ledger.state.items() if key != f"log/{ORIGIN}"}
    assert ledger.call(GATEWAY.key.public, function, *VALID[function])


@pytest.mark.parametrize("function", FUNCTIONS)
@settings(max_examples=scaled(10, 400))
@given(args=st.lists(st.binary(max_size=5000), max_size=8))
def test_arbitrary_bytes(function: str, args: list[bytes]) -> None:
    answers(lambda: ledger_once().call(GATEWAY.key.public, function, *args))


@pytest.mark.parametrize("function", FUNCTIONS)
@settings(max_examples=scaled(15, 2_000))
@given(data=st.data())
def test_valid_calls_with_spoilt_arguments(function: str, data: st.DataObject) -> None:
    args = list(VALID[function])
    place = data.draw(st.integers(0, len(args) - 1))
    start = data.draw(st.integers(0, len(args[place])))
    stop = data.draw(st.integers(start, min(len(args[place]), start + 4)))
    args[place] = args[place][:start] + data.draw(st.binary(max_size=4)) + args[place][stop:]
    answers(lambda: ledger_once().call(GATEWAY.key.public, function, *args))


@settings(max_examples=40)
@given(name=st.text(max_size=300), kid=st.binary(min_size=32, max_size=32))
def test_arbitrary_names_and_callers(name: str, kid: bytes) -> None:
    stranger = Actor("stranger", ORIGIN)
    answers(lambda: ledger_once().call(stranger.key.public, name))
    answers(lambda: ledger_once().call(stranger.key.public, "identities.revoke", b"thing", kid, b"1", b"why"))


def ledger_once() -> MemoryLedger:
    """A copy of the prepared ledger, since some spoilt calls are still good ones."""
    copy = MemoryLedger()
    copy.state, copy.history = dict(_LEDGER.state), dict(_LEDGER.history)
    return copy
