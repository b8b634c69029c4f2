"""The event index: complete, resumable, rebuilt when it is stale, without what was erased, and as true as the log."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.custody.follower import source_of
from gateway.epcis.event import read_event
from gateway.events.check import check_events
from gateway.events.members import parts_of
from gateway.events.schema import TABLES, Action, Role, Type
from gateway.events.view import EventsView
from gateway.index.check import IndexMismatchError
from gateway.query.errors import BusyError, NotFoundError, NotIndexedError
from gateway.server import running
from tests.support.captures import Trade, everything
from tests.support.source import message
from tests.support.trade import (
    START_US,
    case,
    commissioned,
    declared_false,
    event,
    lot,
    made,
    objects,
    pack,
    packed,
    place,
)

PARTS = "SELECT p.role, t.uri, p.quantity FROM part p JOIN thing t ON t.id = p.thing WHERE p.leaf = ? ORDER BY 1, 2"


def test_an_event_is_found_by_each_of_its_things(trade: Trade) -> None:
    trade.send(source := trade.enrol("fridge"), message(source.batch(2), source.seal()))
    ship = objects(5, "shipping", case(1), at=place(1), disposition="in_transit", destinationList=[
        {"type": "owning_party", "destination": "urn:epc:id:pgln:4012345.00002"}])  # fmt: skip
    leaves = trade.captured(commissioned(0, 1, "L1", pack(1, 1), pack(1, 2)), packed(1, case(1), pack(1, 1)), ship)
    assert trade.rows("SELECT leaf, type, action, time_us FROM event") == [
        (leaves[0], Type.OBJECT, Action.ADD, START_US),
        (leaves[1], Type.AGGREGATION, Action.ADD, START_US + 60_000_000),
        (leaves[2], Type.OBJECT, Action.OBSERVE, START_US + 300_000_000),
    ]
    assert trade.rows(PARTS, leaves[0]) == [
        (Role.EPC, pack(1, 1), None), (Role.EPC, pack(1, 2), None), (Role.LOT, lot(1, "L1"), None),
    ]  # fmt: skip
    assert trade.rows(PARTS, leaves[1]) == [(Role.PARENT, case(1), None), (Role.CHILD, pack(1, 1), None)]
    assert trade.rows(PARTS, leaves[2])[1] == (Role.DESTINATION, "https://id.gs1.org/417/4012345000023", None)
    words = "SELECT s.text, d.text, r.uri, e.record_us > 0 FROM event e JOIN word s ON s.id = e.step"
    words += " JOIN word d ON d.id = e.disposition JOIN thing r ON r.id = e.read_point"
    assert trade.rows(words) == [("shipping", "in_transit", place(1), 1)]


def test_quantities_of_one_lot_in_one_event_add_up_where_they_can(trade: Trade) -> None:
    some = [{"epcClass": lot(1, "A"), "quantity": q, "uom": u} for q, u in ((2, "KGM"), (3, "KGM"))]
    mixed = [{"epcClass": lot(1, "B"), "quantity": q, "uom": u} for q, u in ((2, "KGM"), (3, "GRM"))]
    [leaf] = trade.captured(objects(0, "shipping", quantityList=some + mixed))
    assert trade.rows(PARTS, leaf) == [(Role.EPC, lot(1, "A"), 5.0), (Role.EPC, lot(1, "B"), None)]


def test_a_transformation_in_two_events_is_joined_by_its_id(trade: Trade) -> None:
    way = "urn:epc:id:gdti:4012345.00001.7"
    first = json.loads(made(0, {lot(1, "A"): 5}, {lot(2, "B"): 5}, transformationID=way))
    second = dict(first)
    first.pop("outputQuantityList"), second.pop("inputQuantityList")
    leaves = trade.captured(json.dumps(first).encode(), json.dumps(second).encode())
    found = trade.rows("SELECT p.leaf FROM part p WHERE p.role = ?", Role.TRANSFORMATION)
    assert [row[0] for row in found] == leaves


def test_steps_of_any_size_give_the_same_index(trade: Trade) -> None:
    original = commissioned(0, 1, "L1", pack(1, 1))
    trade.capture(declared_false(original, 3), original, *(packed(n, case(n), pack(1, n)) for n in range(9)))
    trade.follow(limit=1)
    small = everything(trade, TABLES)
    for suffix in ("", "-wal", "-shm"):
        trade.folder.events.with_name("events.db" + suffix).unlink(missing_ok=True)
    trade.follow()
    assert everything(trade, TABLES) == small
    assert check_events(trade.folder) == 11
    assert trade.folder.events.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("named", ["", "urn:uuid:01234567-89ab-4def-8123-0123456789ab"])
@pytest.mark.parametrize("late", [False, True])
def test_an_error_declaration_makes_the_event_void_in_either_order(trade: Trade, named: str, late: bool) -> None:
    original = objects(0, "shipping", pack(1, 1), **({"eventID": named} if named else {}))
    declaration, other = declared_false(original, 9), objects(1, "shipping", pack(1, 1))
    first, second = (declaration, original) if late else (original, declaration)
    trade.captured(first)
    trade.captured(second, other)
    states = [(0, 1), (1, 0)] if not late else [(1, 0), (0, 1)]
    assert trade.rows("SELECT declared, void FROM event ORDER BY leaf") == [*states, (0, 0)]


@pytest.mark.parametrize("named", ["", "urn:uuid:01234567-89ab-4def-8123-0123456789ab"])
@pytest.mark.parametrize("late", [False, True])
def test_a_partner_declares_its_own_events_erroneous_and_no_others(trade: Trade, named: str, late: bool) -> None:
    original = objects(0, "shipping", pack(1, 1), **({"eventID": named} if named else {}))
    declaration = declared_false(original, 9)

    def handed_over(organisation: str, payload: bytes) -> int:
        return trade.run(trade.gateway._own_log(source_of(organisation), "epcis").append_all([payload]))[0]

    declared = [handed_over("Maker", declaration)] if late else []
    trade.follow()
    leaves = [*trade.capture(original), *(handed_over(name, original) for name in ("Maker", "Shop"))]
    trade.follow()
    if not late:
        handed_over("Maker", declaration)
        trade.follow()
    assert trade.rows("SELECT leaf FROM event WHERE void") == [(leaves[1],)], declared
    trade.captured(declaration)  # ours: what a partner told us is false
    assert trade.rows("SELECT leaf FROM event WHERE void ORDER BY leaf") == [(leaf,) for leaf in leaves]


def test_a_declaration_by_another_id_speaks_of_the_event_with_this_id(trade: Trade) -> None:
    original = objects(0, "shipping", pack(1, 1))
    declaration = declared_false(objects(0, "shipping", pack(1, 7)), 9, event_id=read_event(original).hash_id)
    trade.captured(original, objects(1, "shipping", pack(1, 1)), declaration)
    assert trade.rows("SELECT void FROM event ORDER BY leaf") == [(1,), (0,), (0,)]


def test_an_altered_row_is_found(trade: Trade) -> None:
    trade.captured(packed(0, case(1), pack(1, 1)))
    with closing(sqlite3.connect(trade.folder.events)) as db, db:
        db.execute("UPDATE event SET time_us = time_us + 1")
    with pytest.raises(IndexMismatchError, match=r"events\.db, table event: the log gives no row"):
        check_events(trade.folder)


def test_what_is_erased_is_in_the_index_no_more(trade: Trade) -> None:
    trade.captured(commissioned(0, 1, "GEHEIM", pack(1, 1)))
    assert b"GEHEIM" in _bytes(trade)
    trade.run(trade.gateway.erase("capture", "the operator", "a test"))
    assert b"GEHEIM" not in _bytes(trade)
    trade.follow()
    assert trade.rows("SELECT * FROM event") == []
    assert b"GEHEIM" not in _bytes(trade)
    with closing(EventsView.open(trade.folder)) as view, pytest.raises(NotFoundError, match="no payload"):
        view.payload(0)


def _bytes(trade: Trade) -> bytes:
    files = [trade.folder.events.with_name("events.db" + suffix) for suffix in ("", "-wal")]
    return b"".join(file.read_bytes() for file in files if file.exists())


def test_a_question_that_takes_too_long_is_stopped(trade: Trade) -> None:
    with pytest.raises(NotIndexedError):
        EventsView.open(trade.folder)
    payload = objects(0, "shipping", pack(1, 1))
    [leaf] = trade.captured(payload)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
    with closing(EventsView.open(trade.folder)) as view:
        assert view.payload(leaf) == payload
        assert view.indexed() == 1
        with pytest.raises(BusyError), view.bounded(0.05):
            view.events.connection.execute(endless)


def test_a_running_gateway_keeps_it_and_forgets_what_is_erased(tmp_path: Path) -> None:
    config = Trade(tmp_path / "site").config

    async def run() -> tuple[int, int]:
        async with running(config) as served:
            await served.gateway._own_log("capture", "epcis").append(objects(0, "shipping", pack(1, 1)))
            await served.index_caught_up()
            before = _count(config.data / "events.db")
            await served.gateway.erase("capture", "the operator", "a test")
            await served.index_caught_up()
            return before, _count(config.data / "events.db")

    assert asyncio.run(run()) == (1, 0)


def _count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT COUNT(*) FROM event").fetchone()[0])


def test_lots_that_gs1_does_not_know_are_nobodys(trade: Trade) -> None:
    odd = json.loads(commissioned(0, 1, "L1", pack(1, 1)))
    odd["ilmd"] = {"cbvmda:lotNumber": "x" * 21}
    assert [part.role for part in parts_of(read_event(json.dumps(odd).encode()))] == [Role.EPC]
    other = event("Object", 0, "commissioning", action="ADD", epcList=[case(1)], ilmd={"cbvmda:lotNumber": "L1"})
    assert [part.role for part in parts_of(read_event(other))] == [Role.EPC]
