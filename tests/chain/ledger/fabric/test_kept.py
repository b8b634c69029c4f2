"""What a site keeps of a channel: bounded, the place and the proof in one commit, one writer beside readers."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chain.errors import StoreError
from chain.ledger.fabric.kept import FILE, KEPT_CHECKPOINTS, KeptProofs
from chain.policy import ChannelLine
from chaincode.state import checkpoint_key, identity_key

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
