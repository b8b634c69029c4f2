"""Captures when the disk does not take them: they wait, say so, and go on by themselves."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from chain.errors import StoreError
from chain.store.database import Database
from gateway.access import Scope
from gateway.capture.capture import Captured
from gateway.capture.errors import BusyCaptureError
from gateway.capture.intake import taken_in
from gateway.capture.jobs import new_job
from gateway.capture.parts import Captures, make_captures
from gateway.epcis.event import open_event
from tests.gateway.api.epcis.asking import captured
from tests.support.captures import Trade
from tests.support.served import Served
from tests.support.trade import objects, pack


async def take(captures: Captures, payload: bytes) -> Captured:
    found = taken_in(payload, 2**20, 50, proceed=False)
    return await captures.capture.take(new_job("maker", 1, proceed=False), found.candidates)


def test_a_disk_that_takes_nothing_at_the_start_ends_no_capturing(tmp_path: Path) -> None:
    event = objects(0, "shipping", pack(1, 1))
    with Trade(tmp_path / "site") as trade:
        captures = make_captures(trade.gateway.supply.ground)
        trade.captured(event)
        (left,) = captures.jobs.begin([replace(new_job("maker", 1, proceed=False), pending=open_event(event).hash)])
        captures.jobs._db.connection.execute("PRAGMA busy_timeout = 10")
        away = Database(trade.folder.captures).connection
        away.execute("BEGIN IMMEDIATE")  # the disk takes nothing of anybody else
        running = trade.run(_started(captures))
        trade.wait(lambda: captures.capture.problem)
        with pytest.raises(BusyCaptureError, match=r"captures\.db"):
            trade.run(take(captures, event))
        away.execute("ROLLBACK")
        trade.wait(lambda: captures.jobs.job(left.id, None).success)
        trade.wait(lambda: not captures.capture.problem)
        assert trade.run(take(captures, event)).records == ((0, True),)
        running.cancel()
        away.close()


async def _started(captures: Captures) -> "asyncio.Task[None]":
    return asyncio.create_task(captures.capture.run())


def test_what_ends_by_a_fault_shows_in_the_status(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise StoreError("the disk is gone")

    with Served(tmp_path / "data") as site:
        site.run(_begin(site, broken))
        auditor = site.client(Scope.AUDITOR)
        while not (said := [p for p in site.gateway.status().problems if "the disk is gone" in p]):
            pass
        assert "broken has ended" in said[0]
        assert "has ended" in caplog.text
        assert auditor.get("/epcis/capture").status_code == 200
        assert captured(site.client(Scope.CAPTURE), objects(0, "shipping", pack(1, 1)))["stored"] == 1


async def _begin(site: Served, work) -> None:  # type: ignore[no-untyped-def]
    site.gateway._closing.task(work())
