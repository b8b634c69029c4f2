"""What a site keeps of a channel: bounded, the place and the proof in one commit, one writer beside readers."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chain.errors import EvidenceError, FsckError, StoreError
from chain.ledger.fabric.kept import _PRUNE_SHIPMENTS, FILE, KEPT_CHECKPOINTS, KeptProofs, shipment_written
from chain.ledger.proof import LedgerCall
from chain.policy import ChannelLine
from chaincode.coldchain.records import ReportRecord
from chaincode.coldchain.state import policy_key, progress_key, report_key, shipment_key
from chaincode.evidence import Evidence
from chaincode.state import checkpoint_key, identity_key
from tests.chain.conditions.readings import POLICY, course
from tests.chaincode.coldchain.world import ColdWorld

PIN = ChannelLine("sealtrail", bytes(32))
ORIGIN = "plant.example/line-1"


def test_the_newest_checkpoints_and_every_identity_stay(tmp_path: Path) -> None:
    with closing(KeptProofs(tmp_path)) as kept:
        for number in range(KEPT_CHECKPOINTS + 20):
            kept.keep(identity_key(f"{ORIGIN}#source-{number}"), b"identity", b"proof", PIN, 2 * number)
            kept.keep(checkpoint_key(ORIGIN, number), b"checkpoint", b"proof", PIN, 2 * number + 1)
        sizes = [int(key[-20:]) for key, _ in kept.values("cp/", "cp0")]
        assert sizes == list(range(20, KEPT_CHECKPOINTS + 20))
        assert len(kept.values("id/", "id0")) == KEPT_CHECKPOINTS + 20
        assert kept.lines() == ((), (PIN,))
        assert kept.place == 2 * (KEPT_CHECKPOINTS + 20) - 1


def test_the_place_is_remembered_with_the_proof(tmp_path: Path) -> None:
    with closing(KeptProofs(tmp_path)) as kept:
        assert kept.place == -1
        kept.keep("id/one", b"value", b"proof", PIN, 7)
        kept.pass_by(9)
    with closing(KeptProofs(tmp_path)) as kept, closing(KeptProofs(tmp_path, readonly=True)) as reader:
        assert (kept.place, reader.place, reader.value("id/one")) == (9, 9, b"value")
        kept.keep("id/one", b"newer", b"proof", PIN, 11)
        assert (reader.place, reader.value("id/one"), reader.value("id/two")) == (11, b"newer", None)


def test_a_proof_that_cannot_be_written_moves_nothing(tmp_path: Path) -> None:
    with closing(KeptProofs(tmp_path)) as kept:
        kept.keep("id/one", b"value", b"proof", PIN, 7)
        with closing(sqlite3.connect(tmp_path / FILE)) as other:
            other.execute("CREATE TRIGGER full BEFORE INSERT ON followed BEGIN SELECT RAISE(ABORT, 'full'); END")
            other.commit()
        with pytest.raises(StoreError, match="full"):
            kept.keep("id/two", b"value", b"proof", PIN, 8)
        assert (kept.place, kept.value("id/two")) == (7, None)


def call(function: str, result: bytes, *args: bytes) -> LedgerCall:
    return LedgerCall("the channel", f"coldchain.{function}", args, result, "everybody", 7)


def test_calls_of_a_shipment_prove_what_they_wrote(tmp_path: Path) -> None:
    """By the contract itself, whose writes in memory are compared; and the file of conditions finds them all."""
    world = ColdWorld.fresh()
    trip = world.opened()
    calls = [("open", world.maker, trip.opening(world.maker), world.ledger.state[shipment_key(trip.shipment_id)])]
    report = trip.report(1, world.at(20), course(5, 5, 1, 5))
    for function, party, args in (
        ("report", world.carrier, trip.reporting(report)),
        ("release", world.wholesaler, trip.releasing(world.wholesaler)),
        ("close", world.wholesaler, trip.closing(world.wholesaler)),
    ):
        calls.append((function, party, args, world.submit(party, f"coldchain.{function}", *args)))
    with closing(KeptProofs(tmp_path)) as kept:
        for place, (function, _, args, result) in enumerate(calls):
            pairs = shipment_written(call(function, result, *args), "ab")
            policy = POLICY.encode() if function == "open" else b""
            kept.keep_all(pairs, f"proof {function}".encode(), PIN, place, policy)
        found = dict(kept.values("shipment", "shipmenu"))
        for key, value in found.items():
            if not key.startswith("shipment-report/"):
                assert value == world.ledger.state[key], key
        kept_report = ReportRecord.decode(found[report_key(trip.shipment_id, 1)])
        assert (kept_report.report, kept_report.reported_us) == (report.encode(), 7)
        assert kept_report.evidence == Evidence.decode(trip.reporting(report)[2]).ref
        assert kept.value(policy_key(POLICY.id)) == POLICY.encode()
        assert kept.evidence_for(policy_key(POLICY.id)) is None
        part = kept.evidence_for(progress_key(trip.shipment_id))
        assert part is not None
        assert part.evidence == b"proof close"
    with pytest.raises(EvidenceError):
        shipment_written(call("explain", b"", bytes(32)), "ab")


def test_the_newest_keys_of_shipments_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(KeptProofs(tmp_path)) as kept:
        for number in range(12):
            kept.keep(report_key(bytes(32), number), b"report", b"proof", PIN, number)
        assert len(kept.values("shipment", "shipmenu")) == 12
        monkeypatch.setattr("chain.ledger.fabric.kept._PRUNE_SHIPMENTS", _PRUNE_SHIPMENTS.replace("20000", "5"))
        kept.keep(identity_key("one"), b"identity", b"proof", PIN, 12)
        found = [key for key, _ in kept.values("shipment", "shipmenu")]
        assert found == [report_key(bytes(32), number) for number in range(7, 12)]


def test_a_policy_is_checked_by_its_hash(tmp_path: Path) -> None:
    with closing(KeptProofs(tmp_path)) as kept:
        kept.keep_all([], b"", PIN, 1, POLICY.encode())
        assert kept.check() == 1
        with closing(sqlite3.connect(tmp_path / FILE)) as other:
            other.execute("UPDATE kept SET value = ?", (POLICY.encode() + b"x",))
            other.commit()
        with pytest.raises(FsckError, match="not the policy of this hash"):
            kept.check()
