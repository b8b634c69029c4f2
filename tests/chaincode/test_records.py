"""Records of the state: read back as written, and nothing else is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaincode.coldchain.alarms import Cause, Finding
from chaincode.coldchain.policy import Policy
from chaincode.coldchain.quarantine import Quarantine
from chaincode.coldchain.records import (
    Act,
    Alarm,
    DisputeRecord,
    Explanation,
    Logger,
    Progress,
    ReportRecord,
    Shipment,
)
from chaincode.coldchain.report import LoggerReport, Outside, Report
from chaincode.errors import StateError
from chaincode.evidence import EvidenceRef
from chaincode.exchange_records import (
    DeliveryRecord,
    DeliveryStatement,
    GrantRecord,
    ObjectRecord,
    Revocation,
    Verdict,
)
from chaincode.identity_records import Doubt, Identity, KeyRecord, Role
from chaincode.kem_records import KemKey, KemKeys
from chaincode.log_records import AnchorAnswer, AnchoredCheckpoint, AnchorStatus, ForkRecord, FormerKeys, LogRecord
from chaincode.lots.exception_records import Answer, End, ExceptionRecord, Hold, Kind, Party, Resolution
from chaincode.lots.items import Quantity
from chaincode.lots.pack_records import EndAnswer, EndStatus, Fate, PackRecord, WriteOff
from chaincode.lots.recall_records import Lifted, RecallAnswer, RecallRecord
from chaincode.lots.records import Balance, LotRecord, Recalled
from chaincode.lots.unit_records import UnitRecord, UnitState
from chaincode.state import Record
from crypto import cbor
from crypto.errors import FormatError, KeyMaterialError, SealtrailError
from crypto.kem import KemPrivateKey, KemSuite
from crypto.keys import Algorithm, PrivateKey
from crypto.merkle import EMPTY_ROOT
from tests.chain.conditions.readings import POLICY
from tests.chaincode.memory import MemoryLedger
from tests.contract_suite.actors import Actor, log_signers

ORIGIN = "plant.example/gw1"
KEM_KEYS = [KemPrivateKey.generate(suite).public for suite in KemSuite]
TEXTS = [*Role, *AnchorStatus, *Verdict, *Fate, *EndStatus, *UnitState, *Kind]  # of which no other may stand there
KEYS = [PrivateKey.generate(Algorithm.ED25519) for _ in range(2)]
STATEMENT = DeliveryStatement(bytes(32), bytes(32), "clinic", Verdict.OPENED, "", 7)


def records() -> list[Record]:
    vkeys = tuple(signer.vkey for signer in log_signers(ORIGIN))
    keys = (KeyRecord(KEYS[0].public, 0, 5, "lost"), KeyRecord(KEYS[1].public, 7))
    doubted = (KeyRecord(KEYS[0].public, 0, 5, "stolen", Doubt(3, "ab" * 32)), keys[1])
    former = (FormerKeys(0, (bytes(32),)), FormerKeys(9, (bytes(32), bytes(32))))
    return [
        LogRecord(ORIGIN, "plant/gw", vkeys),
        AnchoredCheckpoint(ORIGIN, 7, EMPTY_ROOT, "note", 1_700_000_000_000_000, "ab" * 32),
        ForkRecord(ORIGIN, 7, "one", "two", 1_700_000_000_000_000, "ab" * 32),
        AnchorAnswer(AnchorStatus.FORK, 7, EMPTY_ROOT),
        Identity("thing", Role.SOURCE, "plant", ORIGIN, keys),
        KemKeys("thing", (KemKey(KEM_KEYS[0], 5, 7), KemKey(KEM_KEYS[1], 7, 9, "lost"), KemKey(KEM_KEYS[3], 9))),
        ObjectRecord(bytes(32), bytes(32), 7, ORIGIN, 3, 5, 1_700_000_000_000_000, "ab" * 32),
        GrantRecord(bytes(32), "clinic", bytes(32), "plant/gw", bytes(32), 7, "ab", Revocation(9, "cd", "ended")),
        STATEMENT,
        DeliveryRecord(STATEMENT.encode(), bytes(32), b"signature", 7, "ab"),
        LogRecord(ORIGIN, "plant/gw", vkeys, former),
        Identity("thing", Role.SOURCE, "plant", ORIGIN, doubted, KEYS[1].public),
        *coldchain_records(),
        *lots_records(),
    ]


def coldchain_records() -> list[Record]:
    ref, act = EvidenceRef(ORIGIN, 3, bytes(32)), Act("plant", 7, "ab", "why")
    loggers = (Logger(f"{ORIGIN}#thing", "t", 20_000, bytes(32)), Logger(f"{ORIGIN}#other", "t"))
    alarm = Alarm(Finding(Cause.LIMIT, 0, 1, 300), 2, 7, "ab")
    figures = LoggerReport(2, 5, 7, 1_000, 9_000, 5_000, (Outside(1, 2, 3),), 1, 0, 0, 0, 0, 0, bytes(32))
    bare = LoggerReport(0, None, None, None, None, None, (Outside(0, 0, 0),), 1, 1, 0, 0, 0, 0, bytes(32))
    return [
        POLICY,
        Report(1, 5, 9, 0, 8, (figures, bare)),
        Shipment(bytes(32), bytes(32), "a", ORIGIN, "b", "c", 5, loggers, (bytes(32),), ref, 7, "ab"),
        Progress(2, 9, (alarm,), True, act, act, True),
        ReportRecord(b"report", ref, 7, "ab"),
        Explanation(0, "plant", "battery", bytes(32), ref, 7, "ab", 9),
        DisputeRecord(1, "plant", b"report", ref, 7, "ab"),
        Quarantine(bytes(32), 7, "ab", "plant", 9, "why"),
    ]


def lots_records() -> list[Record]:
    ref, lot, other = EvidenceRef(ORIGIN, 3, bytes(32)), bytes(32), bytes(31) + b"1"
    parties = (Party("a", Answer(ref, lot, 7, "ab")), Party("b"))
    return [
        LotRecord(lot, "a", lot, 9, (Quantity(lot, 7), Quantity(other, 1)), 20_000, ref, 7, "ab", Recalled("cd", 1, 9)),
        Balance(lot, "a", 9, 1, 2, 3, "b"),
        PackRecord(lot, other, Fate.STOLEN, "a", lot, ref, 7, "ab"),
        WriteOff(lot, "a", 7, "spilt", ref, 7, "ab"),
        EndAnswer(EndStatus.DUPLICATE, lot),
        UnitRecord(
            lot, (Quantity(lot, 7),), lot, 7, 1, "a", UnitState.HELD, ref, 7, "ab", None, other, other, "b", True
        ),
        ExceptionRecord(
            lot, Kind.DAMAGED, (lot, other), "a", parties, ref, ref, lot, 9, 7, "ab",
            End(Resolution.RETURNED, "a", ref, 9, "cd"),
        ),
        Hold(((lot, "a"), (other, "b"))),
        RecallRecord("ab", lot, "a", 1, 9, "glass", ref, 7, "cd", Lifted("another lot", ref, 9, "ef")),
        RecallAnswer("ab", lot, lot, 7, "cd"),
    ]  # fmt: skip


NULLABLE = {
    (Policy, 4), (Policy, 8), (Progress, 6), (Progress, 7), (LotRecord, 7), (LotRecord, 11), (Balance, 8),
    (PackRecord, 6), (EndAnswer, 3), (UnitRecord, 12), (UnitRecord, 13), (UnitRecord, 14), (UnitRecord, 15),
    (ExceptionRecord, 8), (ExceptionRecord, 9), (ExceptionRecord, 13), (RecallRecord, 10), (RecallRecord, 11),
}  # fmt: skip


@pytest.mark.parametrize("record", records(), ids=lambda record: type(record).__name__)
def test_records_are_read_back_and_nothing_else_is(record: Record) -> None:
    encoded = record.encode()
    assert type(record).decode(encoded) == record
    item = cbor.decode(encoded, 2**17)
    for key in item:
        for wrong in (None, 2**70, [[]], -1.5, "\x00"):
            if type(wrong) is str and type(item[key]) is str and item[key] not in TEXTS:
                continue  # any text may stand there
            if wrong is None and type(record) is GrantRecord and key in (6, 9):
                continue  # neither of a grant file nor revoked
            if wrong is None and (type(record), key) in NULLABLE:
                continue
            with pytest.raises((FormatError, KeyMaterialError)):
                type(record).decode(cbor.encode(item | {key: wrong}))
    for damaged in (encoded + b"\x00", encoded[:-1], cbor.encode(item | {99: 0}), cbor.encode([1]), b""):
        with pytest.raises(FormatError):
            type(record).decode(damaged)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_record(data: bytes) -> None:
    for record in records():
        with pytest.raises(SealtrailError):
            type(record).decode(data)


def test_damaged_state_is_not_taken_for_a_bad_argument() -> None:
    ledger, gateway = MemoryLedger(), Actor("gateway", ORIGIN)
    ledger.call(gateway.key.public, "identities.bootstrap", *gateway.bootstrap())
    ledger.state["id/gateway"] = b"\xff"
    with pytest.raises(StateError, match="fsck"):
        ledger.call(gateway.key.public, "identities.get", b"gateway")
    del ledger.state["id/gateway"]
    with pytest.raises(StateError, match="no record"):
        ledger.call(gateway.key.public, "logs.register", ORIGIN.encode(), b"x")
