"""The queue: what can be done now however long it is, what waits for hand-overs, and what is forgotten."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.custody import tasks as queue
from gateway.custody.coming import Coming
from gateway.custody.containers import Containers
from gateway.custody.database import Store
from gateway.custody.handover.book import Book
from gateway.custody.schema import TaskState, UnitKind
from gateway.custody.tasks import DATA, NO_DATA, Tasks
from gateway.custody.transitions import RECEIVE
from gateway.custody.units import Units
from tests.gateway.custody.goods import Company, Goods, lot_uri, pack, sscc

PLAIN = """SELECT id FROM task WHERE state = 0 AND NOT EXISTS (
    SELECT 1 FROM about mine JOIN about other ON other.uri = mine.uri AND other.task < mine.task
    JOIN task earlier ON earlier.id = other.task
    WHERE mine.task = task.id AND (earlier.state = 0 OR earlier.waits <> mine.uri)) ORDER BY id"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.close()


steps = st.lists(st.tuples(
    st.sampled_from(["add", "wait", "end", "release", "hold", "refuse", "again", "found"]),
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True), st.integers(0, 30),
), min_size=1, max_size=40)  # fmt: skip


@pytest.fixture(scope="module")
def undone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """What is done in it is undone."""
    made = Store(tmp_path_factory.mktemp("queue"))
    yield made
    made.close()


@settings(max_examples=60, deadline=None)
@given(steps)
@example([("add", ["a"], 0), ("add", ["a"], 0), ("hold", ["a"], 0), ("found", ["a"], 1)])
@example([("add", ["a"], 0), ("add", ["a", "b"], 0), ("hold", ["b"], 0), ("hold", ["a"], 0), ("release", ["b"], 0)])
def test_what_can_be_done_now_is_what_nothing_earlier_is_in_the_way_of(
    undone: Store, steps: list[tuple[str, list[str], int]]
) -> None:
    """As the plain rule says, whatever happened since it was looked for last."""

    class UndoError(Exception):
        """All of it."""

    with suppress(UndoError), undone.transaction() as tx:
        tasks = Tasks(undone)
        for step in steps:
            happens(tasks, *step)
            wanted = [row[0] for row in tx.execute(PLAIN)]
            assert [task.id for task in tasks.ready(1000)] == wanted
            assert [task.id for task in tasks.ready(2)] == wanted[:2]
        raise UndoError


def happens(tasks: Tasks, what: str, things: list[str], which: int) -> None:
    number = which % (tasks.last() or 1) + 1
    found = tasks.get(number)
    if what in ("add", "wait"):
        tasks.add(0, "pack", things, [None, "x", None], waits=things[0] if what == "wait" else None)
    elif what == "release":
        tasks.release(things[0])
    elif what == "hold":
        tasks.hold(things[0], "")
    elif what == "again":
        tasks.again(number)
    elif found and what == "found" and found.state is TaskState.WAITING:
        tasks.found(found, None, things[0])
    elif found and found.state in (TaskState.PENDING, TaskState.WAITING):
        tasks.end(number, TaskState.REFUSED if what == "refuse" else TaskState.DONE)


def test_a_long_row_about_one_lot_costs_its_length(store: Store) -> None:
    """Each step looks at the next one alone, not at all that are behind it."""
    tasks, looked = Tasks(store), 0
    with store.transaction():
        for n in range(300):
            tasks.add(n, "pack", [f"unit {n}", "lot"])
    tasks.ready(64)
    for n in range(300):
        with store.reading() as db:
            looked += db.execute("SELECT COUNT(*) FROM task WHERE state = 0 AND behind IS NULL").fetchone()[0]
        (task,) = tasks.ready(64)
        assert task.leaf == n
        tasks.end(task.id, TaskState.DONE)
    assert looked == 300
    assert tasks.ready(64) == []


@pytest.mark.parametrize("given_up", [False, True])
def test_only_what_a_hand_over_has_brought_is_looked_at(
    store: Store, given_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Receipts of which nothing is known cost no look, however many wait or were given up."""
    units, tasks = Units(store, bytes(32)), Tasks(store)
    coming = Coming(store, units, Containers(store, units), tasks, Book(store))
    things = [sscc(1), lot_uri("A"), *(pack(n) for n in range(50))]
    for thing in things:
        number = tasks.add(0, RECEIVE, [thing], [None, False, None, None], waits=DATA + thing)
        if given_up:
            tasks.end(number, TaskState.REFUSED, code=NO_DATA)
    looked, around = list[Any](), coming.around
    monkeypatch.setattr(coming, "around", lambda thing, *rest: looked.append(thing) or around(thing, *rest))

    def look() -> None:
        looked.clear()
        coming.revive(lambda task: None)
        coming.resolve()

    look()
    assert looked == []
    unit = units.take(sscc(1), UnitKind.LOGISTIC, bytes(32), "MakerMSP")
    lot = units.take(lot_uri("B"), UnitKind.LOT, bytes(32), "MakerMSP")
    units.put_packs(lot, [pack(7)])
    if not given_up:
        coming.resolve()
        assert looked == []  # nothing is new, and nobody said that a hand-over was taken
    look()
    assert looked == [sscc(1), pack(7)]
    assert [task.detail[2] for task in tasks.page(TaskState.PENDING, 0, 10)] == [unit.number]


def test_so_many_that_are_given_up_are_looked_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "REVIVED", 3)
    units, tasks = Units(store, bytes(32)), Tasks(store)
    for n in range(5):
        units.take(sscc(n), UnitKind.LOGISTIC, bytes(32), "MakerMSP")
        number = tasks.add(n, RECEIVE, [sscc(n)], None, waits=DATA + sscc(n))
        tasks.end(number, TaskState.REFUSED, code=NO_DATA)
    assert [task.leaf for task in tasks.without_data()] == [2, 3, 4]


def test_the_oldest_that_are_done_are_forgotten(trade: list[Company], goods: Goods,
                                                monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    maker = trade[0]
    first = maker.amount_made(f"{goods.lot_uri}-0", 1, "KGM")
    refused = maker.packed(goods.sscc(1), [goods.sscc(1)])
    maker.settle()
    monkeypatch.setattr(queue, "KEPT", 3)
    for n in range(1, 5):
        last = maker.amount_made(f"{goods.lot_uri}-{n}", 1, "KGM")
    maker.settle()
    assert maker.tasks(first) == []
    assert [task.state for leaf in (refused, last) for task in maker.tasks(leaf)] == [TaskState.REFUSED, TaskState.DONE]
