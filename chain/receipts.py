"""Builds receipts from a site's store and its ledger.

Reads only; what it builds is as true as what is stored, and whoever receives it verifies it with chain.verify.
"""

import base64
from collections.abc import Sequence

from chain.errors import ReceiptError, SealedError
from chain.event import SignedSeal, Span
from chain.ledger.reading import LedgerReader
from chain.log.proofs import ProofBuilder, inclusion_path
from chain.receipt import FORMAT, ErasurePart, Field, LedgerPart, Receipt, SealPart
from chain.record import ERASURE_KIND, LOGS_OWN, SEAL_KIND, Record
from chain.site import SiteReader
from chain.store.segment import Segment, StoredEvent
from chaincode.identity_records import source_handle
from chaincode.state import checkpoint_key, identity_key
from crypto import cbor
from crypto.checkpoint import Checkpoint
from crypto.commitments import field_leaves, salt_for
from crypto.note import parse_note


class ReceiptBuilder:
    """Receipts over one reading connection. With `at_once` many are made of one state: then the ledger is asked once
    for each proof, and what was read of the log's tiles is kept."""

    def __init__(self, reader: SiteReader, ledger: LedgerReader, *, at_once: bool = False) -> None:
        self._reader = reader
        self._ledger = ledger
        self._at_once = at_once
        self._evidence: dict[str, LedgerPart | None] = {}
        self._proofs: tuple[int, ProofBuilder] | None = None
        self._sealed: tuple[str, Span, list[bytes]] | None = None  # neighbours mostly share their seal

    def build(self, index: int, disclose: Sequence[str] | None = None) -> Receipt:
        """The receipt of the record at `index`, under the newest anchored checkpoint that holds it.

        disclose: paths of fields to prove alone; the event's bytes and all other fields then stay hidden.
            None discloses everything.

        Raises:
            ReceiptError: no such record, not anchored yet, its payload gone, or no such field. The receipt of a record
                whose payload was erased says so, unless fields are asked for.
        """
        note, checkpoint = self._anchored(index)
        size = checkpoint.size
        proofs = self._proof_builder(size)
        leaf = self._reader.entries.entry(index)
        record = Record.decode(leaf)
        seal = self._seal(record, index, size, proofs)
        erasure = self._erasure(record, index, size, proofs)
        content, sealed_to = (None, ()) if record.kind in LOGS_OWN or erasure else self._readable(index, disclose)
        if erasure and disclose:
            raise ReceiptError(f"the payload of record {index} was erased, as record {erasure.index} says")
        fields, count = self._fields(content, index, record, disclose)
        event = content[1].event if content and disclose is None else None
        return Receipt(
            FORMAT, index, leaf, tuple(proofs.inclusion(index)), note, count, fields, event, seal,
            self._evidence_for(identity_key(source_handle(checkpoint.origin, record.source))),
            self._evidence_for(checkpoint_key(checkpoint.origin, size)), erasure, sealed_to,
        )  # fmt: skip

    def _proof_builder(self, size: int) -> ProofBuilder:
        if not self._at_once or self._proofs is None or self._proofs[0] != size:
            self._proofs = size, ProofBuilder(self._reader.entries, size)
        return self._proofs[1]

    def _evidence_for(self, key: str) -> LedgerPart | None:
        if not self._at_once:
            return self._ledger.evidence_for(key)
        if key not in self._evidence:
            self._evidence[key] = self._ledger.evidence_for(key)
        return self._evidence[key]

    def field_names(self, index: int) -> list[str]:
        """Which fields the event at `index` commits to; none where it is no event. ReceiptError as in `build`."""
        self._anchored(index)
        if Record.decode(self._reader.entries.entry(index)).kind in LOGS_OWN:
            return []
        return [path for path, _ in self._content(index)[1].fields]

    def tlog_proof(self, index: int) -> str:
        """The same inclusion as a C2SP tlog-proof (c2sp.org/tlog-proof@v1), with the record as extra data."""
        note, checkpoint = self._anchored(index)
        extra = base64.b64encode(self._reader.entries.entry(index)).decode()
        path = ProofBuilder(self._reader.entries, checkpoint.size).inclusion(index)
        lines = [base64.b64encode(sibling).decode() for sibling in path]
        return "\n".join(["c2sp.org/tlog-proof@v1", f"extra {extra}", f"index {index}", *lines, "", note])

    def _anchored(self, index: int) -> tuple[str, Checkpoint]:
        entries = self._reader.entries.size()
        if not 0 <= index < entries:
            raise ReceiptError(f"there is no record {index}; the log has {entries:,} entries, numbered from 0")
        found = self._reader.checkpoints.latest_anchored()
        checkpoint = Checkpoint.parse(parse_note(found[0]).text) if found else None
        if found is None or checkpoint is None or checkpoint.size <= index:
            raise ReceiptError(f"record {index} is in the log but not anchored yet; try again in a few seconds")
        return found[0], checkpoint

    def _readable(self, index: int, disclose: Sequence[str] | None
                  ) -> tuple[tuple[Segment, StoredEvent] | None, tuple[bytes, ...]]:  # fmt: skip
        """The content, or whose keys it is sealed to."""
        try:
            return self._content(index), ()
        except SealedError as e:
            if disclose:
                raise ReceiptError(f"the fields of record {index} cannot be shown: {e}") from e
            return None, e.kids

    def _content(self, index: int) -> tuple[Segment, StoredEvent]:
        segment = self._reader.payloads.segment_of(index)
        if segment is None:
            raise ReceiptError(f"the payload of record {index} is not in the store; run fsck")
        return segment, segment.events[index - segment.first_leaf]

    def _fields(
        self, content: tuple[Segment, StoredEvent] | None, index: int, record: Record, disclose: Sequence[str] | None
    ) -> tuple[tuple[Field, ...], int]:
        if content is None:
            if disclose:
                raise ReceiptError(f"record {index} is the log's own; it has no field {disclose[0]!r}")
            return (), 0
        segment, stored = content
        leaves = field_leaves(segment.seed, record.event_id, stored.fields)
        names = [path for path, _ in stored.fields]
        unknown = [path for path in disclose or () if path not in names]
        if unknown:
            raise ReceiptError(f"record {index} has no field {unknown[0]!r}; its fields are {', '.join(names)}")
        shown = names if disclose is None else disclose
        return tuple(
            Field(
                path, cbor.encode(value), salt_for(segment.seed, record.event_id, path), position,
                tuple(inclusion_path(leaves, position)),
            )
            for position, (path, value) in enumerate(stored.fields)
            if path in shown
        ), len(leaves)  # fmt: skip

    def _seal(self, record: Record, index: int, size: int, proofs: ProofBuilder) -> SealPart | None:
        """The covering seal with its proofs; None while there is none under this checkpoint."""
        if record.kind == ERASURE_KIND:
            return None
        found = self._reader.seals.covering(record.source, record.boot, record.seq)
        if found is None or found.leaf >= size:
            return None
        path: list[bytes] = []
        if record.kind != SEAL_KIND:
            hashes = self._content_hashes(record.source, found.seal.span)
            if hashes is None:
                return None  # events of the range are missing, so nobody can compute its root
            path = inclusion_path(hashes, record.seq - found.seal.first)
        logged, inclusion = self._reader.entries.entry(found.leaf), tuple(proofs.inclusion(found.leaf))
        signed: SignedSeal = found.signed
        return SealPart(signed.seal, signed.signature, tuple(path), logged, found.leaf, inclusion)

    def _erasure(self, record: Record, index: int, size: int, proofs: ProofBuilder) -> ErasurePart | None:
        """The statement that erased this record's payload, or that this record logs."""
        erasures = self._reader.erasures
        found = erasures.at(index) if record.kind == ERASURE_KIND else erasures.covering(index)
        if found is None:
            return None
        if found.leaf >= size:
            raise ReceiptError(f"the erasure of record {index} is in the log but not anchored yet; try again soon")
        logged, inclusion = self._reader.entries.entry(found.leaf), tuple(proofs.inclusion(found.leaf))
        return ErasurePart(found.statement, logged, found.leaf, inclusion)

    def _content_hashes(self, source: str, span: Span) -> list[bytes] | None:
        """Those of the range of a seal, read once for receipts that follow each other; None where one is missing."""
        if self._sealed is None or self._sealed[:2] != (source, span):
            hashes = self._reader.content_hashes(source, span)
            if hashes is None:
                return None
            self._sealed = source, span, hashes
        return self._sealed[2]
