"""Builds the bundle of a shipment from the folder of the site that reports on it.

Reads only; what it builds is as true as what is stored, and whoever receives it verifies it (chain.conditions.opened).
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing

from chain.conditions.bundle import FORMAT, Header, encode_bundle
from chain.conditions.errors import ConditionsError
from chain.conditions.samples import FIELD, READING_KIND, Sorter
from chain.disclosing import Purpose, build_disclosure
from chain.disclosure import MAX_RECORDS
from chain.ledger.reading import LedgerReader, open_reader
from chain.receipt import LedgerPart
from chain.record import LOGS_OWN, Record, parts
from chain.site import Folder, SiteReader
from chaincode.coldchain.records import Logger, ReportRecord, Shipment
from chaincode.coldchain.report import Report
from chaincode.coldchain.state import policy_key, progress_key, report_key, shipment_key
from crypto.checkpoint import Checkpoint
from crypto.note import parse_note


def exported(folder: Folder, shipment_id: bytes, purpose: Purpose) -> tuple[bytes, list[bytes], list[int]]:
    """What `export_bundle` makes of a data directory.

    Raises:
        ConditionsError: as there; or a database in the folder was damaged or altered so that it cannot be read.
    """
    try:
        with closing(SiteReader.open(folder)) as reader, closing(open_reader(folder)) as ledger:
            return export_bundle(folder, reader, ledger, shipment_id, purpose)
    except (sqlite3.Error, TypeError, ValueError) as e:  # a damaged file, or a column of another type
        raise ConditionsError(
            f"the store in {folder.root} cannot be read: {e}; `sealtrail fsck --data {folder.root}` says where"
        ) from e


def export_bundle(
    folder: Folder, reader: SiteReader, ledger: LedgerReader, shipment_id: bytes, purpose: Purpose
) -> tuple[bytes, list[bytes], list[int]]:
    """The file, the disclosures in it, and the places of the records that they show.

    Raises:
        ConditionsError: this ledger has no such shipment, or this site's log does not report on it.
        ReceiptError: a record is not anchored yet.
    """
    shipment = Shipment.decode(_value(ledger, shipment_key(shipment_id), shipment_id))
    if shipment.reporter_origin != folder.origin:
        raise ConditionsError(
            f"shipment {shipment_id.hex()[:16]}… is reported by {shipment.reporter_origin}; this folder is "
            f"{folder.origin}'s. Use the data directory of the gateway that reports, or a file that it exports"
        )
    prefix = report_key(shipment_id, 0)[:-20]
    taken = [ReportRecord.decode(value).report for _, value in ledger.values(prefix, prefix + ":")]
    reports = [Report.decode(one) for one in taken]
    key = folder.gateway_key()
    readings, others = _leaves(reader, shipment, reports)
    disclosures = [
        build_disclosure(reader, ledger, shipment.reporter_origin, leaves, fields, purpose, key)[0]
        for fields, wanted in (([FIELD], readings), ([], others))
        for leaves in _portions(wanted)
    ]
    header = Header(
        FORMAT, shipment_id, _value(ledger, policy_key(shipment.policy_id), shipment_id),
        _evidence(ledger, shipment_key(shipment_id)), _evidence(ledger, progress_key(shipment_id)),
        tuple(_evidence(ledger, report_key(shipment_id, one.seq)) for one in reports), (),
    )  # fmt: skip
    return encode_bundle(header, tuple(disclosures)), disclosures, sorted((*readings, *others))


def _value(ledger: LedgerReader, key: str, shipment_id: bytes) -> bytes:
    found = ledger.value(key)
    if found is None:
        raise ConditionsError(f"the ledger here has no shipment {shipment_id.hex()[:16]}…, or not all of it")
    return found


def _evidence(ledger: LedgerReader, key: str) -> LedgerPart:
    found = ledger.evidence_for(key)
    if found is None:
        raise ConditionsError(f"the ledger here keeps no proof of {key}")
    return found


def _leaves(reader: SiteReader, shipment: Shipment, reports: Sequence[Report]) -> tuple[list[int], list[int]]:
    """Places of the loggers' readings, and of what else their sources numbered: those of the reports' entries, and what
    stands before and behind as far as it was sensed in the window, with the first that was not."""
    if not reports:
        return [], []
    first, end = reports[0].first, reports[-1].end
    sources = Sorter(shipment.loggers).sources
    found: dict[int, int] = {}
    ends: dict[str, list[tuple[int, int]]] = {}
    for leaf, entry in enumerate(reader.entries.entries(first, end), first):
        source, (kind, boot, seq, *_) = parts(entry)
        if source in sources and kind not in LOGS_OWN:
            found[leaf] = kind
            place = (boot, seq)
            ends[source] = [min(ends.get(source, [place])[0], place), max(ends.get(source, [place])[-1], place)]
    for source, (earliest, latest) in ends.items():
        found |= dict(_before(reader, source, earliest, shipment))
        found |= dict(_behind(reader, source, latest, shipment, reports[-1].to_us))
    by_place = sorted(found.items())
    return [leaf for leaf, kind in by_place if kind == READING_KIND], [
        leaf for leaf, kind in by_place if kind != READING_KIND
    ]


def _before(reader: SiteReader, source: str, place: tuple[int, int], shipment: Shipment) -> Iterator[tuple[int, int]]:
    """Back through the numbers of one boot, up to the first reading that was sensed before the shipment's beginning."""
    boot, seq = place
    while seq:
        seq -= 1
        leaf = reader.ranges.leaf_of(source, boot, seq)
        if leaf is None:
            return
        record = Record.decode(reader.entries.entry(leaf))
        yield leaf, record.kind
        if record.kind == READING_KIND and _newest_us(reader, leaf, shipment.loggers, record) < shipment.from_us:
            return


def _behind(
    reader: SiteReader, source: str, place: tuple[int, int], shipment: Shipment, to_us: int
) -> Iterator[tuple[int, int]]:
    """On through the numbers that are anchored, up to the first reading that was sensed behind the last report."""
    (boot, seq), anchored = place, _anchored(reader)
    while True:
        leaf = reader.ranges.leaf_of(source, boot, seq + 1)
        if leaf is None:
            boot, seq = boot + 1, -1
            leaf = reader.ranges.leaf_of(source, boot, 0)
        if leaf is None or leaf >= anchored:
            return
        seq += 1
        record = Record.decode(reader.entries.entry(leaf))
        if record.kind not in LOGS_OWN:
            yield leaf, record.kind
        if record.kind == READING_KIND and _newest_us(reader, leaf, shipment.loggers, record) >= to_us:
            return


def _anchored(reader: SiteReader) -> int:
    """How many entries can be proved."""
    found = reader.checkpoints.latest_anchored()
    return Checkpoint.parse(parse_note(found[0]).text).size if found else 0


def _newest_us(reader: SiteReader, leaf: int, loggers: Sequence[Logger], record: Record) -> int:
    """When the newest reading of a record was sensed; of one without readings: now, so that it stops nothing."""
    sorter = Sorter(loggers)
    rows = rows_of(reader, leaf)
    if rows is not None:
        sorter.add(leaf, record, rows)
    return max((sample.time_us for one in sorter.samples for sample in one), default=record.sensed_us)


def rows_of(reader: SiteReader, leaf: int) -> object:
    """The rows of a stored reading; None where its content is gone."""
    stored = reader.stored(leaf)
    return dict(stored.fields).get(FIELD) if stored else None


def _portions(leaves: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(leaves), MAX_RECORDS):
        yield leaves[start : start + MAX_RECORDS]
