"""Everything about one record, read from the log and the store and checked against each other on the way."""

from dataclasses import dataclass

from chain.errors import LogError, SealedError
from chain.event import Event, content_hash
from chain.log.checkpoints import StoredCheckpoint
from chain.record import ERASURE_KIND, LOGS_OWN, SEAL_KIND, Record
from chain.store.erasures import StoredErasure
from chain.store.seals import SealState, StoredSeal
from chain.store.segment import Segment, StoredEvent
from crypto.errors import DecryptionError
from crypto.merkle import leaf_hash
from gateway.query.errors import NotFoundError
from gateway.query.records import anchored_size
from gateway.query.view import View


@dataclass(frozen=True, slots=True)
class Content:
    """What a record's event holds, opened: the segment it lies in, exact bytes, and the event they decode to."""

    segment: Segment
    stored: StoredEvent
    event: Event


@dataclass(frozen=True, slots=True)
class RecordDetail:
    """One record and what surrounds it.

    entry: the exact leaf bytes. content: None for a record of the log's own and where the payload cannot be read.
    erasure: the statement by which it was erased, or which this record logs. sealed_to: ids of the keys that open the
    payload, where this gateway has none of them.
    seal: the seal over this event, or the one that this record logs. checkpoint: the signed checkpoint that
    holds the record, the newest anchored one where there is one, else the newest published; None while the
    record is newer. anchored: whether that checkpoint is on the ledger.
    """

    leaf: int
    entry: bytes
    record: Record
    content: Content | None
    erasure: StoredErasure | None
    seal: StoredSeal | None
    log_size: int
    checkpoint: StoredCheckpoint | None
    anchored: bool
    sealed_to: tuple[bytes, ...] = ()

    @property
    def leaf_hash(self) -> bytes:
        return leaf_hash(self.entry)

    @property
    def erased(self) -> bool:
        return self.erasure is not None and self.record.kind != ERASURE_KIND

    @property
    def is_seal(self) -> bool:
        return self.record.kind == SEAL_KIND

    @property
    def content_matches(self) -> bool:
        """Whether the stored event is the one that the record names."""
        return self.content is not None and content_hash(self.content.stored.event) == self.record.content_hash

    @property
    def seal_state(self) -> str:
        """none, pending (events of its range are missing), holds or broken."""
        return "none" if self.seal is None else SealState(self.seal.state).name.lower()


def record_detail(view: View, leaf: int) -> RecordDetail:
    """The record at `leaf`. NotFoundError where the log has none."""
    size = view.site.entries.size()
    try:
        entry = view.site.entries.entry(leaf)
    except LogError as e:
        raise NotFoundError(f"there is no record {leaf}; the log has {size:,} entries, numbered from 0") from e
    record = Record.decode(entry)
    erasures, own = view.site.erasures, record.kind == ERASURE_KIND
    erasure = erasures.at(leaf) if own else erasures.covering(leaf)
    content, sealed_to = (None, ()) if record.kind in LOGS_OWN or erasure else _content(view, leaf)
    seal = None if own else view.site.seals.covering(record.source, record.boot, record.seq)
    checkpoint, anchored = _checkpoint(view, leaf)
    return RecordDetail(leaf, entry, record, content, erasure, seal, size, checkpoint, anchored, sealed_to)


def _content(view: View, leaf: int) -> tuple[Content | None, tuple[bytes, ...]]:
    """The opened payload, where it is there and opens; or whose keys it is sealed to."""
    try:
        segment = view.site.payloads.segment_of(leaf)
    except SealedError as e:
        return None, e.kids
    except DecryptionError:
        return None, ()
    if segment is None:
        return None, ()
    stored = segment.events[leaf - segment.first_leaf]
    return Content(segment, stored, Event.decode(stored.event)), ()


def _checkpoint(view: View, leaf: int) -> tuple[StoredCheckpoint | None, bool]:
    anchored = anchored_size(view.site)
    if anchored > leaf:
        return view.site.checkpoints.at(anchored), True
    newest = view.site.checkpoints.latest()
    return (newest, False) if newest and newest.size > leaf else (None, False)
