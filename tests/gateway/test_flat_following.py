"""Indexes follow in steps whose memory does not grow with how far they are behind, whatever an event has in it."""

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from chain.site import SiteReader
from chain.store.recent import MOST_BYTES, MOST_SEGMENTS, RecentSegments
from chain.store.segment import Segment, StoredEvents
from gateway.events.check import check_events
from gateway.events.follower import EventIndex
from gateway.index import Index, following
from gateway.index.check import check_index
from gateway.index.following import LogIndex
from tests.support.captures import Trade
from tests.support.trade import case, commissioned, pack, packed

PACKS = 200
INDEXES = {"records": lambda site: Index(site.folder), "events": lambda site: EventIndex(site.folder)}


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trade]:
    """Indexes that are 34 large events behind."""
    with Trade(tmp_path_factory.mktemp("behind")) as site:
        for n in range(34):
            site.capture(_large(n))  # a segment each
        yield site


def _large(n: int) -> bytes:
    return commissioned(n, 1, "L1", *(pack(1, PACKS * n + i) for i in range(PACKS)))


@pytest.mark.parametrize("which", INDEXES)
def test_a_step_takes_no_more_memory_for_being_far_behind(
    behind: Trade, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(following, "MOST_BYTES", 128 * 1024)
    made: Callable[[Trade], LogIndex] = INDEXES[which]
    with closing(made(behind)) as index, closing(SiteReader.open(behind.folder)) as reader:
        index.follow(reader, 1)  # what is made once
        near = _peak(lambda: index.follow(reader, 8))
        assert not index.cut
        far = _peak(lambda: index.follow(reader, 4096))
        assert index.cut
        assert 9 < index.position < 24
        assert far < 2 * near, f"{near / 2**20:.1f} MiB for 8 events, {far / 2**20:.1f} MiB for what is left"


def _peak(work: Callable[[], object]) -> int:
    """Bytes of Python's objects that were there at once, at the most, beyond those from before."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_large_events_are_indexed_as_the_log_says_whatever_the_steps(tmp_path: Path) -> None:
    with Trade(tmp_path) as site:
        again = packed(5, case(1), *(pack(1, i) for i in range(40)))
        site.capture(_large(0), again, _large(0).replace(b"L1", b"L2"), _large(1))
        for made in INDEXES.values():
            with closing(made(site)) as index, closing(SiteReader.open(site.folder)) as reader:
                while index.follow(reader, 1):
                    pass
        assert check_index(site.folder, dict) == check_events(site.folder) == 4
        assert site.rows("SELECT COUNT(*) FROM thing WHERE uri LIKE '%/21/%'") == [(2 * PACKS,)]


def _segment(first_leaf: int, size: int) -> Segment:
    return Segment(first_leaf, "maker", b"", StoredEvents([]), size)


def test_opened_segments_are_kept_within_bytes_and_number() -> None:
    loaded: list[int] = []

    def load(first_leaf: int) -> Segment:
        loaded.append(first_leaf)
        return _segment(first_leaf, MOST_BYTES if first_leaf == 1000 else MOST_BYTES // 4 if first_leaf < 10 else 1)

    recent = RecentSegments(load)
    for first_leaf in (0, 1, 2, 3, 0, 4):  # 1 is the oldest when 4 comes
        recent.get(first_leaf)
    assert [recent.get(n).first_leaf for n in (0, 2, 3, 4)] == [0, 2, 3, 4]
    assert loaded == [0, 1, 2, 3, 4]
    recent.get(1)
    assert loaded[-1] == 1
    recent.get(1000)  # alone too large, but it is the one that is read now
    recent.get(1000)
    assert loaded.count(1000) == 1
    for first_leaf in range(10, 11 + MOST_SEGMENTS):
        recent.get(first_leaf)
    recent.get(10)
    assert loaded.count(10) == 2
    recent.forget()
    recent.get(10)
    assert loaded.count(10) == 3
