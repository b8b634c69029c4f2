"""Erasing a person or a source: nothing of them is left in any file, every other proof holds, and nobody can pass
tampering off as an erasure."""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from chain.erased_list import write_list
from chain.erasure import GATEWAY, decode_erasure
from chain.errors import ErasureError, FsckError, ReceiptError, StoreError
from chain.fsck import fsck
from chain.policies import site_policy
from chain.receipt import Receipt
from chain.record import ERASURE_KIND, Record
from chain.site import Folder, SiteReader
from chain.store.database import Database
from chain.verify import Outcome, Report, State, verify_receipt
from crypto.at_rest import AtRestKey
from crypto.errors import SealtrailError
from gateway import erase_command
from gateway.access import Scope, SourceSettings
from gateway.erasing import erase_stopped
from gateway.index import Index
from gateway.index.check import check_index
from gateway.ingest.inbound import Verdict
from gateway.server import running
from tests.support.fields import INFERENCE
from tests.support.killing import steps_killed
from tests.support.site import Site, receipts
from tests.support.source import INFERENCE as INFERENCE_KIND
from tests.support.source import PRODUCTION as PRODUCTION_KIND
from tests.support.source import Source, message
from tests.torture.scale import scaled

OK = Verdict.STORED
PERSON, OTHER = "patient-4711", "patient-0815"
SECRET, KEPT = "glioblastoma-grade-4", "benign-meningioma"


def judged(person: str, label: str) -> dict[str, Any]:
    """An inference about a person. `label` stands for what must not outlive the erasure."""
    return INFERENCE | {"subject": person, "output": {"label": label}, "decision": label}


def everywhere(root: Path, *needles: bytes) -> list[str]:
    """Files of a data directory that hold any of these bytes."""
    files = [file for file in root.rglob("*") if file.is_file()]
    return [file.name for file in files if any(needle in file.read_bytes() for needle in needles)]


@dataclass
class Ward:
    """A hospital's site. Records 0, 2 and 4 of `model` are about PERSON, 1 and 3 about OTHER, 5 about nobody; then a
    seal over all; `watch` reports readings of PERSON; `mri` concerns nobody."""

    site: Site
    model: Source
    watch: Source

    @property
    def folder(self) -> Folder:
        return self.site.folder

    def index(self) -> None:
        """Bring the search index up to date, as the follower does."""
        index = Index(self.folder, self.site.gateway.access.settings)
        with self.site.reader() as reader:
            while index.follow(reader):
                pass
        index.close()

    def erase(self, subject: str = PERSON) -> list[int]:
        erased = self.site.run(self.site.gateway.erase(subject, "token tester", "she asked for it"))
        self.site.drain()
        return [one.leaf for one in erased]


def fill(site: Site) -> Ward:
    model = site.enrol("model", SourceSettings())
    watch = site.enrol("watch", SourceSettings(subject=PERSON))
    mri = site.enrol("mri", SourceSettings())
    people = [(PERSON, SECRET), (OTHER, KEPT)] * 2 + [(PERSON, SECRET)]
    events = [model.event(judged(*who), kind=INFERENCE_KIND) for who in people]
    events.append(model.event(INFERENCE, kind=INFERENCE_KIND))
    assert site.send(model, message(events, model.seal())) is OK
    assert site.send(watch, message([watch.event(73.25)], watch.seal())) is OK
    assert site.send(mri, message([mri.event(5.0)], mri.seal())) is OK
    refused = judged(PERSON, SECRET) | {"unknown": 1}  # a dead letter, with its content
    assert site.send(model, message([model.event(refused, kind=INFERENCE_KIND)])) is Verdict.REJECTED
    model.seq -= 1
    site.drain()
    return Ward(site, model, watch)


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    with Site(tmp_path / "site") as site:
        yield fill(site)


def receipt(folder: Folder, index: int) -> Receipt:
    with receipts(folder) as builder:
        return builder.build(index)


def verified(folder: Folder, index: int) -> Report:
    return verify_receipt(receipt(folder, index), site_policy(folder))


def test_nothing_of_a_person_is_left_and_every_other_proof_holds(ward: Ward) -> None:
    ward.index()
    root = ward.folder.root
    with ward.site.reader() as reader:
        seeds = {segment.seed for segment in reader.payloads.segments(0, 100) if PERSON in segment.subject}
        wrapped = [row[0] for row in reader.db.connection.execute(
            "SELECT wrapped_key FROM subject WHERE name = ?", (f"person/{PERSON}",))]  # fmt: skip
    assert len(seeds) == 4
    secrets = [SECRET.encode(), PERSON.encode(), *wrapped]
    assert {"site.db", "index.db", "access.db"} <= {name.removesuffix("-wal") for name in everywhere(root, *secrets)}
    size = len(ward.site.records())
    (entry,) = ward.erase()
    # 1. The log says so, and its record proves itself.
    assert entry == size
    said = verified(ward.folder, entry)
    assert said.outcome is Outcome.VALID
    assert "erased 4 payloads" in said.steps[3].text
    assert "token tester" in said.steps[3].text
    # 2. No file holds value, pseudonym, key or seed, while the gateway still runs.
    assert everywhere(root, *secrets, *seeds) == []
    # 3. Records of the person stay proved, without content.
    for index in (0, 2, 4, 7):
        report = verified(ward.folder, index)
        assert report.outcome is Outcome.VALID
        assert report.steps[3].state is State.MISSING
        assert f"erased at log index {entry} on " in report.steps[3].text
        assert report.event is None
        assert report.fields == ()
    # 4. Everything else of the same source, and of others, is as it was, payloads and all.
    for index in (1, 3, 5, 9):
        report = verified(ward.folder, index)
        assert report.outcome is Outcome.VALID
        assert report.event is not None
    assert dict(verified(ward.folder, 1).fields)["decision"] == KEPT
    found = fsck(ward.folder)
    assert (found.erased, found.events) == (4, 8)
    ward.index()
    check_index(ward.folder, ward.site.gateway.access.settings)
    assert everywhere(root, SECRET.encode(), PERSON.encode()) == []


def test_dead_letters_of_all_sources_that_report_of_a_person_go(ward: Ward) -> None:
    """Of one whose events stand next to another's in the log, and of one of which nothing was ever stored."""
    second, third = (ward.site.enrol(name, SourceSettings(subject=PERSON)) for name in ("watch-2", "watch-3"))
    for source in (ward.watch, second):
        assert ward.site.send(source, message([source.event(60.5)])) is OK
    for source in (second, third):
        refused = source.event({"lot": "blood-group-ab"}, kind=PRODUCTION_KIND)
        assert ward.site.send(source, message([refused])) is Verdict.REJECTED
    assert everywhere(ward.folder.root, b"blood-group-ab") != []
    ward.erase()
    assert everywhere(ward.folder.root, b"blood-group-ab") == []
    assert ward.site.dead_letters() == []
    # What they send later and is refused is noted without its content.
    refused = third.event({"lot": "blood-group-ab"}, kind=PRODUCTION_KIND)
    assert ward.site.send(third, message([refused])) is Verdict.REJECTED
    (letter,) = ward.site.dead_letters()
    assert (letter.head, letter.size > 0) == (b"", True)
    assert everywhere(ward.folder.root, b"blood-group-ab") == []


def test_no_key_of_the_folder_confirms_a_guess_afterwards(ward: Ward) -> None:
    before = Path(shutil.copytree(ward.folder.root, ward.folder.root.with_name("before")))
    with closing(sqlite3.connect(before / "site.db")) as db:
        bodies = [row[0] for row in db.execute("SELECT body FROM segment s JOIN subject u ON u.id = s.subject"
                                               " WHERE u.name LIKE 'person/patient-4711'")]  # fmt: skip
    ward.erase()
    blob = b"".join(file.read_bytes() for file in ward.folder.root.rglob("*") if file.is_file())
    assert not any(body[:24] in blob for body in bodies)
    with closing(sqlite3.connect(f"file:{ward.folder.database}?mode=ro", uri=True)) as db:
        wrapped = [(n, k) for n, k in db.execute("SELECT name, wrapped_key FROM subject WHERE wrapped_key NOT NULL")]
    site_key = AtRestKey(ward.folder.site_key())
    keys = [site_key.open(key, b"sealtrail/subject-key/v1\x00" + name.encode()) for name, key in wrapped]
    assert len(keys) == 3  # model, the other person, mri
    for body in bodies:  # even who kept the ciphertexts finds no key
        for key in (*keys, ward.folder.site_key()):
            for place in range(10):
                with pytest.raises(SealtrailError):
                    AtRestKey(key).open(body, place.to_bytes())


def test_what_comes_later_is_logged_sealed_and_never_stored(ward: Ward) -> None:
    ward.erase()
    events = [ward.model.event(judged(who, label), kind=INFERENCE_KIND) for who, label in
              ((PERSON, "late-finding"), (OTHER, KEPT))]  # fmt: skip
    assert ward.site.send(ward.model, message(events, ward.model.seal())) is OK
    assert ward.site.send(ward.watch, message([ward.watch.event(99.5)], ward.watch.seal())) is OK
    ward.site.drain()
    records = ward.site.records()
    late = [i for i, r in enumerate(records) if r.source in ("model", "watch") and r.kind in (1, 3)][-3:]
    assert everywhere(ward.folder.root, b"late-finding", PERSON.encode()) == []
    assert [verified(ward.folder, i).outcome for i in late] == [Outcome.VALID] * 3
    assert [verified(ward.folder, i).event is None for i in late] == [True, False, True]
    assert [r.kind for r in records].count(ERASURE_KIND) == 3
    assert ward.site.alerts("gap") == []
    assert fsck(ward.folder).erased == 6


def test_a_source_is_erased_and_persons_of_its_events_stay(ward: Ward) -> None:
    ward.erase("model")
    assert [verified(ward.folder, i).event is None for i in range(6)] == [False] * 5 + [True]
    assert ward.site.dead_letters() == []
    assert fsck(ward.folder).erased == 1


def test_a_name_that_is_a_person_and_a_source_is_to_be_said_in_full(ward: Ward) -> None:
    event = ward.model.event(judged("mri", SECRET), kind=INFERENCE_KIND)
    assert ward.site.send(ward.model, message([event], ward.model.seal())) is OK
    with pytest.raises(ErasureError, match="say person/mri or source/mri"):
        ward.erase("mri")
    assert len(ward.erase("person/mri")) == 1
    assert verified(ward.folder, 9).event is not None
    with pytest.raises(ErasureError, match="nothing is stored"):
        ward.erase("person/mri")


def test_no_source_may_be_called_as_the_gateways_own_records_are(ward: Ward) -> None:
    with pytest.raises(SealtrailError, match="choose another name"):
        ward.site.enrol(GATEWAY)


# -- a lying operator


def sql(folder: Folder, *statements: str) -> None:
    with closing(sqlite3.connect(folder.database)) as db:
        for statement in statements:
            assert db.execute(statement).rowcount > 0
        db.commit()


@pytest.fixture
def erased(tmp_path: Path) -> Folder:
    """A stopped site whose person was erased."""
    with Site(tmp_path / "site") as site:
        ward = fill(site)
        ward.erase()
        site.drain()
    assert fsck(ward.folder).erased == 4
    return ward.folder


PASSED_OFF = {
    "a payload taken out": (("DELETE FROM segment WHERE first_leaf = 1",), "entry 1: it is gone, and no entry"),
    "a run added": (
        ("DELETE FROM segment WHERE first_leaf = 1", "INSERT INTO erased_run VALUES (1, 1, 11)"),
        "rows of runs are not those",
    ),
    "a run widened": (
        ("DELETE FROM segment WHERE first_leaf = 1", "UPDATE erased_run SET count = 2 WHERE first = 0"),
        "rows of runs are not those",
    ),
    "the statement rewritten": (
        ("UPDATE erasure SET statement = CAST(substr(statement, 1, 8) || 'x' || substr(statement, 10) AS BLOB)",),
        "does not name this statement",
    ),
    "the statement taken out": (("DELETE FROM erasure", "DELETE FROM erased_run"), "0 are stored, the log names 1"),
    "a subject marked": (("UPDATE subject SET wrapped_key = NULL WHERE name = 'mri'",), "was erased"),
    "a mark taken away": (("DELETE FROM subject WHERE wrapped_key IS NULL",), "0 subjects are marked"),
    "another mark": (
        ("UPDATE subject SET name = 'erased/' || hex(randomblob(32)) WHERE wrapped_key IS NULL",),
        "1 subjects are mark",
    ),
    "not carried out": (("UPDATE erasure SET state = 0",), "it is not carried out to its end"),
    "payloads there again": (
        ("INSERT INTO segment SELECT 0, 1, subject, body FROM segment WHERE first_leaf = 1",), "still there"),
}  # fmt: skip


@pytest.mark.parametrize(("statements", "says"), PASSED_OFF.values(), ids=PASSED_OFF.keys())
def test_tampering_is_not_taken_for_an_erasure(erased: Folder, statements: tuple[str, ...], says: str) -> None:
    sql(erased, *statements)
    with pytest.raises(FsckError, match=says):
        fsck(erased)


def test_receipts_that_lie_about_an_erasure(erased: Folder) -> None:
    own, policy = receipt(erased, 0), site_policy(erased)
    part, kept = own.erasure, receipt(erased, 1)
    assert part is not None

    def step(lie: Receipt) -> str:
        report = verify_receipt(lie, policy)
        assert report.outcome is Outcome.INVALID
        return report.steps[3].text

    replace = msgspec.structs.replace
    assert "is not of record 1" in step(replace(kept, event=None, fields=(), erasure=part))
    altered = part.statement.replace(b"she asked", b"he asked ")
    assert "does not name this statement" in step(replace(own, erasure=replace(part, statement=altered)))
    assert "does not name" in step(replace(own, erasure=replace(part, record=own.record, index=0,
                                                                inclusion=own.inclusion)))  # fmt: skip
    assert step(replace(own, erasure=replace(part, index=part.index - 1)))
    assert "discloses what it says" in step(replace(own, fields=kept.fields))
    with receipts(erased) as builder, pytest.raises(ReceiptError, match="was erased, as record 11 says"):
        builder.build(0, ["decision"])


def test_a_statement_that_is_not_one_is_refused(erased: Folder) -> None:
    with closing(SiteReader.open(erased)) as reader:
        (stored,) = reader.erasures.all()
        logged = Record.decode(reader.entries.entry(stored.leaf))
    assert (logged.source, logged.kind, logged.count) == (GATEWAY, ERASURE_KIND, 4)
    assert stored.erasure.runs == ((0, 1), (2, 1), (4, 1), (7, 1))
    for n in range(len(stored.statement)):
        changed = stored.statement[:n] + bytes([stored.statement[n] ^ 0x41]) + stored.statement[n + 1 :]
        try:
            decode_erasure(changed)
        except SealtrailError:
            continue


# -- backups, crashes, a stopped site


def test_a_copy_that_is_put_back_erases_again(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        ward = fill(site)
        ward.index()
        backup = Folder(Path(shutil.copytree(site.folder.root, tmp_path / "backup")))
        ward.erase()
        site.drain()
        assert write_list(site.folder, tmp_path / "erased.json") == 1
    (backup.root / "lock").unlink()
    assert everywhere(backup.root, SECRET.encode(), PERSON.encode())
    command = [sys.executable, "-m", "sealtrail", "erase", "--again", "--list", str(tmp_path / "erased.json")]
    done = subprocess.run([*command, "--data", str(backup.root), "--json"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == {"entries": [], "events": 0, "later": 1}
    assert everywhere(backup.root, SECRET.encode(), PERSON.encode()) == []
    assert fsck(backup).erased == 4
    altered = (backup.root / "erasures.json").read_bytes().replace(b'"erasures":["', b'"erasures":["Zm9v","')
    (backup.root / "erasures.json").write_bytes(altered)
    with pytest.raises(FsckError, match=r"erasures\.json"):
        fsck(backup)
    (backup.root / "erasures.json").unlink()
    with pytest.raises(FsckError, match=r"marked|gone"):
        fsck(backup)


def test_tables_that_are_put_back_are_erased_before_anybody_is_served(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        ward = fill(site)
        old = Path(shutil.copytree(site.folder.root, tmp_path / "old"))
        ward.erase()
        site.drain()
    with closing(sqlite3.connect(site.folder.database)) as db:
        db.execute("ATTACH ? AS old", (str(old / "site.db"),))
        for table in ("segment", "subject"):
            db.execute(f"DELETE FROM main.{table}")
            db.execute(f"INSERT INTO main.{table} SELECT * FROM old.{table}")
        db.commit()
    with pytest.raises(FsckError, match="still there"):
        fsck(site.folder)
    with Site(tmp_path / "site"):
        assert fsck(site.folder).erased == 4
        assert everywhere(site.folder.root, SECRET.encode(), f"person/{PERSON}".encode()) == []


def test_a_stopped_site_is_erased_by_the_command(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        fill(site)
        command = [sys.executable, "-m", "sealtrail", "erase", "--data", str(site.folder.root), "--subject", PERSON]
        refused = subprocess.run([*command, "--reason", "r"], capture_output=True, check=False)
        assert refused.returncode == 1
        assert b"another gateway runs" in refused.stderr
    done = subprocess.run([*command, "--reason", "she asked", "--json"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == {"entries": [11], "events": 4, "later": 0}
    assert everywhere(site.folder.root, SECRET.encode(), PERSON.encode()) == []
    with Site(tmp_path / "site") as again:
        again.drain()
        assert verified(again.folder, 11).outcome is Outcome.VALID
        assert fsck(again.folder).erased == 4


def test_a_list_that_is_not_there_is_one_line(erased: Folder) -> None:
    with pytest.raises(ErasureError, match="cannot read"):
        erase_command._stopped(erased.root, None, "tester", "a test", erased.root / "nothing")


def test_a_running_gateway_erases_by_rest(tmp_path: Path) -> None:
    """With its pages, index and caches, which held the value a moment before."""

    async def play() -> None:
        config = Site(tmp_path / "site").config
        async with running(config) as served:
            access = served.gateway.access
            auditor, eraser = (access.new_token(str(s), frozenset({s})) for s in (Scope.AUDITOR, Scope.DATA_PROTECTION))
            await served.index_caught_up()
            body = {"subject": PERSON, "reason": "she asked"}
            async with httpx.AsyncClient(base_url=served.url, timeout=20) as client:
                reads = {"headers": {"Authorization": f"Bearer {auditor}"}}
                erases = {"headers": {"Authorization": f"Bearer {eraser}"}}
                shown = await client.get("/v1/records/0", **reads)
                assert SECRET in shown.text
                found = await client.get("/v1/records", params={"decision": SECRET}, **reads)
                assert len(found.json()["records"]) == 3
                assert (await client.post("/v1/erasures", json=body, **reads)).status_code == 403
                assert (await client.post("/v1/erasures", json=body | {"subject": "x"}, **erases)).status_code == 404
                done = await client.post("/v1/erasures", json=body, **erases)
                assert done.status_code == 201, done.text
                assert done.json() == {"entries": ["11"], "events": 4}
                assert everywhere(tmp_path / "site", SECRET.encode(), PERSON.encode()) == []
                shown = await client.get("/v1/records/0", **reads)
                assert (shown.json()["erased"], SECRET in shown.text) == (True, False)
                await served.index_caught_up()
                found = await client.get("/v1/records", params={"decision": SECRET}, **reads)
                assert found.json()["records"] == []
                kinds = await client.get("/v1/records", params={"kind": "erasure"}, **reads)
                assert [row["id"] for row in kinds.json()["records"]] == ["11"]
                page = await client.get("/records/0", **reads)
                assert "erased on purpose, as record 11 says" in page.text

    with Site(tmp_path / "site") as site:
        fill(site)
    asyncio.run(play())
    assert fsck(site.folder).erased == 4


def test_a_reader_in_the_way_of_the_journal_only_puts_it_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.erasing.TRIES", 1)
    with Site(tmp_path / "site") as site:
        ward = fill(site)
        site.gateway.committer._site.db.connection.execute("PRAGMA busy_timeout = 50")
        with closing(sqlite3.connect(site.folder.database, isolation_level=None)) as reading:
            reading.execute("BEGIN")
            reading.execute("SELECT COUNT(*) FROM segment").fetchone()
            with pytest.raises(StoreError, match="is being read for long"):
                ward.erase()
        with pytest.raises(FsckError, match="not carried out to its end"):
            fsck(site.folder)
    with Site(tmp_path / "site") as site:
        assert everywhere(site.folder.root, SECRET.encode(), PERSON.encode()) == []
        assert fsck(site.folder).erased == 4


def test_what_is_stored_while_an_erasure_is_put_off_goes_with_it(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events of the person come in between the log's word and the destruction; then it is asked for again."""
    monkeypatch.setattr("gateway.erasing.TRIES", 1)
    access = ward.site.gateway.access
    access._db.connection.execute("PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(ward.folder.access, isolation_level=None)) as reading:
        reading.execute("BEGIN")
        reading.execute("SELECT COUNT(*) FROM source").fetchone()
        with pytest.raises(StoreError, match="is being read for long"):
            ward.erase()
    late = ward.model.event(judged(PERSON, "late-finding"), kind=INFERENCE_KIND)
    assert ward.site.send(ward.model, message([late], ward.model.seal())) is OK
    assert everywhere(ward.folder.root, PERSON.encode()) != []
    entries = ward.erase()
    assert entries == [11, 14]  # between them the late event and its seal
    assert everywhere(ward.folder.root, b"late-finding", SECRET.encode(), PERSON.encode()) == []
    assert fsck(ward.folder).erased == 5
    assert [verified(ward.folder, index).outcome for index in (0, 12, 14)] == [Outcome.VALID] * 3


def test_an_erasure_that_waits_for_the_journal_is_asked_for_again(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.erasing.TRIES", 1)
    ward.site.gateway.committer._site.db.connection.execute("PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(ward.folder.database, isolation_level=None)) as reading:
        reading.execute("BEGIN")
        reading.execute("SELECT COUNT(*) FROM segment").fetchone()
        for _ in range(2):
            with pytest.raises(StoreError, match="is being read for long"):
                ward.erase()
    assert ward.erase() == [11]
    assert everywhere(ward.folder.root, SECRET.encode(), PERSON.encode()) == []
    assert fsck(ward.folder).erased == 4


def test_a_disk_that_runs_full_in_the_middle_only_puts_it_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Site(tmp_path / "site") as site:
        fill(site)
    opened, outcomes = Database.__init__, set[tuple[bool, int]]()
    for room in range(8):
        folder = Folder(Path(shutil.copytree(tmp_path / "site", tmp_path / f"full-{room}")))

        def bounded(self: Database, path: Path, schema: Any = (), *, readonly: bool = False, room: int = room) -> None:
            opened(self, path, schema, readonly=readonly)
            pages = self.connection.execute("PRAGMA page_count").fetchone()[0]
            self.connection.execute(f"PRAGMA max_page_count = {pages + room}")

        with monkeypatch.context() as patch:
            patch.setattr(Database, "__init__", bounded)
            try:
                erase_stopped(folder, PERSON, "tester", "she asked")
                failed = False
            except StoreError:
                failed = True
        erase_stopped(folder, None, "", "")
        found = fsck(folder)
        outcomes.add((failed, found.erased))
        if found.erased:
            assert everywhere(folder.root, SECRET.encode(), PERSON.encode()) == []
    assert (False, 4) in outcomes
    assert {failed for failed, _ in outcomes} == {False, True}


KILLED_AT = """
import sys
from pathlib import Path
from chain.store.database import Database
from chain.site import Folder
from gateway.erasing import erase_stopped
from tests.support.killing import kill_in_copies

def erase(root, steps):
    opened = Database.__init__
    def traced(self, *args, **options):
        opened(self, *args, **options)
        self.connection.set_trace_callback(steps)
    Database.__init__ = traced
    erase_stopped(Folder(root), "patient-4711", "tester", "she asked")

kill_in_copies(Path(sys.argv[1]), erase, stride=int(sys.argv[2]))
"""


def test_killed_at_each_statement_of_an_erasure(tmp_path: Path) -> None:
    """Before the log says so everything is there; afterwards the next start carries it out to its end."""
    with Site(tmp_path / "original") as site:
        ward = fill(site)
        ward.index()
    step = scaled(3, 1)
    statements = steps_killed(KILLED_AT, tmp_path / "original", step, timeout=240)
    assert statements > 60
    counts = set[tuple[int, int]]()
    for last in range(1, statements + 1, step):
        folder = Folder(tmp_path / f"at-{last}")
        with closing(SiteReader.open(folder)) as reader:
            logged = len(reader.erasures.all())
        erase_stopped(folder, None, "", "")
        found = fsck(folder)
        counts.add((logged, found.erased))
        if logged:
            assert everywhere(folder.root, SECRET.encode(), PERSON.encode()) == [], last
        shutil.rmtree(folder.root)
    assert counts == {(0, 0), (1, 4)}


def test_many_subjects_keys_leave_no_trace_in_pages_that_were_split(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        model = site.enrol("model", SourceSettings())
        people = [f"p{os.urandom(20).hex()}" for _ in range(400)]
        for start in range(0, 400, 25):
            part = people[start : start + 25]
            events = [model.event(judged(who, "x"), kind=INFERENCE_KIND) for who in part]
            assert site.send(model, message(events)) is OK
        with site.reader() as reader:
            query = "SELECT wrapped_key FROM subject WHERE name = ?"
            chosen = people[::40]
            keys = [reader.db.connection.execute(query, (f"person/{who}",)).fetchone()[0] for who in chosen]
        for who in chosen:
            site.run(site.gateway.erase(who, "t", "r"))
        assert everywhere(site.folder.root, *(who.encode() for who in chosen), *(key[:16] for key in keys)) == []
        assert fsck(site.folder).erased == len(chosen)
