"""Publishes checkpoints and anchors them: each interval, or at once for an urgent event; one anchor in flight.

At start it compares the log with the ledger's head and stops the gateway if they contradict each other. While
the ledger or the witnesses are away events go on; one later anchor catches up, because a consistency proof
spans any distance. Runs on the event loop, with a database connection of its own.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from chain.errors import AnchorRefusedError, ForkError, LedgerError, LogError
from chain.ledger.interface import Ledger
from chain.log.checkpoints import ANCHORED_EMBEDDED, ANCHORED_FABRIC, Checkpoints
from chain.log.proofs import consistency_proof
from chain.log.publish import Publisher, check_history
from chain.log.reader import LogReader
from chain.store.database import Database
from chaincode.log_records import AnchorAnswer, AnchoredCheckpoint, AnchorStatus, ForkRecord
from chaincode.log_rotation import KeyChange
from crypto import cbor, labels
from crypto.checkpoint import Checkpoint, sign_checkpoint
from crypto.errors import SealtrailError
from crypto.note import Note, NoteSigner, parse_note

log = logging.getLogger(__name__)
RETRY_S = 1.0
MAX_FORKS_BYTES = 2**21  # 16 records of two notes
BEHIND_S = 120.0  # a peer that comes back has the blocks of an hour in less


@dataclass(slots=True)
class AnchorState:
    """What the status page shows; sizes in entries, time in microseconds since the Unix epoch."""

    checkpoint_size: int = 0
    anchored_size: int = 0
    proved_size: int = 0  # the newest anchored checkpoint whose proof receipts can show
    anchored_us: int = 0
    anchors: int = 0
    problem: str = ""
    note: bytes = b""  # the newest signed checkpoint


class Anchorer:
    """Moves the log's published head and the ledger's head behind the log's size."""

    def __init__(self, db: Database, publisher: Publisher, ledger: Ledger, *, checkpoint_s: float, anchor_s: float,
                 proofs_follow: bool = False) -> None:  # fmt: skip
        """`proofs_follow`: an anchored checkpoint is proved later, by a call of `proved`; else at once."""
        self._db, self._publisher, self._ledger = db, publisher, ledger
        self._reader, self._checkpoints = LogReader(db), Checkpoints(db)
        self._checkpoint_s, self._anchor_s = checkpoint_s, anchor_s
        self._proofs_follow = proofs_follow
        self._urgent = asyncio.Event()
        self._next_anchor = 0.0
        self._one_at_a_time = asyncio.Lock()
        self._closed = self._checked = False
        self._behind_since = 0.0
        self.state = AnchorState()
        self.fork: ForkError | None = None  # why nothing is signed any more

    def urgent(self) -> None:
        """Anchor what is there as soon as the anchor in flight, if any, is done."""
        self._urgent.set()

    async def check(self) -> None:
        """Compare the log with the ledger's head before anything new is signed.

        Raises:
            ForkError: log and ledger contradict each other, or one of them is an old copy; both notes are in
                the message.
        """
        await self._alone(self._check())

    async def _check(self) -> None:
        head = await self._head()
        await asyncio.to_thread(self._compare, head)
        await self._require_one_history()
        self.state.anchored_size, self.state.anchored_us = head.size, head.anchored_us
        self._checked = True

    async def _require_one_history(self) -> None:
        """Stop where the ledger keeps proof that the log's keys signed two histories, whoever did it."""
        forks = await self._ledger.evaluate("logs.forks", self._publisher.origin.encode())
        for encoded in cbor.decode(forks, MAX_FORKS_BYTES):
            fork = ForkRecord.decode(encoded)
            raise ForkError(
                f"the ledger keeps proof of two histories of this log, transaction {fork.tx_id}.\n"
                f"anchored:\n{fork.anchored_note}\nrefused:\n{fork.refused_note}"
            )

    def look_again(self) -> None:
        """The ledger has news of a fork: compare anew before anything more is signed."""
        self._checked = False
        self._urgent.set()

    async def proved(self, size: int) -> None:
        """The proof that the ledger holds the checkpoint of this size is at hand."""
        await self._alone(asyncio.to_thread(self._mark, size))

    async def change_keys(self, new: Sequence[NoteSigner], old: Sequence[NoteSigner], ledger: tuple[str, ...]) -> None:
        """Anchor everything, have the contract take the log's new keys at that head, and sign with them. `ledger`:
        the vkeys that the embedded ledger takes at the same time."""
        await self._alone(self._change_keys(new, old, ledger))

    async def _change_keys(self, new: Sequence[NoteSigner], old: Sequence[NoteSigner], ledger: tuple[str, ...]) -> None:
        await self._round(urgent=True)
        head = await self._head()
        before, after = (tuple(str(signer.vkey) for signer in signers) for signers in (old, new))
        change = KeyChange(head.origin, before, after, head.size, head.root, ledger).encode()
        checkpoint = Checkpoint(head.origin, head.size, head.root)
        note = sign_checkpoint(checkpoint, new, time.time_ns() // 1_000_000_000).marshal().encode()
        signatures = [signer.private.sign(change, labels.LOG_KEY_ROTATION) for signer in (*old, *new)]
        await self._ledger.submit("logs.rotate", change, note, *signatures)
        # Before anything else is signed.
        await asyncio.to_thread(self._publisher.change_signers, new, head.size)

    async def use_keys(self, signers: Sequence[NoteSigner], size: int) -> None:
        """Sign with these keys from now on, and what is kept from `size` on, up to which the old ones signed, anew."""
        await self._alone(asyncio.to_thread(self._publisher.change_signers, signers, size))

    async def close(self) -> None:
        """Wait for what is being done; nothing is published afterwards. Then the database may be closed."""
        async with self._one_at_a_time:
            self._closed = True

    async def _alone(self, work: Coroutine[Any, Any, None]) -> None:
        """One at a time, and to its end even where the caller is cancelled: a thread uses the database meanwhile."""

        async def held() -> None:
            async with self._one_at_a_time:
                if self._closed:
                    work.close()
                    raise LogError("the gateway is stopping; nothing more is published")
                await work

        await asyncio.shield(asyncio.create_task(held()))

    def _compare(self, head: AnchoredCheckpoint) -> None:
        anchored, newest = self._checkpoints.latest_anchored(), self._checkpoints.newest_signed()
        if anchored and (size := Checkpoint.parse(parse_note(anchored[0]).text).size) > head.size:
            self._allow_for_a_peer_behind(size, head.size)
            raise ForkError(
                f"the ledger is at size {head.size}, but size {size} was anchored on it: the ledger was rolled back.\n"
                f"the ledger's head:\n{head.note or 'none'}\nanchored before:\n{anchored[0]}"
            )
        self._behind_since = 0.0
        if not head.note:
            return
        try:
            check_history(self._reader, Checkpoint(head.origin, head.size, head.root), "the ledger's anchor", head.note)
        except ForkError as e:
            ours = newest.note if newest else "none"
            raise ForkError(f"{e}\nthe newest checkpoint that is stored here:\n{ours}") from e
        if not self._proofs_follow:
            self._mark(head.size)
        elif anchored:
            self.state.proved_size = size

    def _allow_for_a_peer_behind(self, size: int, shown: int) -> None:
        """A peer of a ledger elsewhere that was away shows the past for a while; a rollback shows it for ever."""
        now = time.monotonic()
        self._behind_since = self._behind_since or now
        if self._proofs_follow and now - self._behind_since < BEHIND_S:
            raise LedgerError(f"the ledger's peer is at size {shown}, but size {size} was anchored: it may be behind")

    async def run(self) -> None:
        """Publish and anchor until cancelled."""
        while True:
            urgent = await self._pause()
            try:
                await self._alone(self._round(urgent))
                self.state.problem = ""
            except ForkError as e:
                self.state.problem = str(e)
                self.fork = e
                log.critical("the log contradicts its anchor; nothing more is signed: %s", e)
                return
            except Exception as e:  # outermost boundary of this task: it must outlive any fault, and say so
                if self.state.problem != str(e):
                    log.warning("anchoring waits: %s", e, exc_info=not isinstance(e, SealtrailError))
                self.state.problem = str(e) or repr(e)
                await asyncio.sleep(RETRY_S)
                if urgent:
                    self._urgent.set()

    async def flush(self) -> None:
        """Publish and anchor everything that is in the log now."""
        await self._alone(self._round(urgent=True))

    async def _pause(self) -> bool:
        try:
            async with asyncio.timeout(self._checkpoint_s):
                await self._urgent.wait()
        except TimeoutError:
            return False
        self._urgent.clear()
        return True

    async def _round(self, urgent: bool) -> None:
        if not self._checked:  # the ledger was away at the start, or has news
            await self._check()
        note = await self._publisher.sign()
        self.state.checkpoint_size, self.state.note = Checkpoint.parse(note.text).size, note.marshal().encode()
        due = urgent or time.monotonic() >= self._next_anchor
        if due and self.state.checkpoint_size > self.state.anchored_size:
            await self._anchor(note)
            self._next_anchor = time.monotonic() + self._anchor_s  # one that failed is due at once

    async def _anchor(self, note: Note) -> None:
        checkpoint = Checkpoint.parse(note.text)
        head = await self._head()
        # The answer to the anchor before was lost, or could not be noted; the anchor was not.
        if head.size > self.state.anchored_size and await asyncio.to_thread(self._is_ours, head):
            await self._took(head.size)
        if (head.size, head.root) == (checkpoint.size, checkpoint.root):
            return
        proof = await asyncio.to_thread(consistency_proof, self._reader, head.size, checkpoint.size)
        submitted = await self._ledger.submit("logs.anchor", note.marshal().encode(), *proof)
        answer = AnchorAnswer.decode(submitted.result)
        if answer.status is AnchorStatus.FORK:
            raise ForkError(f"the ledger holds another root for size {checkpoint.size} and kept both notes")
        if (answer.size, answer.root) != (checkpoint.size, checkpoint.root):
            raise AnchorRefusedError(f"the ledger's head is at {answer.size}, expected {checkpoint.size}")
        await self._took(checkpoint.size)
        self.state.anchors += 1

    def _is_ours(self, head: AnchoredCheckpoint) -> bool:
        stored = self._checkpoints.at(head.size)
        return stored is not None and stored.checkpoint.root == head.root

    async def _took(self, size: int) -> None:
        if not self._proofs_follow:
            await asyncio.to_thread(self._mark, size)
        self.state.anchored_size, self.state.anchored_us = size, time.time_ns() // 1000

    def _mark(self, size: int) -> None:
        """Note that the ledger holds this checkpoint, and that its proof can be shown. At start too: a crash may have
        come after the ledger's commit and before ours."""
        stored = self._checkpoints.at(size)
        if stored and stored.evidence is None:
            with self._db.transaction() as tx:
                mark = ANCHORED_FABRIC if self._proofs_follow else ANCHORED_EMBEDDED
                self._checkpoints.mark_anchored(tx, size, mark)
        self.state.proved_size = max(self.state.proved_size, size)

    async def _head(self) -> AnchoredCheckpoint:
        return AnchoredCheckpoint.decode(await self._ledger.evaluate("logs.head", self._publisher.origin.encode()))
