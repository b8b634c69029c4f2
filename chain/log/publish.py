"""Signs the log's checkpoints and publishes them once the witnesses have cosigned.

The order is what makes it safe: check the own history, sign, store the note durably, and only then show it to
anyone. Whatever stops in between, the next try finds the note and goes on with it. The publisher has a database
connection of its own; disk work is done in threads, one at a time.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence

from chain.errors import ForkError, LogError, WitnessError
from chain.log.checkpoints import Checkpoints, StoredCheckpoint
from chain.log.proofs import TileSource, root_at
from chain.log.quorum import Outcome, WitnessQuorum
from chain.log.witness import Submission
from crypto.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from crypto.errors import SignatureError
from crypto.note import Note, NoteSigner, VerifierKey, parse_note


class Publisher:
    """Makes the signed checkpoints of one log; its origin is the signers' common name."""

    def __init__(
        self,
        reader: TileSource,
        checkpoints: Checkpoints,
        signers: Sequence[NoteSigner],
        witnesses: WitnessQuorum | None = None,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        names = {signer.name for signer in signers}
        if len(names) != 1:
            raise LogError(f"the signers of a log are all named after its origin, got {sorted(names)}")
        self.origin = names.pop()
        self._reader, self._checkpoints, self._signers = reader, checkpoints, tuple(signers)
        self._witnesses, self._clock_ns = witnesses, clock_ns
        self._one_at_a_time = asyncio.Lock()

    async def sign(self) -> Note:
        """The published note of the current size; the one there is when the size has not changed.

        Raises:
            WitnessError: no quorum; the note is kept and nothing is published (fail closed).
            ForkError: the log contradicts what it signed before, or what a witness saw.
        """
        async with self._one_at_a_time:
            note, published = await asyncio.to_thread(self.prepare)
            if published or self._witnesses is None:
                return note
            keys = tuple(signer.vkey for signer in self._signers)
            submission = Submission(note, Checkpoint.parse(note.text), self._reader, keys)
            outcome = await self._witnesses.cosign(submission, self._checkpoints.witness_sizes())
            return await asyncio.to_thread(self._finish, submission, self._witnesses, outcome)

    def prepare(self) -> tuple[Note, bool]:
        """The durably stored note of the current size, signed now unless it was before, and whether it may be
        published without asking witnesses."""
        # 1. Never sign against what was signed before.
        newest, size, unwitnessed = self._checkpoints.newest_signed(), self._reader.size(), self._witnesses is None
        if newest:
            if newest.checkpoint.origin != self.origin:
                raise LogError(f"this log is {newest.checkpoint.origin!r}; it cannot go on as {self.origin!r}")
            check_history(self._reader, newest.checkpoint, "the newest checkpoint that this log signed", newest.note)
        # 2. One note a size; it may wait for witnesses that are no longer demanded.
        if newest and newest.size == size:
            note = parse_note(newest.note)
            if unwitnessed and not newest.published:
                self._save(note, size, newest.created_us, published=True)
            return note, unwitnessed or newest.published
        # 3. Sign, and store before anyone can see it.
        now_us = self._clock_ns() // 1000
        checkpoint = Checkpoint(self.origin, size, root_at(self._reader, size))
        note = sign_checkpoint(checkpoint, self._signers, now_us // 1_000_000)
        self._save(note, size, now_us, published=unwitnessed)
        return note, unwitnessed

    def change_signers(self, signers: Sequence[NoteSigner], size: int) -> None:
        """Sign with these from now on, and sign the kept checkpoints from `size` on anew with them: that one, and what
        may have been signed while nobody knew whether the ledger had taken the change. Blocking; not while `sign`
        runs."""
        keys = [signer.vkey for signer in signers]
        with self._checkpoints.db.transaction() as tx:
            for stored in self._checkpoints.kept():
                if stored.size >= size and not _is_signed_by(stored.note, keys):
                    self._renew(tx, stored, signers)
        self._signers = tuple(signers)

    def _renew(self, tx: sqlite3.Connection, stored: StoredCheckpoint, signers: Sequence[NoteSigner]) -> None:
        """Signatures of others under it stay: a witness signs the checkpoint, not its signatures."""
        now_us = self._clock_ns() // 1000
        others = [line for line in parse_note(stored.note).signatures if line.name != self.origin]
        fresh = sign_checkpoint(stored.checkpoint, signers, now_us // 1_000_000)
        self._checkpoints.renew(tx, Note(fresh.text, (*fresh.signatures, *others)), stored.size, now_us)

    def _finish(self, submission: Submission, witnesses: WitnessQuorum, outcome: Outcome) -> Note:
        size, cosigned = submission.checkpoint.size, tuple(found.signature for found in outcome.cosignatures)
        note = Note(submission.note.text, submission.note.signatures + cosigned)
        reached = witnesses.reached(outcome)
        with self._checkpoints.db.transaction() as tx:
            for url in outcome.cosigned:
                self._checkpoints.save_witness_size(tx, url, size)
            if reached:
                self._checkpoints.save(tx, note, size, self._clock_ns() // 1000)
        if not reached:
            raise WitnessError(f"the checkpoint of size {size} waits for its witness quorum: {outcome.reason()}")
        return note

    def _save(self, note: Note, size: int, signed_us: int, *, published: bool) -> None:
        with self._checkpoints.db.transaction() as tx:
            self._checkpoints.save(tx, note, size, signed_us, published=published)


def _is_signed_by(note: str, keys: Sequence[VerifierKey]) -> bool:
    try:
        open_checkpoint(note, keys)
    except SignatureError:
        return False
    return True


def check_history(reader: TileSource, seen: Checkpoint, source: str, note: str) -> None:
    """ForkError unless the log still contains the tree of a checkpoint it once signed. Called with its own
    newest one before each signature, and at start-up with the ledger's head: a restored backup stops here."""
    size = reader.size()
    if seen.size > size:
        raise ForkError(f"the log has {size} entries but {source} has {seen.size}: it was rolled back.\n{note}")
    root = root_at(reader, seen.size)
    if root != seen.root:
        ours = Checkpoint(seen.origin, seen.size, root).text()
        raise ForkError(f"the log contradicts {source} at size {seen.size}.\nstored log:\n{ours}\nsigned:\n{note}")
