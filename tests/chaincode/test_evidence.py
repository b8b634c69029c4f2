"""Evidence: only a record of the caller's own anchored log is any."""

import asyncio
from dataclasses import replace

import pytest

from chaincode.access import require_gateway
from chaincode.errors import Code, ContractError
from chaincode.evidence import Evidence, EvidenceRef, require_evidence
from chaincode.transaction import Caller
from crypto.errors import FormatError, ProofError, SealtrailError
from crypto.merkle import leaf_hash
from tests.chaincode.memory import MemoryLedger, MemoryTransaction
from tests.contract_suite.actors import Actor, MemoryLog, log_signers

ORIGIN, OTHER = "plant.example/gw1", "plant.example/gw2"
GATEWAY, SECOND = Actor("gateway", ORIGIN), Actor("second", OTHER)
LOG, SECOND_LOG = MemoryLog(ORIGIN, log_signers(ORIGIN)), MemoryLog(OTHER, log_signers(OTHER))


@pytest.fixture(scope="module")
def ledger() -> MemoryLedger:
    made = MemoryLedger()
    made.call(GATEWAY.key.public, "identities.bootstrap", *GATEWAY.bootstrap())
    made.call(GATEWAY.key.public, "identities.enrol", *SECOND.enrolment("gateway"))
    for actor, log in ((GATEWAY, LOG), (SECOND, SECOND_LOG)):
        made.call(actor.key.public, "logs.register", log.origin.encode(), *log.vkeys())
        made.call(actor.key.public, "logs.anchor", *log.anchor(0, 5))
    made.call(GATEWAY.key.public, "logs.anchor", *LOG.anchor(5, 9))
    return made


def proved(ledger: MemoryLedger, argument: bytes) -> EvidenceRef:
    async def run() -> EvidenceRef:
        tx = MemoryTransaction(ledger.state, ledger.history, 99, Caller(GATEWAY.key.public.kid, "plant"))
        return await require_evidence(tx, argument, await require_gateway(tx))

    return asyncio.run(run())


@pytest.mark.parametrize(("index", "size"), [(0, 5), (4, 5), (4, 9), (8, 9)])
def test_a_record_of_an_anchored_checkpoint(ledger: MemoryLedger, index: int, size: int) -> None:
    wanted = EvidenceRef(ORIGIN, index, leaf_hash(b"leaf%d" % index))
    assert proved(ledger, LOG.evidence(index, size)) == wanted
    assert EvidenceRef.of(wanted.items()) == wanted


@pytest.mark.parametrize(
    ("argument", "code"),
    [
        (SECOND_LOG.evidence(0, 5), Code.NOT_OWNER),
        (MemoryLog("nobody.example", LOG.signers).evidence(0, 5), Code.UNKNOWN_LOG),
        (LOG.evidence(3, 7), Code.UNKNOWN_CHECKPOINT),
        (replace(Evidence.decode(LOG.evidence(3, 5)), index=5).encode(), Code.NOT_ANCHORED),
        (replace(Evidence.decode(LOG.evidence(3, 5)), index=-1).encode(), Code.NOT_ANCHORED),
        (replace(Evidence.decode(LOG.evidence(3, 5)), anchored_size=-5).encode(), Code.UNKNOWN_CHECKPOINT),
    ],
)
def test_of_another_log_or_checkpoint(ledger: MemoryLedger, argument: bytes, code: Code) -> None:
    with pytest.raises(ContractError) as caught:
        proved(ledger, argument)
    assert caught.value.code is code


def test_a_record_that_is_not_in_the_log(ledger: MemoryLedger) -> None:
    good = Evidence.decode(LOG.evidence(3, 9))
    for false in (
        replace(good, leaf=b"leaf4"), replace(good, index=2), replace(good, proof=good.proof[1:]),
        replace(good, proof=[*good.proof, bytes(32)]), Evidence.decode(LOG.fork().evidence(3, 9)),
    ):  # fmt: skip
        with pytest.raises(ProofError):
            proved(ledger, false.encode())


@pytest.mark.parametrize(
    "changes", [{"leaf": b""}, {"leaf": bytes(1025)}, {"proof": [b"short"]}, {"proof": [bytes(32)] * 64}, {"origin": 7}]
)
def test_what_is_no_evidence(ledger: MemoryLedger, changes: dict[str, object]) -> None:
    good = Evidence.decode(LOG.evidence(3, 9))
    with pytest.raises(FormatError):
        proved(ledger, replace(good, **changes).encode())  # type: ignore[arg-type]
    for items in ([ORIGIN, -1, bytes(32)], [ORIGIN, 1, b"x"], [ORIGIN, 1], None):
        with pytest.raises(SealtrailError):
            EvidenceRef.of(items)
