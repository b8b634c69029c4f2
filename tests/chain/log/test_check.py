"""Fsck of kept checkpoints: what their bound lets go, and the cosignatures of witnesses."""

import pytest

from chain.errors import FsckError
from chain.log.check import OnLedger, check_checkpoints, require_none_gone
from chain.log.checkpoints import KEPT, StoredCheckpoint
from chain.site_keys import KeySet
from crypto.checkpoint import Checkpoint, sign_checkpoint
from crypto.keys import Algorithm, PrivateKey
from crypto.note import NoteSigner, SignatureType

ORIGIN = "plant-7.example/line-3"
NOW_S = 1_800_000_000
LOG = NoteSigner(ORIGIN, SignatureType.ED25519, PrivateKey.generate(Algorithm.ED25519))
LOG_ML_DSA = NoteSigner(ORIGIN, SignatureType.ML_DSA_44_COSIGNATURE, PrivateKey.generate(Algorithm.ML_DSA_44))
WITNESS = NoteSigner("w.example", SignatureType.ED25519_COSIGNATURE, PrivateKey.generate(Algorithm.ED25519))
KEYS = [KeySet((LOG.vkey, LOG_ML_DSA.vkey))]
NOTHING = OnLedger({}, complete=True, settled=0)


def stored(created_us: int = NOW_S * 1_000_000) -> StoredCheckpoint:
    note = sign_checkpoint(Checkpoint(ORIGIN, 5, bytes(32)), (LOG, LOG_ML_DSA, WITNESS), NOW_S).marshal()
    return StoredCheckpoint(5, note, created_us, True, None)


def test_an_altered_cosignature_of_a_witness_in_the_policy_is_found() -> None:
    whole = stored()
    start, _, last = whole.note.rstrip("\n").rpartition(" ")
    body = last[:-20] + ("A" if last[-20] != "A" else "B") + last[-19:]
    altered = StoredCheckpoint(5, f"{start} {body}\n", whole.created_us, True, None)
    assert check_checkpoints([whole], 5, KEYS, [WITNESS.vkey], NOTHING) == {5: bytes(32)}
    with pytest.raises(FsckError, match="checkpoint of size 5: ed25519 signature does not verify"):
        check_checkpoints([altered], 5, KEYS, [WITNESS.vkey], NOTHING)
    # Of a witness that is in no policy any more nobody has the key.
    assert check_checkpoints([altered], 5, KEYS, [], NOTHING) == {5: bytes(32)}


@pytest.mark.parametrize(("late_us", "whole"), [(0, True), (10_999_999, True), (11_000_000, False), (-1, False)])
def test_a_checkpoint_is_dated_as_its_signature_says(late_us: int, whole: bool) -> None:
    row = stored(NOW_S * 1_000_000 + late_us)
    if whole:
        check_checkpoints([row], 5, KEYS, [], NOTHING)
        return
    with pytest.raises(FsckError, match=f"but was signed at {NOW_S} s"):
        check_checkpoints([row], 5, KEYS, [], NOTHING)


def test_old_checkpoints_may_be_gone_and_new_ones_may_not() -> None:
    """As the table drops them: all but the newest 1,000, and the newest anchored one stays."""
    sizes = list(range(1, KEPT + 51))
    kept = [7, *sizes[50:]]
    require_none_gone(kept, OnLedger(dict.fromkeys([3, 7, 60], b""), complete=True, settled=KEPT + 50))
    gone = [size for size in kept if size != 60]
    with pytest.raises(FsckError, match="checkpoint of size 60: the ledger holds it, but it is gone"):
        require_none_gone(gone, OnLedger({60: b""}, complete=True, settled=KEPT + 50))
    with pytest.raises(FsckError, match="checkpoint of size 3: "):  # so few that none was ever dropped
        require_none_gone([5, 6], OnLedger({3: b""}, complete=True, settled=6))
    require_none_gone([5], OnLedger({6: b""}, complete=True, settled=5))  # anchored since the site was looked at
