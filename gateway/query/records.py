"""Lists of records: by source, kind, time, flags and what their payloads say, in the order of the log."""

from collections.abc import Sequence
from dataclasses import dataclass

from chain.record import Authentication
from chain.site import SiteReader
from chain.store.segment import Fields
from gateway.index.schema import BLOCK_BITS, kind_bit
from gateway.index.terms import TERM_NAMES, terms_of
from gateway.query.cursor import decode_cursor, encode_cursor
from gateway.query.errors import QueryError
from gateway.query.kinds import FLAGS, flag_names, kind_code, kind_name
from gateway.query.summary import summary_of
from gateway.query.view import View

MAX_PAGE = 500
_SELECT = """SELECT r.leaf, r.kind, s.name, r.boot, r.seq, r.count, r.sensed_us,
r.sensed_us + r.delay_us, r.authentication, r.flags FROM {start} CROSS JOIN source s ON s.id = r.source
WHERE {where} ORDER BY {order} LIMIT ?"""
IN_BLOCK = f"r.leaf BETWEEN {{0}} << {BLOCK_BITS} AND ({{0}} << {BLOCK_BITS}) + {(1 << BLOCK_BITS) - 1}"


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Which records; what is None or empty is not asked for. Times are of sensing, both ends inside, in
    microseconds since the Unix epoch; `terms` are (name, value) pairs of gateway.index.TERM_NAMES; all flags
    named must be set."""

    source: str | None = None
    kind: str | None = None
    from_us: int | None = None
    to_us: int | None = None
    flags: tuple[str, ...] = ()
    terms: tuple[tuple[str, str], ...] = ()
    oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class RecordRow:
    """One record in a list. `count` is how many events a seal covers, 0 for an event. `terms` and `summary`
    come from the payload: empty where there is none, it was erased, or the caller may not see it."""

    leaf: int
    kind: str
    source: str
    boot: int
    seq: int
    count: int
    sensed_us: int
    received_us: int
    authentication: Authentication
    flags: tuple[str, ...]
    anchored: bool
    terms: tuple[tuple[str, str], ...] = ()
    summary: str = ""


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Some records, the cursor of the next page (None at the end), and how many leaves are indexed."""

    records: tuple[RecordRow, ...]
    next_cursor: str | None
    indexed: int


def list_records(
    view: View, wanted: RecordFilter, limit: int, cursor: str | None = None, *, payloads: bool = True
) -> RecordPage:
    """One page. `payloads` false leaves out everything that payloads say.

    Raises:
        QueryError: an unknown kind, flag or term, an empty time range, or a cursor of another list.
    """
    question = repr(wanted)
    behind = None if cursor is None else decode_cursor(question, cursor)
    with view.index.snapshot():
        indexed = indexed_size(view)
        found = _select(view, wanted, behind, min(limit, MAX_PAGE) + 1)
    anchored = anchored_size(view.site)
    rows = tuple(_row(view.site, values, anchored, payloads) for values in found[: min(limit, MAX_PAGE)])
    more = len(found) > len(rows)
    return RecordPage(rows, encode_cursor(question, rows[-1].leaf) if more else None, indexed)


def records_at(view: View, leaves: Sequence[int], *, payloads: bool = True) -> tuple[RecordRow, ...]:
    """Those of these leaves that the index holds, at most 500, in the order of the log."""
    wanted = sorted({*leaves})[:MAX_PAGE]
    marks = ",".join("?" * len(wanted))
    query = _SELECT.format(start="record r", where=f"r.leaf IN ({marks})", order="r.leaf")
    found = view.index.connection.execute(query, (*wanted, len(wanted))).fetchall() if wanted else []
    anchored = anchored_size(view.site)
    return tuple(_row(view.site, values, anchored, payloads) for values in found)


def indexed_size(view: View) -> int:
    """How many leaves of the log the index holds."""
    row = view.index.connection.execute("SELECT next_leaf FROM position").fetchone()
    return int(row[0]) if row else 0


def anchored_size(site: SiteReader) -> int:
    """The size of the newest checkpoint that the ledger holds, 0 where there is none."""
    query = "SELECT MAX(size) FROM log_checkpoint WHERE evidence IS NOT NULL"
    return int(site.db.connection.execute(query).fetchone()[0] or 0)


def stored_fields(site: SiteReader, leaf: int) -> Fields | None:
    """The normalised fields of a leaf; None where it has no payload or its subject was erased."""
    stored = site.stored(leaf)
    return stored.fields if stored else None


def _select(view: View, wanted: RecordFilter, behind: int | None, limit: int) -> list[tuple[int, ...]]:
    terms = _term_ids(view, wanted)
    bounds = _leaf_bounds(view, wanted)
    if terms is None or bounds is None:
        return []
    if behind is not None:
        low, high = bounds
        bounds = (max(low, behind + 1), high) if wanted.oldest_first else (low, min(high, behind - 1))
    start, leaf, block = _start(wanted, terms)
    where, values = _conditions(view, wanted, leaf, terms, bounds)
    if block:
        _look_in_blocks(view, wanted, block, bounds, where, values)
    direction = "ASC" if wanted.oldest_first else "DESC"
    order = ", ".join(f"{column} {direction}" for column in (block, leaf) if column)
    query = _SELECT.format(start=start, where=" AND ".join(where), order=order)
    return view.index.connection.execute(query, (*values, limit)).fetchall()


def _start(wanted: RecordFilter, terms: list[int]) -> tuple[str, str, str]:
    """Where to look first: the tables, the column of the leaf, and that of the block where blocks lead to it."""
    if terms:
        return "mention m CROSS JOIN record r ON r.leaf = m.leaf", "m.leaf", ""
    if not wanted.flags and wanted.source is not None:
        return f"place b CROSS JOIN record r ON {IN_BLOCK.format('b.block')}", "r.leaf", "b.block"
    if not wanted.flags and wanted.kind is not None:
        return f"block b CROSS JOIN record r ON {IN_BLOCK.format('b.id')}", "r.leaf", "b.id"
    return "record r", "r.leaf", ""  # those with flags have an index of their own


def _look_in_blocks(
    view: View, wanted: RecordFilter, block: str, bounds: tuple[int, int], where: list[str], values: list[int]
) -> None:
    where.append(f"{block} BETWEEN ? AND ?")
    values += [bounds[0] >> BLOCK_BITS, bounds[1] >> BLOCK_BITS]
    if wanted.source is not None:
        where.append("b.source = ?")
        values.append(source_id(view, wanted.source) or 0)
    if wanted.kind is not None:
        where.append("b.kinds & ?")
        values.append(kind_bit(kind_code(wanted.kind)))


def _conditions(
    view: View, wanted: RecordFilter, leaf: str, terms: list[int], bounds: tuple[int, int]
) -> tuple[list[str], list[int]]:
    where, values = [f"{leaf} BETWEEN ? AND ?"], [*bounds]
    if terms:
        where.append("m.term = ?")
        values.append(terms[0])
    for other in terms[1:]:
        where.append("EXISTS (SELECT 1 FROM mention o WHERE o.term = ? AND o.leaf = m.leaf)")
        values.append(other)
    if wanted.source is not None:
        where.append("+r.source = ?")  # +: SQLite shall build no index of its own for a question
        values.append(source_id(view, wanted.source) or 0)
    if wanted.kind is not None:
        where.append("+r.kind = ?")
        values.append(kind_code(wanted.kind))
    if wanted.flags:
        bits = _flag_bits(wanted.flags)
        where.append("r.flags <> 0 AND r.flags & ? = ?")
        values += [bits, bits]
    for bound, condition in ((wanted.from_us, "r.sensed_us >= ?"), (wanted.to_us, "r.sensed_us <= ?")):
        if bound is not None:
            where.append(condition)
            values.append(bound)
    return where, values


def source_id(view: View, name: str) -> int | None:
    """The index's number for a source; None where it has no records."""
    row = view.index.connection.execute("SELECT id FROM source WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else None


def _term_ids(view: View, wanted: RecordFilter) -> list[int] | None:
    """Ids of all terms asked for; None where one of them was never mentioned."""
    ids = []
    for name, value in wanted.terms:
        if name not in TERM_NAMES:
            raise QueryError(f"expected a term of {', '.join(TERM_NAMES)}, got {name!r:.80}")
        query = "SELECT id FROM term WHERE name = ? AND value = ?"
        row = view.index.connection.execute(query, (name, value)).fetchone()
        if row is None:
            return None
        ids.append(int(row[0]))
    return ids


def _leaf_bounds(view: View, wanted: RecordFilter) -> tuple[int, int] | None:
    """The leaves between which every record of the time range lies; None where there is none."""
    if wanted.from_us is None and wanted.to_us is None:
        return 0, 2**63 - 1
    low, high = wanted.from_us or 0, 2**63 - 1 if wanted.to_us is None else wanted.to_us
    if low > high:
        raise QueryError("the time range is empty: its end lies before its start")
    query = "SELECT MIN(id), MAX(id) FROM block WHERE low_us <= ? AND high_us >= ?"
    first, last = view.index.connection.execute(query, (high, low)).fetchone()
    return None if first is None else (first << BLOCK_BITS, ((last + 1) << BLOCK_BITS) - 1)


def _flag_bits(names: tuple[str, ...]) -> int:
    bits = 0
    for name in names:
        if name not in FLAGS:
            raise QueryError(f"expected a flag of {', '.join(FLAGS)}, got {name!r:.80}")
        bits |= FLAGS[name]
    return bits


def _row(site: SiteReader, values: tuple[int, ...], anchored: int, payloads: bool) -> RecordRow:
    leaf, kind, source, boot, seq, count, sensed_us, received_us, authentication, flags = values
    row = RecordRow(
        leaf, kind_name(kind), str(source), boot, seq, count, sensed_us, received_us,
        Authentication(authentication), flag_names(flags), leaf < anchored,
    )  # fmt: skip
    fields = stored_fields(site, leaf) if payloads and not count else None
    if fields is None:
        return row
    return RecordRow(
        row.leaf, row.kind, row.source, boot, seq, count, sensed_us, received_us, row.authentication, row.flags,
        row.anchored, terms_of(kind, fields), summary_of(kind, fields),
    )  # fmt: skip
