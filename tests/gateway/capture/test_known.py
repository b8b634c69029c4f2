"""What is in the log already: known while the index is built again, and found without opening much."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gateway.capture.errors import BusyCaptureError
from gateway.capture.known import Candidate, Known
from gateway.epcis.event import read_event
from gateway.events.follower import EventIndex
from gateway.events.view import EventsView, EventsViews
from tests.support.captures import Trade
from tests.support.trade import declared_false, objects, pack


@pytest.fixture
def trade(tmp_path: Path) -> Iterator[Trade]:
    with Trade(tmp_path / "site") as site:
        yield site


@contextmanager
def known(trade: Trade) -> Iterator[Known]:
    """As a gateway has it that started with an empty log."""
    with closing(EventsViews(trade.folder)) as views:
        yield Known(views, 0)


def candidates(*payloads: bytes) -> list[Candidate]:
    return [Candidate.of(payload, read_event(payload)) for payload in payloads]


def test_nothing_is_captured_twice_while_the_index_is_built_again(trade: Trade) -> None:
    """An erasure empties it, and what it held once was forgotten elsewhere."""
    first, second, third = (objects(i, "shipping", pack(1, i)) for i in range(3))
    trade.follow()
    with known(trade) as before:
        for payload in (first, second):
            assert before.look(candidates(payload)) == [None]
            before.add(zip(candidates(payload), trade.captured(payload), strict=True))
        assert before.look(candidates(first, third)) == [0, None]
        before.add([])  # what the index holds is remembered there alone
        with closing(EventIndex(trade.folder)) as index:
            index.rebuild()
        with pytest.raises(BusyCaptureError, match="2 records behind"):
            before.look(candidates(first, third))
        trade.follow()
        assert before.look(candidates(first, third)) == [0, None]


def test_many_declarations_of_one_event_cost_each_capture_little(
    trade: Trade, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """The attack: whoever may capture declares one event false again and again, and every declaration asks for all."""
    event = objects(0, "shipping", pack(1, 1))
    for number in range(12):
        trade.capture(declared_false(event, number))  # each in a segment of its own
    trade.follow()
    opened = list[int]()
    real = EventsView.payload
    monkeypatch.setattr(EventsView, "payload", lambda view, leaf: opened.append(leaf) or real(view, leaf))
    with known(trade) as asked:
        found = asked.look(candidates(*[declared_false(event, 5 + number) for number in range(40)]))
    assert found == [5, 6, 7, 8, 9, 10, 11, *[None] * 33]
    assert sorted(opened) == list(range(12))
