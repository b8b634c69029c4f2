"""Fsck of the checkpoints that a log keeps: signed by its keys and witnesses, marked as its ledger says, none gone.

Believes the given keys and what the ledger holds. Cosignatures of witnesses that are not in the site's policy any more
are not looked at. A checkpoint that was never anchored can be removed without a trace: nothing else here names it.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chain.errors import FsckError
from chain.log.checkpoints import ANCHORED_EMBEDDED, ANCHORED_FABRIC, KEPT, StoredCheckpoint
from chain.site_keys import KeySet
from crypto.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from crypto.errors import SealtrailError, SignatureError
from crypto.note import VerifierKey, parse_note

_MARKS = (None, ANCHORED_EMBEDDED, ANCHORED_FABRIC)
_SIGNING_S = 10  # a checkpoint is stored at most this long after the time in its signature


@dataclass(frozen=True, slots=True)
class OnLedger:
    """What the ledger holds of this log: roots by size; `complete`: all of them; `settled`: the size of its head
    before the site was looked at, so that no anchor below it is in flight."""

    roots: Mapping[int, bytes]
    complete: bool
    settled: int


def check_checkpoints(
    rows: Sequence[StoredCheckpoint], size: int, keys: Sequence[KeySet], witnesses: Sequence[VerifierKey],
    ledger: OnLedger,
) -> dict[int, bytes]:  # fmt: skip
    """Roots by size of all rows, smallest size first, of a log of `size` entries; FsckError names the first false.
    `keys`: the log's present ones first, then those that signed up to some size."""
    roots = {}
    for row in rows:
        try:
            roots[row.size] = _check(row, size, open_by(row.note, keys, witnesses), ledger)
        except SealtrailError as e:
            raise FsckError(f"checkpoint of size {row.size}: {e}") from e
    return roots


def require_none_gone(sizes: Sequence[int], ledger: OnLedger) -> None:
    """FsckError where the ledger holds a checkpoint that should be among the kept ones, of these sizes in order. The
    newest KEPT are always there."""
    since = sizes[-KEPT] if len(sizes) >= KEPT else 0
    for anchored in sorted(ledger.roots):
        if since <= anchored <= ledger.settled and anchored not in sizes:
            raise FsckError(f"checkpoint of size {anchored}: the ledger holds it, but it is gone")


def _check(row: StoredCheckpoint, size: int, signed: SignedCheckpoint, ledger: OnLedger) -> bytes:
    checkpoint = signed.checkpoint
    if checkpoint.size != row.size or checkpoint.size > size:
        raise FsckError(f"its note is of size {checkpoint.size}, the log has {size} entries")
    _check_marks(row, ledger)
    _check_time(row, signed)
    return checkpoint.root


def _check_marks(row: StoredCheckpoint, ledger: OnLedger) -> None:
    oldest = 0 if ledger.complete else min(ledger.roots, default=0)
    if row.evidence not in _MARKS:
        raise FsckError(f"its mark of an anchor is {row.evidence!r:.40}, which no ledger gave")
    if row.evidence is not None and row.size >= oldest and row.size not in ledger.roots:
        raise FsckError("it is marked as anchored, but the ledger does not hold it")
    if row.evidence is None and ledger.complete and row.size in ledger.roots and row.size < ledger.settled:
        raise FsckError("the ledger holds it, but it is not marked as anchored")
    if row.evidence is not None and not row.published:
        raise FsckError("it is anchored, but held back as not published")


def _check_time(row: StoredCheckpoint, signed: SignedCheckpoint) -> None:
    name = signed.checkpoint.origin
    signed_s = max(found.timestamp for found in signed.signers if found.key.name == name)
    if signed_s and not 0 <= row.created_us // 1_000_000 - signed_s <= _SIGNING_S:
        raise FsckError(f"it is said to be of {row.created_us} µs, but was signed at {signed_s} s")


def open_by(note: str | bytes, keys: Sequence[KeySet], witnesses: Sequence[VerifierKey] = ()) -> SignedCheckpoint:
    """A checkpoint that the present keys of its log signed, or those that did so at its size."""
    said = parse_note(note)
    size = Checkpoint.parse(said.text).size
    for former in keys[1:]:
        if former.until is not None and size <= former.until:
            with contextlib.suppress(SignatureError):  # two changes may have come at one size
                return open_checkpoint(said, former.vkeys, witnesses)
    return open_checkpoint(said, keys[0].vkeys, witnesses)


def open_kept(note: bytes, keys: Sequence[KeySet]) -> Checkpoint:
    """A checkpoint that somebody kept elsewhere; FsckError where this log's keys did not sign it."""
    try:
        return open_by(note, keys).checkpoint
    except SealtrailError as e:
        raise FsckError(f"the kept checkpoint is not one of this log: {e}") from e
