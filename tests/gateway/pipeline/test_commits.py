"""When the disk, the store or the queue says no: nothing is acknowledged, nothing is lost, and it mends itself."""

import secrets
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from chain.errors import StoreError
from chain.fsck import fsck
from gateway.ingest.inbound import Channel, Inbound, Verdict
from gateway.pipeline import committer as committer_module
from tests.support.site import Site
from tests.support.source import START_US, Source, message, payload_bytes

OK, LATER = Verdict.STORED, Verdict.QUOTA_EXCEEDED


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer_module, "IDLE_S", 0.02)
    monkeypatch.setattr("gateway.pipeline.disk.LOOK_EVERY_S", 0.0)


def _broken_by(statement: str) -> Callable[[Site], None]:
    def break_it(site: Site) -> None:
        with closing(sqlite3.connect(site.folder.database)) as other:
            other.execute(statement)

    return break_it


def _mend(site: Site) -> None:
    with closing(sqlite3.connect(site.folder.database)) as other:
        for (name,) in other.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            other.execute(f"DROP TRIGGER {name}")


def _trigger(what: str) -> str:
    return f"CREATE TRIGGER broken BEFORE {what} BEGIN SELECT RAISE(ABORT, 'injected'); END"


@pytest.mark.parametrize(
    "where",
    [
        "INSERT ON subject", "INSERT ON segment", "INSERT ON source", "INSERT ON range_new", "UPDATE ON range_new",
        "INSERT ON log_tail", "INSERT ON log_tile", "UPDATE ON log_meta", "INSERT ON seal", "INSERT ON dead_letter",
        "INSERT ON alert",
    ],
)  # fmt: skip
def test_a_failed_commit_leaves_no_trace(site: Site, where: str) -> None:
    """Wherever in the write it fails: all or nothing, in memory too, and the same messages are taken afterwards."""
    source, fresh = site.enrol("logger"), site.enrol("fresh")
    site.plain("meter")
    assert site.send(source, message(source.batch(3), source.seal())) is OK
    assert site.send("meter", payload_bytes(5.0), plain="reading") is OK
    before = site.records()
    outside = message([source.event(30.0), *source.batch(2)], source.seal())  # an excursion: an alert
    sends = [
        site.inbound("meter", payload_bytes(6.0), plain="reading"),  # right behind its last: joined in the index
        site.inbound(source, outside),
        site.inbound(fresh, message(fresh.batch(300))),
        site.inbound(source, message([b"junk"])),
    ]
    _broken_by(_trigger(where))(site)
    assert site.send_all(sends) == [LATER] * 4
    assert "injected" in str(site.gateway.committer.failure)
    assert any("injected" in problem for problem in site.gateway.status().problems)
    assert site.records() == before
    _mend(site)
    assert site.send_all(sends) == [OK, OK, OK, Verdict.REJECTED]
    assert site.gateway.status().problems == ()
    assert [a.source for a in site.alerts("excursion")] == ["logger"]  # told although the first try had told it
    assert [r.seq for r in site.records() if r.source == "meter"] == [0, 1]
    numbers = Counter((r.source, r.boot, r.seq, r.kind) for r in site.records())
    assert max(numbers.values()) == 1
    assert site.gateway.committer.counters.stored == 3 + 1 + 3 + 300 + 1
    site.drain()
    assert fsck(site.folder).events == 308


def test_a_full_database_file_refuses_and_recovers(site: Site) -> None:
    """SQLite's own page bound stands in for a full disk: SQLITE_FULL in the middle of a write."""
    source = site.enrol("logger")
    site.send(source, message(source.batch(3)))
    database = site.gateway.committer._site.db.connection
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages + 1}")
    big = site.inbound(source, message([source.event([{"n": "t", "vs": secrets.token_hex(8_000)}]) for _ in range(8)]))
    assert site.send_all([big]) == [LATER]
    assert "no room" in str(site.gateway.committer.failure)
    assert len(site.records()) == 3
    database.execute("PRAGMA max_page_count = 1073741823")
    assert site.send_all([big]) == [OK]
    site.drain()
    assert fsck(site.folder).events == 11


def test_the_disk_bound_refuses_new_events_and_overwrites_none(site: Site) -> None:
    source = site.enrol("logger")
    assert site.send(source, message(source.batch(3), source.seal())) is OK
    disk = site.gateway.disk
    usual, disk.limit_bytes = disk.limit_bytes, 1
    waiting = site.inbound(source, message(source.batch(2), source.seal()))
    assert site.send_all([waiting]) == [LATER]
    site.wait(lambda: "storage.max_bytes" in " ".join(site.gateway.status().problems))
    site.wait(lambda: site.gateway.committer.failure is not None)  # and it stays so while nothing comes
    assert site.send_all([waiting]) == [LATER]
    assert len(site.records()) == 4
    assert site.dead_letters() == []
    disk.limit_bytes = usual
    assert site.send_all([waiting]) == [OK]
    site.wait(lambda: site.gateway.status().problems == ())
    site.drain()
    assert fsck(site.folder).events == 5


def test_the_reserve_of_the_disk_is_left_to_others(tmp_path: Path) -> None:
    with Site(tmp_path / "site", storage={"reserve_bytes": 2**60}) as site:
        source = site.enrol("logger")
        assert site.send(source, message(source.batch(1))) is LATER
        site.wait(lambda: "kept in reserve" in " ".join(site.gateway.status().problems))


def test_a_full_queue_says_so_and_says_when_it_has_room(tmp_path: Path) -> None:
    """The doors' contract: congested() stops their reading, on_relief() wakes them once."""
    with Site(tmp_path / "site", pipeline={"queue_bytes": 2**20}) as site:
        source, committer = site.enrol("logger"), site.gateway.committer
        payload = message([source.event([{"n": "t", "vs": secrets.token_hex(8_000)}]) for _ in range(8)])
        woken: list[bool] = []
        with committer._writing:  # a commit that takes long
            messages = [site.inbound(source, payload) for _ in range(40)]
            verdicts = [_submitted(site, m) for m in messages]
            assert committer.inbox.congested()
            committer.inbox.on_relief(lambda: woken.append(committer.inbox.congested()))
            assert woken == []
        site.wait(lambda: all(verdicts))
        assert woken == [False]
        assert {v for (v,) in verdicts} == {OK}
        assert committer.inbox.size == 0
        assert not committer.inbox.congested()


def _submitted(site: Site, like: Inbound) -> list[Verdict]:
    verdicts: list[Verdict] = []
    site.gateway.committer.inbox.submit(replace(like, done=verdicts.extend))
    return verdicts


def test_relief_comes_at_once_where_there_is_room(site: Site) -> None:
    woken: list[int] = []
    site.gateway.committer.inbox.on_relief(lambda: woken.append(1))
    site.wait(lambda: woken)
    assert woken == [1]


def test_stopping_commits_what_is_queued(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        source = site.enrol("logger")
        for _ in range(200):
            _submitted(site, site.inbound(source, message(source.batch(3))))
    with Site(tmp_path / "site") as again:
        assert len(again.records()) == 600
        again.drain()
        assert fsck(again.folder).events == 600


def test_stopping_while_checkpoints_are_made_is_safe(tmp_path: Path) -> None:
    """Each excursion is anchored at once, and the gateway is stopped in the middle of that, again and again."""
    with Site(tmp_path / "site") as site:
        source = site.enrol("logger")
    for _ in range(12):
        with Site(tmp_path / "site") as site:
            assert site.send(source, message([source.event(30.0)])) is OK
    with Site(tmp_path / "site") as site:
        site.drain()
        assert fsck(site.folder).events == 12


def test_a_refusal_is_durable_before_it_is_told(site: Site) -> None:
    stranger = Source("stranger")
    assert site.send(stranger, message([stranger.event()])) is Verdict.NOT_AUTHORIZED
    with closing(sqlite3.connect(site.folder.database)) as other:
        rows = other.execute("SELECT source, channel, at_us FROM dead_letter").fetchall()
    assert [(source, channel) for source, channel, _ in rows] == [("stranger", str(Channel.EVENTS))]
    assert rows[0][2] > START_US - 1


def test_payloads_that_resolve_to_fifty_times_their_size_can_be_read_again(site: Site) -> None:
    """An amplification: a base name of 250 bytes in 256 rows of eight. What is read at once must stay bounded."""
    source = site.enrol("logger")
    rows = ",".join(['{"v":1}'] * 255)
    payload = f'[{{"bn":"{"b" * 250}","bu":"{"u" * 64}","v":1}},{rows}]'.encode()
    messages = [message([source.event(payload) for _ in range(100)]) for _ in range(8)]
    with site.gateway.committer._writing:  # so that they share a batch
        verdicts = [_submitted(site, site.inbound(source, one)) for one in [message(source.batch(1)), *messages]]
    site.wait(lambda: all(verdicts))
    assert {v for (v,) in verdicts} == {OK}
    site.drain()
    with site.reader() as reader:
        segments = reader.payloads.segments(0, 100)
        assert sum(len(segment.events) for segment in segments) == 801
        longest = reader.db.connection.execute("SELECT MAX(length(body)) FROM segment").fetchone()[0]
    assert longest < 32 * 2**20  # whoever reads one event reads its whole segment
    assert fsck(site.folder).events == 801


def test_an_anchor_that_could_not_be_noted_is_noted_before_the_next(site: Site) -> None:
    """The ledger took it, the disk refused our word of it, and the log went on."""
    source = site.enrol("logger")
    assert site.send(source, message(source.batch(3), source.seal())) is OK
    _broken_by(_trigger("UPDATE OF evidence ON log_checkpoint"))(site)
    with pytest.raises(StoreError, match="injected"):
        site.run(site.gateway.anchorer.flush())
    _mend(site)
    assert site.send(source, message(source.batch(3), source.seal())) is OK
    site.drain()
    with site.reader() as reader:
        assert [kept.size for kept in reader.checkpoints.kept() if kept.evidence is not None] == [4, 8]
    fsck(site.folder)
