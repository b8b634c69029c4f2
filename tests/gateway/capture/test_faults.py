"""Captures when the disk does not take them: they wait, say so, and go on by themselves."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from chain.errors import StoreError
from chain.store.database import Database
from gateway.access import Scope
from gateway.capture.capture import Capture, Captured
from gateway.capture.errors import BusyCaptureError
from gateway.capture.intake import taken_in
from gateway.capture.jobs import Job, Jobs, new_job
from gateway.capture.parts import MAX_BODIES, Captures, make_captures
from gateway.epcis.event import open_event
from tests.gateway.api.epcis.asking import captured, listed
from tests.support.captures import Trade
from tests.support.served import Served
from tests.support.trade import objects, pack


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


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
        until(lambda: any("broken has ended: the disk is gone" in said for said in site.gateway.status().problems))
        assert "has ended" in caplog.text
        assert auditor.get("/epcis/capture").status_code == 200
        assert captured(site.client(Scope.CAPTURE), objects(0, "shipping", pack(1, 1)))["stored"] == 1


async def _begin(site: Served, work) -> None:  # type: ignore[no-untyped-def]
    site.gateway._closing.task(work())


def test_a_job_is_told_before_it_is_noted_and_the_same_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("gateway.capture.capture.NOTED_WITHIN_S", 60.0)
    events = [objects(i, "shipping", pack(1, i)) for i in range(4)]
    with Trade(tmp_path / "site") as trade:
        captures = make_captures(trade.gateway.supply.ground)
        running = trade.run(_started(captures))
        trade.captured(events[0])
        done = trade.run(_take_both(captures, listed(*events[:3]), listed(*events[1:])))
        assert [(job.stored, job.duplicates) for job in done] == [(2, 1), (1, 2)]
        assert [captures.jobs.job(job.id, "maker") for job in done] == done
        assert [job.id for job in captures.jobs.page("maker", None, 9)] == [job.id for job in reversed(done)]
        _copied(trade.folder.captures, tmp_path / "left.db")  # as a gateway that is killed here leaves it
        trade.follow()
        left = Jobs(tmp_path / "left.db")
        assert [job.finished_us for job in left.running()] == [None, None]
        Capture(left, captures.capture._known, _nothing, lambda: 0)._settle()
        settled = [replace(left.job(job.id, None), finished_us=job.finished_us) for job in done]
        assert settled == [replace(job, since=kept.since) for job, kept in zip(done, settled, strict=True)]
        left.close()
        running.cancel()
        trade.run(asyncio.wait([running]))
        assert Jobs(trade.folder.captures).running() == []


async def _take_both(captures: Captures, *payloads: bytes) -> list[Job]:
    return [one.job for one in await asyncio.gather(*(take(captures, payload) for payload in payloads))]


async def _nothing(payloads: object) -> list[int]:
    return []


def _copied(path: Path, to: Path) -> None:
    with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(to)) as copy:
        db.backup(copy)


def test_captures_that_wait_for_the_disk_keep_nobody_from_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than bodies may be in memory at once."""
    with Served(tmp_path / "data") as site:
        token = site.token(Scope.CAPTURE)
        stored = list[int]()

        headers = {"Authorization": f"Bearer {token}"}
        clients = [httpx.Client(base_url=site.url, headers=headers, timeout=30) for _ in range(MAX_BODIES + 4)]

        def bring(number: int) -> None:
            with clients[number] as client:
                stored.append(captured(client, objects(number, "shipping", pack(1, number)))["stored"])

        capture, came = site.gateway.supply.capture.capture, list[str]()
        take = capture.take

        async def counted(job: Job, *more: Any) -> Captured:
            came.append(job.id)
            return await take(job, *more)

        monkeypatch.setattr(capture, "take", counted)
        with capture.jobs._lock:  # as a disk that is slow, for as long as it takes all of them to come
            threads = [threading.Thread(target=bring, args=(n,)) for n in range(len(clients))]
            for thread in threads:
                thread.start()
            until(lambda: len(came) > MAX_BODIES)
        for thread in threads:
            thread.join()
        assert stored == [1] * len(threads)
