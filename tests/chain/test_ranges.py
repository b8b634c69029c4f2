"""The index of ranges: what it says is what was stored, whatever was merged when, and after a rollback."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.event import Span
from chain.store import ranges
from chain.store.database import Database
from chain.store.ranges import Range, Ranges

SOURCES = ("a", "b", "c")
# What one commit stores: for each of some sources, how many numbers it leaves out, and how many come.
COMMITS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from(SOURCES), st.integers(0, 2), st.integers(1, 5)), min_size=1, max_size=4),
        st.booleans(),  # rolled back
        st.booleans(),  # another process goes on afterwards
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(commits=COMMITS, most=st.sampled_from((0, 2, 5, 2048)))
def test_every_number_is_found_at_its_leaf(
    commits: list[tuple[list[tuple[str, int, int]], bool, bool]], most: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    db = Database(tmp_path_factory.mktemp("ranges") / "site.db", ranges.SCHEMA)
    index, next_seq, leaf, stored = Ranges(db), dict.fromkeys(SOURCES, 0), 0, dict[tuple[str, int], int]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "MOST_NEW", most)
        for parts, rolled_back, reopened in commits:
            before = dict(next_seq), leaf, dict(stored)
            try:
                with db.transaction() as tx:
                    for source, gap, count in parts:
                        first = next_seq[source] + gap
                        index.add(tx, source, Range(1, first, count, leaf))
                        stored |= {(source, first + i): leaf + i for i in range(count)}
                        next_seq[source], leaf = first + count, leaf + count
                    index.flush(tx)
                    if rolled_back:
                        raise _RolledBackError
            except _RolledBackError:
                next_seq, leaf, stored = before
                index.forget_cached()
            index = Ranges(db) if reopened else index
            _check(index, next_seq, stored)
            _check(Ranges(db), next_seq, stored)
    db.close()


def _check(index: Ranges, next_seq: dict[str, int], stored: dict[tuple[str, int], int]) -> None:
    assert index.total() == len(stored)
    for source, end in next_seq.items():
        assert [index.leaf_of(source, 1, n) for n in range(end + 1)] == [
            stored.get((source, n)) for n in range(end + 1)
        ]
        missing = [n for span in index.missing(source, Span(1, 0, end + 1)) for n in range(span.first, span.last + 1)]
        assert missing == [n for n in range(end + 1) if (source, n) not in stored]
        assert index.boots(source) == ([1] if end else [])


class _RolledBackError(Exception):
    pass


def test_new_rows_are_bounded_and_a_line_of_one_source_needs_one_row(tmp_path: Path) -> None:
    db = Database(tmp_path / "site.db", ranges.SCHEMA)
    index = Ranges(db)
    for n in range(40):
        with db.transaction() as tx:
            for source in range(100):
                index.add(tx, f"s{source}", Range(1, n, 1, n * 100 + source))
            index.flush(tx)
        assert db.connection.execute("SELECT COUNT(*) FROM range_new").fetchone()[0] <= ranges.MOST_NEW
    assert index.total() == 4000
    for n in range(50):
        with db.transaction() as tx:
            index.add(tx, "alone", Range(1, n, 1, 4000 + n))
            index.flush(tx)
    assert index.stored("alone", 1) == [Range(1, 0, 50, 4000)]
    db.close()
