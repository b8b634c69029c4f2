"""Subscriptions whose disk, receiver or index is not well: they say so, wait where they stand, and delay nobody."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from chain.site import SiteReader
from gateway.delivery.outbox import QueueState
from gateway.enquiry import reports, search
from gateway.enquiry.reports import Reports
from gateway.enquiry.standing import Standing, Subscription
from gateway.events.follower import EventIndex
from gateway.events.view import EventsView
from tests.gateway.delivery.receiver import Receiver, receiving
from tests.support.captures import Trade
from tests.support.site import DEADLINE_S
from tests.support.trade import objects, pack

INSIDE = {"allow_http": True, "allowed_networks": ["127.0.0.0/8"], "retry_max_s": 0.1}


@contextmanager
def site(root: Path) -> Iterator[Trade]:
    with Trade(root, delivery=INSIDE) as trade:
        trade.gateway.supply.enquiries.standing.add_query("out", {"EQ_bizStep": "shipping"}, "operator")
        yield trade


def subscribed(trade: Trade, receiver: Receiver, **more: Any) -> str:
    wanted = {"schedule": {}, "initial_us": None, "from_leaf": 0} | more
    enquiries = trade.gateway.supply.enquiries
    made = enquiries.standing.subscribe(Subscription("out", receiver.url, b"", report_if_empty=False, **wanted))
    enquiries.reports.changed()
    return made.id


def queue(trade: Trade, subscription: str, true: Callable[[QueueState | None], object] = lambda state: True
          ) -> QueueState | None:  # fmt: skip
    """Its queue in the outbox, as soon as this is true of it."""

    async def wait() -> QueueState | None:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                states = await trade.gateway.supply.outbox.states()
                found = next((state for state in states if state.name == f"epcis/{subscription}"), None)
                if true(found):
                    return found
                await asyncio.sleep(0.01)

    return trade.run(wait())


def row(trade: Trade, subscription: str) -> tuple[int, int | None]:
    found = trade.gateway.supply.enquiries.standing.subscription("out", subscription)
    return found.from_leaf, found.planned


def shipped(count: int, product: int = 1, step: str = "shipping") -> list[bytes]:
    return [objects(i, step, pack(product, i)) for i in range(count)]


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Callable[[Trade, int], None]:
    """Wait until the reports have looked so many times more."""
    monkeypatch.setattr(reports, "LOOK_S", 0.01)
    done, real = [0], Reports._round

    async def counted(self: Reports) -> bool:
        more = await real(self)
        done[0] += 1
        return more

    monkeypatch.setattr(Reports, "_round", counted)

    def wait(trade: Trade, count: int) -> None:
        end = done[0] + count
        trade.wait(lambda: done[0] >= end)

    return wait


def test_a_file_that_cannot_be_read_stops_reports_until_it_can(tmp_path: Path) -> None:
    with receiving() as receiver, site(tmp_path / "site") as trade:
        supply = trade.gateway.supply
        subscribed(trade, receiver)
        db = supply.enquiries.standing._db.connection
        db.execute("ALTER TABLE subscription RENAME TO away")
        trade.wait(lambda: any("subscriptions wait: no such table" in said for said in supply.problems()))
        db.execute("ALTER TABLE away RENAME TO subscription")
        trade.captured(*shipped(2))
        trade.wait(lambda: receiver.taken)
        trade.wait(lambda: not list(supply.problems()))


def test_an_index_that_cannot_be_read_stops_one_subscription_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    real, broken = reports.between, [True]

    def between(*given: Any) -> Any:
        if broken[0]:
            raise sqlite3.DatabaseError("database disk image is malformed")
        return real(*given)

    monkeypatch.setattr(reports, "between", between)
    monkeypatch.setattr("gateway.enquiry.places.BACK_OFF_S", (0.05, 0.1))
    with receiving() as receiver, site(tmp_path / "site") as trade:
        subscribed(trade, receiver)
        trade.captured(*shipped(2))
        trade.wait(lambda: any("malformed" in said for said in trade.gateway.supply.problems()))
        broken[0] = False
        trade.wait(lambda: receiver.taken)


def test_a_dead_receiver_costs_nothing_once_its_queue_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: Callable[[Trade, int], None]
) -> None:  # fmt: skip
    """The attack: subscribe an address that never answers, and have the gateway decrypt the same events for ever."""
    monkeypatch.setattr(reports, "MAX_WAITING", 2)
    monkeypatch.setattr(reports, "MAX_EVENTS", 3)
    opened, real = list[int](), EventsView.payload
    monkeypatch.setattr(EventsView, "payload", lambda view, leaf: opened.append(leaf) or real(view, leaf))
    with receiving() as live, site(tmp_path / "site") as trade:
        dead = subscribed(trade, Receiver())
        trade.captured(*shipped(20))
        queue(trade, dead, lambda state: state and state.waiting == 2)
        rounds(trade, 2)
        opened.clear()
        changes = trade.gateway.supply.enquiries.standing._db.connection.total_changes
        rounds(trade, 10)
        assert opened == []
        assert trade.gateway.supply.enquiries.standing._db.connection.total_changes == changes
        assert row(trade, dead) == (6, None)
        subscribed(trade, live)
        trade.wait(lambda: len(live.taken) == 7)


def test_what_the_outbox_refuses_is_tried_more_and_more_seldom(
    tmp_path: Path, rounds: Callable[[Trade, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """A bound that the count of what waits does not show: of the bytes of all targets."""
    tries, real = list[str](), Reports._send

    async def send(self: Reports, subscription: Subscription, *given: Any) -> None:
        tries.append(subscription.id)
        await real(self, subscription, *given)

    monkeypatch.setattr(Reports, "_send", send)
    with receiving() as receiver, site(tmp_path / "site") as trade:
        outbox = trade.gateway.supply.outbox
        room, outbox._most_bytes = outbox._most_bytes, 10
        waits = subscribed(trade, receiver)
        trade.captured(*shipped(2))
        trade.wait(lambda: tries)
        rounds(trade, 20)
        assert tries == [waits]
        assert not list(trade.gateway.supply.problems())
        outbox._most_bytes = room
        trade.wait(lambda: receiver.taken)


def test_a_long_log_is_gone_through_in_stretches_from_the_time_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(reports, "STRETCH", 4)
    asked, real = list[tuple[int, int]](), search.between

    def between(view: EventsView, query: Any, start: int, stop: int, *given: Any) -> Any:
        asked.append((start, stop))
        return real(view, query, start, stop, *given)

    monkeypatch.setattr(reports, "between", between)
    with receiving() as receiver, site(tmp_path / "site") as trade:
        trade.captured(*shipped(10, step="receiving"))
        later = trade.captured(*shipped(9))
        ((since,),) = trade.rows("SELECT record_us FROM event WHERE leaf = ?", later[0])
        subscribed(trade, receiver, initial_us=since)
        trade.wait(lambda: len(receiver.taken) == 3)
        assert asked == [(10, 14), (14, 18), (18, 19)]


def test_nothing_is_written_while_nothing_matches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: Callable[[Trade, int], None]
) -> None:  # fmt: skip
    with receiving() as receiver, site(tmp_path / "site") as trade:
        standing = trade.gateway.supply.enquiries.standing
        ids = [subscribed(trade, receiver) for _ in range(3)]
        changes = standing._db.connection.total_changes
        for number in range(3):
            trade.captured(objects(number, "receiving", pack(1, number)))
            rounds(trade, 3)
        assert standing._db.connection.total_changes == changes
        monkeypatch.setattr("gateway.enquiry.places.WRITTEN_EVERY_S", 0.0)
        trade.wait(lambda: [row(trade, one) for one in ids] == [(3, None)] * 3)
        trade.captured(objects(9, "shipping", pack(1, 9)))
        trade.wait(lambda: len(receiver.taken) == 3)


@pytest.mark.parametrize("schedule", [{}, {"second": "0/1"}], ids=["stream", "schedule"])
def test_an_index_that_lost_power_makes_no_other_report_of_the_same_events(
    tmp_path: Path, rounds: Callable[[Trade, int], None], schedule: dict[str, str]
) -> None:  # fmt: skip
    """The end of a report was noted, then the power went: the index is behind, and what it has is not all of it."""
    with receiving() as receiver, site(tmp_path / "site") as trade:
        trade.capture(*shipped(6))
        with closing(EventIndex(trade.folder)) as index, closing(SiteReader.open(trade.folder)) as reader:
            index.follow(reader, 3)
        one = subscribed(trade, receiver, schedule=schedule)
        trade.gateway.supply.enquiries.standing.plan(one, 0, 6)
        rounds(trade, 3)
        places = trade.gateway.supply.enquiries.reports._places
        trade.wait(lambda: not schedule or places._of[one].goal is not None)  # it is time for the report
        rounds(trade, 3)
        assert queue(trade, one) is None
        trade.follow()
        trade.wait(lambda: receiver.taken)
        assert receiver.taken[0].headers["webhook-id"] == f"{one}.0.6"
        trade.wait(lambda: row(trade, one) == (6, None))


def test_a_queue_whose_subscription_is_gone_is_forgotten_at_the_start(tmp_path: Path) -> None:
    """The gateway ended between the end of a subscription and that of its queue."""
    with site(tmp_path / "site") as trade:
        one = subscribed(trade, Receiver())
        trade.captured(*shipped(2))
        queue(trade, one, lambda state: state)
    with closing(Standing(tmp_path / "site" / "queries.db")) as standing:
        standing.unsubscribe("out", one)
    with Trade(tmp_path / "site", delivery=INSIDE) as trade:
        queue(trade, one, lambda state: state is None)
