"""The record index: complete, resumable, rebuilt when it is stale, and as true as the log."""

import json
import sqlite3
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import StoreError
from chain.record import Record
from chain.site import SiteReader
from crypto.flat import MAX_NUMBER
from gateway.access import SeriesLimits, SourceSettings
from gateway.index import Index
from gateway.index.check import IndexMismatchError, check_index
from gateway.index.coverage import cover, runs
from gateway.index.schema import SCHEMA
from gateway.query.completeness import completeness
from gateway.query.detail import record_detail
from gateway.query.errors import NotFoundError, NotIndexedError, QueryError
from gateway.query.readings import curve, excursions, extent, series_of
from gateway.query.records import RecordFilter, list_records
from gateway.query.sources import list_sources, totals
from gateway.query.view import View
from tests.gateway.api.site import SECOND, START_US, Site

SERIES = "urn:dev:ops:cold-1:temperature"
GOOD = [4.0, 4.5, 5.0, 4.8]


def rows(site: Site, table: str) -> list[tuple]:
    return site.index._db.connection.execute(f"SELECT * FROM {table}").fetchall()


def everything(site: Site) -> dict[str, list[tuple]]:
    return {t: sorted(rows(site, t)) for t in ("record", "mention", "point", "span", "block", "place", "position")}


def test_one_row_a_record_with_the_records_own_facts(site: Site) -> None:
    device = site.device("cold-1")
    site.readings(device, GOOD)
    assert site.follow() == 5
    for leaf, kind, _, boot, seq, count, sensed_us, delay_us, authentication, flags in rows(site, "record"):
        record = Record.decode(site.writer.entries.entry(leaf))
        assert (record.kind, record.boot, record.seq, record.count) == (kind, boot, seq, count)
        assert (record.sensed_us, record.received_us) == (sensed_us, sensed_us + delay_us)
        assert (int(record.authentication), int(record.flags)) == (authentication, flags)
    assert len(rows(site, "point")) == 4
    assert site.follow() == 0


def test_following_in_small_steps_gives_the_same_index_as_following_at_once(site: Site) -> None:
    device, other = site.device("cold-1"), site.device("cold-2")
    site.readings(device, GOOD)
    site.readings(other, GOOD)
    site.readings(device, [9.5, 9.9], START_US + 600 * SECOND)
    reader = SiteReader.open(site.folder)
    steps = 0
    while site.index.follow(reader, limit=3):
        steps += 1
    assert steps == 5
    small = everything(site)
    site.index.rebuild()
    assert rows(site, "record") == []
    assert site.index.follow(reader) == 13
    assert everything(site) == small
    reader.close()


def test_a_deleted_index_is_built_again(site: Site) -> None:
    site.readings(site.device("cold-1"), GOOD)
    site.follow()
    before = everything(site)
    site.index.close()
    site.folder.index.unlink()
    site.index = Index(site.folder, site.access.settings)
    assert site.follow() == 5
    assert everything(site) == before


def test_position_and_rows_are_one_commit(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    device = site.device("cold-1")
    site.readings(device, GOOD)
    site.follow()
    before = everything(site)
    site.readings(device, GOOD, START_US + 600 * SECOND)

    def cut(self: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("gateway.index.follower.RowWriter.finish", cut)
        with pytest.raises(KeyboardInterrupt):
            site.follow()
    assert everything(site) == before
    assert site.follow() == 5


def test_an_index_of_another_history_is_rebuilt(site: Site, tmp_path_factory: pytest.TempPathFactory) -> None:
    site.readings(site.device("cold-1"), GOOD)
    site.follow()
    other = Site(tmp_path_factory.mktemp("other") / "site")
    try:
        other.readings(other.device("cold-9"), [*GOOD, 5.0, 5.1])
        other.index.close()
        other.folder.index.write_bytes(b"")
        site.index.close()
        other.folder.index.write_bytes(site.folder.index.read_bytes())
        site.index = Index(site.folder, site.access.settings)
        other.index = Index(other.folder, other.access.settings)
        assert other.index.position == 5  # of the other site's log
        assert other.follow() == 7
        assert [row[1] for row in rows(other, "source")] == ["cold-9"]
    finally:
        other.close()


def test_an_index_ahead_of_a_restored_log_is_rebuilt(site: Site) -> None:
    site.readings(site.device("cold-1"), GOOD)
    site.follow()
    site.index._db.connection.execute("UPDATE position SET next_leaf = 99")
    assert site.follow() == 5
    assert site.index.position == 5


@pytest.mark.parametrize("content", [b"this is not a database" * 100, b"SQLite format 3\x00" + b"\xff" * 4000])
def test_a_file_that_is_no_index_is_replaced(site: Site, content: bytes) -> None:
    site.readings(site.device("cold-1"), GOOD)
    site.index.close()
    site.folder.index.write_bytes(content)
    site.index = Index(site.folder, site.access.settings)
    assert site.follow() == 5


def test_an_index_of_another_version_is_replaced(site: Site) -> None:
    site.index.close()
    with sqlite3.connect(site.folder.index) as connection:
        connection.execute("DROP TABLE record")
        connection.execute("CREATE TABLE record (old TEXT)")
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    site.readings(site.device("cold-1"), GOOD)
    site.index = Index(site.folder, site.access.settings)
    assert site.follow() == 5


def test_the_file_is_private(site: Site) -> None:
    assert site.folder.index.stat().st_mode & 0o077 == 0


def test_an_erased_subject_leaves_the_record_and_takes_its_values(site: Site) -> None:
    site.readings(site.device("cold-1"), GOOD)
    assert site.follow() == 5
    site.erase("cold-1")
    assert site.follow() == 6
    assert rows(site, "point") == rows(site, "mention") == []
    view = View.open(site.folder)
    detail = record_detail(view, 0)
    assert detail.erased
    assert detail.content is None
    view.close()


def test_the_largest_numbers_fit(site: Site) -> None:
    device = site.device("cold-1")
    device.boot, device.seq = MAX_NUMBER, MAX_NUMBER
    site.take("cold-1", [device.reading(4.0, MAX_NUMBER)], received_us=START_US)
    site.follow()
    assert rows(site, "span") == [(1, MAX_NUMBER, 0, MAX_NUMBER, MAX_NUMBER)]
    view = View.open(site.folder)
    found = completeness(view, "cold-1")
    assert (found.received, found.missing) == (1, MAX_NUMBER)
    assert list_sources(view, 10)[0].missing == MAX_NUMBER
    assert completeness(view, "cold-1", 0, START_US).received in (0, 1)
    view.close()


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8)), max_size=30))
def test_spans_cover_exactly_what_was_added(added: list[tuple[int, int]]) -> None:
    connection = sqlite3.connect(":memory:")
    for statement in SCHEMA:
        connection.execute(statement)
    for first, length in added:
        cover(connection, (1, 2, 0), first, first + length)
    spans = connection.execute("SELECT first, last FROM span ORDER BY first").fetchall()
    connection.close()
    assert spans == runs((first, first + length) for first, length in added)
    assert {n for f, last in spans for n in range(f, last + 1)} == {n for f, x in added for n in range(f, f + x + 1)}
    assert all(b[0] > a[1] + 1 for a, b in pairwise(spans))


# -- queries


@pytest.fixture
def packs(site: Site) -> Site:
    line = site.device("line-1", SourceSettings())
    for n, lot in enumerate(("A1", "A1", "B2")):
        pack = {"gtin": "09506000134352", "lot": lot, "serial": f"S{n}", "line": "line-1"}
        site.take("line-1", [line.event("production", pack, START_US + n * SECOND)], received_us=START_US + n * SECOND)
    site.readings(site.device("cold-1"), [4.0, 9.0, 9.5, 5.0, 8.4, 5.0])
    site.follow()
    return site


def test_records_are_found_by_what_they_say(packs: Site) -> None:
    view = View.open(packs.folder)

    def found(**wanted: object) -> list[int]:
        return [row.leaf for row in list_records(view, RecordFilter(**wanted), 50).records]

    assert found() == list(range(9, -1, -1))
    assert found(oldest_first=True) == list(range(10))
    assert found(source="line-1") == [2, 1, 0]
    assert found(kind="seal") == [9]
    assert found(terms=(("lot", "A1"),)) == [1, 0]
    assert found(terms=(("lot", "A1"), ("serial", "S1"))) == [1]
    assert found(terms=(("lot", "A1"), ("serial", "S2"))) == []
    assert found(terms=(("lot", "nothing"),)) == []
    assert found(terms=(("series", SERIES),), source="cold-1", flags=("out-of-range",)) == [7, 5, 4]
    assert found(source="nobody") == []
    assert found(from_us=START_US + 60 * SECOND, to_us=START_US + 120 * SECOND, source="cold-1") == [5, 4]
    row = list_records(view, RecordFilter(source="line-1"), 1).records[0]
    assert row.summary == "commissioning, lot B2, serial S2"
    hidden = list_records(view, RecordFilter(source="line-1"), 1, payloads=False).records[0]
    assert (hidden.summary, hidden.terms) == ("", ())
    for wrong in ({"kind": "nonsense"}, {"flags": ("nonsense",)}, {"terms": (("nonsense", "x"),)}):
        with pytest.raises(QueryError):
            found(**wrong)
    with pytest.raises(QueryError):
        found(from_us=2, to_us=1)
    view.close()


def test_pages_are_stable_while_the_log_grows(packs: Site) -> None:
    view, wanted = View.open(packs.folder), RecordFilter()
    first = list_records(view, wanted, 4)
    assert [row.leaf for row in first.records] == [9, 8, 7, 6]
    packs.readings(packs.device("cold-2"), GOOD, START_US + 900 * SECOND)
    packs.follow()
    second = list_records(view, wanted, 4, first.next_cursor)
    third = list_records(view, wanted, 4, second.next_cursor)
    assert [row.leaf for row in second.records + third.records] == [5, 4, 3, 2, 1, 0]
    assert third.next_cursor is None
    with pytest.raises(QueryError, match="another question"):
        list_records(view, RecordFilter(source="line-1"), 4, first.next_cursor)
    for damaged in ("", "x", "é", "A" * 500, (first.next_cursor or "")[:-2]):
        with pytest.raises(QueryError):
            list_records(view, wanted, 4, damaged)
    view.close()


def test_gaps_have_a_first_and_a_last_number(site: Site) -> None:
    device = site.device("cold-1")
    events = [device.reading(4.0, START_US + n * SECOND) for n in range(10)]
    site.take("cold-1", events[:3], received_us=START_US + 3 * SECOND)
    site.take("cold-1", events[5:7], [device.seal(START_US + 9 * SECOND)], received_us=START_US + 9 * SECOND)
    device.restart()
    device.restart()
    site.take("cold-1", [device.reading(4.0, START_US + 60 * SECOND)], received_us=START_US + 60 * SECOND)
    site.follow()
    view = View.open(site.folder)
    found = completeness(view, "cold-1")
    first, third = found.boots
    assert [(g.first, g.last) for g in first.gaps] == [(3, 4), (7, 9)]
    assert (first.received, first.missing, first.gap_count) == (5, 5, 2)
    assert [(s.first, s.last) for s in first.sealed] == [(0, 9)]
    assert (third.received, third.missing) == (1, 0)
    assert [(s.first, s.last) for s in third.unsealed] == [(0, 0)]
    assert found.missing_boots == ((2, 2),)
    assert not found.complete
    assert (list_sources(view, 10)[0].missing, list_sources(view, 10)[0].unsealed) == (5, 1)
    inside = completeness(view, "cold-1", START_US, START_US + 2 * SECOND)
    # 3 and 4 lie between an event in the range and the next one after it: they may have been inside.
    assert [(b.boot, b.first, b.last, b.missing) for b in inside.boots] == [(1, 0, 4, 2)]
    assert completeness(view, "cold-1", START_US, START_US + SECOND).complete
    later = completeness(view, "cold-1", START_US + 30 * SECOND)
    assert [(b.boot, b.received) for b in later.boots] == [(3, 1)]
    with pytest.raises(NotFoundError):
        completeness(view, "nobody")
    view.close()


def test_the_late_event_closes_the_gap(site: Site) -> None:
    device = site.device("cold-1")
    events = [device.reading(4.0, START_US + n * SECOND) for n in range(3)]
    site.take("cold-1", [events[0], events[2]], [device.seal(START_US)], received_us=START_US)
    site.follow()
    view = View.open(site.folder)
    assert completeness(view, "cold-1").missing == 1
    site.take("cold-1", [events[1]], received_us=START_US)
    site.follow()
    assert completeness(view, "cold-1").complete
    view.close()


def test_excursions_are_runs_of_readings_out_of_range(packs: Site) -> None:
    view = View.open(packs.folder)
    late, early = excursions(view)
    assert (early.count, early.low, early.high, early.leaf) == (2, 9.0, 9.5, 4)
    assert (early.first_us, early.last_us) == (START_US + 60 * SECOND, START_US + 120 * SECOND)
    assert (late.count, late.low, late.high, late.ongoing) == (1, 8.4, 8.4, False)
    assert excursions(view, source="line-1") == ()
    assert excursions(view, to_us=START_US + 60 * SECOND) == (early,)  # it runs across the end of the range
    assert excursions(view, from_us=START_US + 180 * SECOND) == (late,)
    assert excursions(view, limit=1) == (late,)
    view.close()


def test_a_pack_of_two_series_is_out_of_range_only_where_its_limits_say_so(site: Site) -> None:
    settings = SourceSettings(limits=(SeriesLimits("cold:t", "Cel", 2, 8),))
    device = site.device("cold-1", settings)
    pack = [{"bn": "cold:", "n": "t", "u": "Cel", "v": 12.0}, {"n": "h", "u": "%RH", "v": 40.0}]
    site.take("cold-1", [device.event("reading", pack, START_US)], received_us=START_US)
    site.follow()
    view = View.open(site.folder)
    assert [(e.series, e.ongoing) for e in excursions(view)] == [("cold:t", True)]
    view.close()


def test_a_curve_keeps_every_extreme(site: Site) -> None:
    device = site.device("cold-1")
    values = [4.0 + (n % 7) / 10 for n in range(500)]
    values[123], values[456] = -3.0, 11.5
    site.readings(device, values, step_s=1)
    site.follow()
    view = View.open(site.folder)
    first, last = extent(view, "cold-1", SERIES) or (0, 0)
    found = curve(view, "cold-1", SERIES, first, last, 50)
    assert len(found.buckets) == 50
    assert (min(b.low for b in found.buckets), max(b.high for b in found.buckets)) == (-3.0, 11.5)
    assert sum(b.count for b in found.buckets) == 500
    assert sum(b.outside for b in found.buckets) == 2
    assert found.unit == "Cel"
    assert series_of(view, "cold-1")[0].value == values[-1]
    with pytest.raises(NotFoundError):
        curve(view, "cold-1", "nothing", 0, 1)
    with pytest.raises(QueryError):
        curve(view, "cold-1", SERIES, 5, 1)
    view.close()


def test_totals_and_inferences(site: Site) -> None:
    camera = site.device("camera-1", SourceSettings())
    digest = "ab" * 32
    judgement = {
        "model": {"name": "reader", "version": "1", "digest": digest}, "input": {"digest": "cd" * 32},
        "output": {"label": "ok"}, "decision": "pass", "score": 0.98,
    }  # fmt: skip
    site.take("camera-1", [camera.event("inference", judgement, START_US)], received_us=START_US)
    site.follow()
    view = View.open(site.folder)
    for term in (("model", "reader"), ("model", digest), ("input", "cd" * 32), ("decision", "pass")):
        assert len(list_records(view, RecordFilter(terms=(term,)), 5).records) == 1
    assert totals(view) == (1, 0)
    assert list_records(view, RecordFilter(), 1).records[0].summary == "pass, score 0.98, by reader"
    assert json.loads(record_detail(view, 0).content.event.payload) == judgement
    view.close()


def test_a_missing_index_says_so(site: Site) -> None:
    site.index.close()
    for suffix in ("", "-wal", "-shm"):
        site.folder.index.with_name("index.db" + suffix).unlink(missing_ok=True)
    with pytest.raises(NotIndexedError):
        View.open(site.folder)
    site.index = Index(site.folder)
    View.open(site.folder).close()


# -- whether the index says what the log says


def test_an_index_is_compared_with_the_log(site: Site) -> None:
    device = site.device("cold-1")
    site.readings(device, GOOD)
    assert check_index(site.folder, site.access.settings) == 0  # nothing followed yet, and nothing else is in it
    site.follow()
    assert check_index(site.folder, site.access.settings) == 5
    site.readings(device, GOOD)
    assert check_index(site.folder, site.access.settings) == 5  # it may be behind


ALTERED = [
    (
        "UPDATE point SET value = value + 1 WHERE leaf = 2",
        r"table point: the log gives no row \(1, 1, [0-9]+, 2, 0, 6.0, 0\)",
    ),
    ("DELETE FROM mention WHERE leaf = 2", "table mention: it lacks the row"),
    ("UPDATE span SET last = last + 1 WHERE what = 0", "table span: the log gives no row"),
    ("INSERT INTO source (name) VALUES ('nobody')", "table source: the log gives no row"),
    ("UPDATE record SET delay_us = delay_us - 3600000000", "table record: "),
    ("UPDATE position SET next_leaf = 4", "table position: "),
    ("UPDATE position SET next_leaf = 6", "it says 6 leaves, the log has 5"),
    ("UPDATE position SET next_leaf = 'many'", "it says many leaves"),
    ("DELETE FROM position", "the log gives no row"),
    ("PRAGMA user_version = 7", "of version 7, not "),
    ("DROP TABLE span", "cannot be read"),
]


@pytest.mark.parametrize(("statement", "said"), ALTERED)
def test_an_altered_index_is_found(site: Site, statement: str, said: str) -> None:
    site.readings(site.device("cold-1"), GOOD)
    site.follow()
    site.index._db.connection.execute(statement)
    with pytest.raises(IndexMismatchError, match=said):
        check_index(site.folder, site.access.settings)


def test_a_unit_that_changes_to_and_fro_is_the_last_one_however_the_log_was_cut(site: Site) -> None:
    device, reader = site.device("cold-1"), SiteReader.open(site.folder)
    for n, unit in enumerate(("Cel", "%RH", "Cel")):
        event = device.event("reading", [{"n": SERIES, "u": unit, "v": 5.0}], START_US + n)
        site.take(device.name, [event], received_us=START_US)
    while site.index.follow(reader, limit=1):
        pass
    assert [row[2] for row in rows(site, "series")] == ["Cel"]
    assert check_index(site.folder, site.access.settings) == 3
    reader.close()


def test_without_an_index_there_is_nothing_to_compare(site: Site, tmp_path: Path) -> None:
    site.folder.index = tmp_path / "none.db"
    with pytest.raises(StoreError, match=r"has no index\.db"):
        check_index(site.folder, site.access.settings)


@pytest.mark.parametrize("oldest_first", [False, True])
def test_a_list_over_many_blocks_is_what_looking_at_every_record_gives(site: Site, oldest_first: bool) -> None:
    one, other = site.device("cold-1"), site.device("cold-2")
    for _ in range(4):  # two sources in turn, a seal behind each of their messages
        site.readings(one, [4.0 + n % 3 for n in range(70)])
        site.readings(other, [5.0 + n % 3 for n in range(50)])
    while site.follow():
        pass
    view, size = View.open(site.folder), site.writer.entries.size()
    everything = [(leaf, Record.decode(site.writer.entries.entry(leaf))) for leaf in range(size)]
    assert size > 400  # blocks hold 256
    for source in (None, "cold-1", "cold-2"):
        for kind in (None, "reading", "seal", "production"):
            wanted = RecordFilter(source=source, kind=kind, oldest_first=oldest_first)
            found, cursor = [], None
            while True:
                page = list_records(view, wanted, 37, cursor, payloads=False)
                found += [row.leaf for row in page.records]
                if (cursor := page.next_cursor) is None:
                    break
            codes = {None: None, "reading": 1, "seal": 4, "production": 2}
            expected = [
                leaf for leaf, record in everything
                if source in (None, record.source) and codes[kind] in (None, record.kind)
            ]  # fmt: skip
            assert found == (expected if oldest_first else expected[::-1])
    view.close()


QUESTIONS = [
    RecordFilter(), RecordFilter(source="cold-1"), RecordFilter(kind="reading"), RecordFilter(flags=("suspect",)),
    RecordFilter(source="cold-1", kind="seal"), RecordFilter(terms=(("series", SERIES),), kind="reading"),
    RecordFilter(source="cold-1", from_us=START_US, to_us=2 * START_US, oldest_first=True),
]  # fmt: skip


@pytest.mark.parametrize("wanted", QUESTIONS)
def test_no_list_is_sorted_or_indexed_for_one_question(site: Site, wanted: RecordFilter) -> None:
    site.readings(site.device("cold-1"), GOOD)
    site.follow()
    view, asked = View.open(site.folder), []
    view.index.connection.set_trace_callback(asked.append)
    list_records(view, wanted, 10, payloads=False)
    view.index.connection.set_trace_callback(None)
    (query,) = [statement for statement in asked if "ORDER BY" in statement]
    plan = " / ".join(row[3] for row in view.index.connection.execute(f"EXPLAIN QUERY PLAN {query}"))
    assert "AUTOMATIC" not in plan, plan
    assert "TEMP B-TREE" not in plan, plan
    assert "SCAN" not in plan, plan
    view.close()
