"""Builds disclosures from a site's store and its ledger, and chooses records by number, source, kind and time.

Reads only. All records stand under one checkpoint, and what they share is in the file once.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from chain.disclosure import FORMAT, MAX_RECORDS, Header, Line, encode_disclosure
from chain.errors import ReceiptError
from chain.ledger.reading import LedgerReader
from chain.receipt import ErasurePart, LedgerPart, Receipt, SealPart
from chain.receipts import ReceiptBuilder
from chain.record import LOGS_OWN, parts
from chain.site import SiteReader
from chaincode.identity_records import Identity
from chaincode.state import identity_key
from crypto.keys import PrivateKey

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Purpose:
    """For whom a disclosure is and why; `key` is the id of the auditor's key, where there is one."""

    to: str
    reason: str
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """Which events: those numbered, or those of a source and kind that were sensed between two times (µs, both inside;
    None leaves a side open)."""

    records: tuple[int, ...] = ()
    source: str | None = None
    kind: int | None = None
    since_us: int | None = None
    until_us: int | None = None

    def leaves(self, reader: SiteReader) -> list[int]:
        """Places in the log, in order; ReceiptError where there are none or too many."""
        found = sorted(set(self.records)) or list(self._matching(reader))
        if not 1 <= len(found) <= MAX_RECORDS:
            raise ReceiptError(f"a disclosure is of 1 to {MAX_RECORDS:,} records, the choice has {len(found):,}")
        return found

    def _matching(self, reader: SiteReader) -> Iterator[int]:
        size = reader.entries.size()
        for leaf, entry in enumerate(reader.entries.entries(0, size)):
            source, (kind, _, _, sensed_us, *_) = parts(entry)
            if kind in LOGS_OWN or (self.source or source) != source or self.kind not in (None, kind):
                continue
            if (self.since_us or 0) <= sensed_us and (self.until_us is None or sensed_us <= self.until_us):
                yield leaf


class _Shared(Generic[_T]):
    """Things that several records have in common, each once."""

    def __init__(self) -> None:
        self._places: dict[_T, int] = {}

    def place(self, thing: _T | None) -> int | None:
        return None if thing is None else self._places.setdefault(thing, len(self._places))

    def all(self) -> tuple[_T, ...]:
        return tuple(self._places)


def build_disclosure(
    reader: SiteReader, ledger: LedgerReader, origin: str, leaves: Sequence[int], fields: Sequence[str] | None,
    purpose: Purpose, key: PrivateKey,
) -> tuple[bytes, list[int]]:  # fmt: skip
    """The signed file, and which of the records have no content left, because it was erased.

    fields: paths to disclose, as far as a record has them; the event's bytes and all else stay hidden. None discloses
        everything.

    Raises:
        ReceiptError: a record that is not there or not anchored yet, or that has none of the fields; or the ledger
            has another key of the gateway than `key`, so that nobody could verify the file.
    """
    with reader.db.snapshot():
        builder = ReceiptBuilder(reader, ledger, at_once=True)
        receipts = [_receipt(builder, reader, leaf, fields) for leaf in leaves]
        own, known = ledger.evidence_for(identity_key(origin)), ledger.value(identity_key(origin))
    if own is None or known is None:
        raise ReceiptError(f"the ledger here has no evidence of {origin}'s own key, which signs disclosures")
    if Identity.decode(known).current_key != key.public:
        raise ReceiptError(f"the ledger has another key of {origin} by now: a change of keys is not at its end yet")
    erased = [r.index for r in receipts if r.erasure and r.erasure.index != r.index]
    return _file(receipts, own, origin, purpose, key), erased


def _receipt(builder: ReceiptBuilder, reader: SiteReader, leaf: int, fields: Sequence[str] | None) -> Receipt:
    if fields is None or reader.erasures.covering(leaf) is not None:
        return builder.build(leaf)
    names = builder.field_names(leaf) if fields else []
    if not names:  # a record of the log's own has none
        return builder.build(leaf, ())
    wanted = [path for path in fields if path in names]
    if not wanted:
        raise ReceiptError(f"record {leaf} has no field {fields[0]!r}; its fields are {', '.join(names)}")
    return builder.build(leaf, wanted)


def _file(receipts: Sequence[Receipt], own: LedgerPart, origin: str, purpose: Purpose, key: PrivateKey) -> bytes:
    identities, seals, erasures = _Shared[LedgerPart](), _Shared[SealPart](), _Shared[ErasurePart]()
    lines = [
        Line(
            r.index, r.record, r.inclusion, r.field_count, r.fields, r.event, identities.place(r.identity),
            seals.place(r.seal and msgspec.structs.replace(r.seal, range_proof=())),
            r.seal.range_proof if r.seal else (), erasures.place(r.erasure),
        )
        for r in receipts
    ]  # fmt: skip
    first = receipts[0]
    header = Header(
        FORMAT, origin, purpose.to, purpose.reason, time.time_ns() // 1000, len(lines), first.checkpoint, own,
        first.anchor, identities.all(), seals.all(), erasures.all(), purpose.key,
    )  # fmt: skip
    return encode_disclosure(header, lines, key)


def numbers(texts: Iterable[str]) -> tuple[int, ...]:
    """Record numbers as people write them: 7, or 7-12 with both ends inside; ReceiptError says which is none."""
    found: list[int] = []
    for text in texts:
        first, _, last = text.partition("-")
        if not all(part.isascii() and part.isdigit() and len(part) < 19 for part in (first, last or first)):
            raise ReceiptError(f"records are numbers like 7, or ranges like 7-12, got {text!r:.40}")
        start, end = int(first), int(last or first)
        if not start <= end < start + MAX_RECORDS:
            raise ReceiptError(f"the range {text} is empty, or of more than {MAX_RECORDS:,} records")
        found += range(start, end + 1)
    return tuple(found)
