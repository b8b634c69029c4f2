"""recall.db is bounded, and drills that others make up take no room from recalls."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.recall import book as kept
from gateway.recall.book import Book
from gateway.recall.errors import RecallError
from gateway.recall.records import Recall

RECALL = Recall("ab", False, False, "https://id.gs1.org/01/09506000134352/10/AB", 1, "glass", 100, 1, 1, False)


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Book]:
    monkeypatch.setattr(kept, "MAX_DRILLS", 3)
    monkeypatch.setattr(kept, "MAX_RECALLS", 2)
    book = Book(tmp_path)
    yield book
    book.close()


def named(name: str, *, drill: bool = True, maker: bool = False, begun_us: int = 1) -> Recall:
    return Recall(name, drill, maker, RECALL.lot, 1, "glass", 100, begun_us, 1, False)


def test_drills_of_others_take_no_room_from_recalls_and_from_our_own(book: Book) -> None:
    for n in range(3):
        book.put(named(f"drill-{n}", begun_us=n))
        book.put_supplier(f"drill-{n}", "Mallory", b"notice", 1, 1)
    with pytest.raises(RecallError, match="3 drills of other companies are open"):
        book.put(named("drill-3"))
    book.put(named("drill-0"))  # told again
    book.put(named("drill-own", maker=True))
    book.put(named("real", drill=False))
    book.end("drill-1")
    book.put(named("drill-3"))
    assert {one.id for one in book.all()} == {"drill-0", "drill-2", "drill-3", "drill-own", "real"}
    assert book.suppliers("drill-1") == []
    assert [book.open_drills(name) for name in ("Mallory", "Maker")] == [2, 0]


def test_a_recall_of_our_own_is_refused_before_it_begins_and_never_after(book: Book) -> None:
    book.put(named("real-1", drill=False))
    book.require_room()
    book.put(named("real-2", drill=False))
    with pytest.raises(RecallError, match="which is the bound"):
        book.require_room()
    with pytest.raises(RecallError, match="which is the bound"):
        book.put(named("real-3", drill=False))
    book.put(named("begun", drill=False, maker=True))  # the ledger has it


def test_drills_end_some_time_after_their_deadline_and_recalls_do_not(book: Book) -> None:
    for one in (named("drill-1"), named("real", drill=False)):
        book.put(one)
    book.end_drills(100)
    assert len(book.open()) == 2
    book.end_drills(101)
    assert [one.id for one in book.open()] == ["real"]
