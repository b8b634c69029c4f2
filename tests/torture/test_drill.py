"""The store altered: every alteration of a real site is found, by the check that is named for it, with its place."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from random import Random
from urllib.request import urlopen

import pytest

from chain.ledger.fabric.kept import KeptProofs
from chain.site import Folder
from chain.store import ranges
from crypto.errors import SealtrailError
from gateway.drill.alteration import NotApplicableError, Trial
from gateway.drill.alterations import ALL
from gateway.drill.checks import CHECKS, START
from gateway.drill.copies import copy_folder, copy_site
from gateway.drill.rows import flip, opened
from gateway.drill.tables import (
    ACCESS_DB,
    ALARMS_DB,
    CAPTURES_DB,
    COLDCHAIN_DB,
    CUSTODY_DB,
    EVENTS_DB,
    FSCK,
    INDEX_DB,
    KEPT_DB,
    LEDGER_DB,
    OBJECTS_DB,
    OUTBOX_DB,
    QUERIES_DB,
    RECALL_DB,
    SCANS_DB,
    SITE_DB,
    TABLES,
)
from gateway.events.follower import EventIndex
from gateway.index import Index
from gateway.ingest.inbound import Verdict
from tests.e2e.programs import run, up, write_config
from tests.support.site import Site
from tests.support.source import START_US, Source, message
from tests.support.trade import objects, pack, place
from tests.torture.scale import LONG, long_only, scaled

SEED = "short"
PACK = [{"bt": START_US / 1e6, "n": "a", "u": "Cel", "v": 9.5}, {"n": "b", "u": "%RH", "v": 40}]
# What this site has nothing of. A table of one row has no two that could change places.
MISSING = {
    "kept.db kept", "log_meta: two rows swapped", "ledger_head: two rows swapped", "position: two rows swapped",
    "history: two rows swapped", "mention: two rows swapped", "events.db fact",
    "ledger.db log_bundle: two rows swapped",
    *(() if LONG else ("ledger.db log_bundle", "ledger.db log_tile")),
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A site that stopped: bundles full and open, three sources, seals with and without gaps, anchors, an index."""
    root = tmp_path_factory.mktemp("drill") / "data"
    with Site(root) as running:
        a, b = running.enrol("alpha"), running.enrol("beta")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ranges, "MOST_NEW", 0)  # so that both tables of the index of ranges have rows
            for _ in range(5 if LONG else 1):
                send(running, a, message(a.batch(300), a.seal()))
            running.drain()
            send(running, b, message(b.batch(200)))
        send(running, b, message([], b.seal()))
        send(running, a, message([*(a.event(PACK) for _ in range(3)), a.event(6.0, sensed_us=START_US + 10**6)]))
        raw = b.batch(11)
        send(running, b, message(raw[:5] + raw[6:], b.seal()))  # number 5 never comes
        running.drain()
        running.plain("meter")
        assert running.send("meter", b'[{"n":"t","v":1}]', plain="reading") is Verdict.STORED
        assert running.send("meter", b"no reading", plain="reading") is Verdict.REJECTED
        for name in ("left", "gone"):
            running.plain(name)
            assert running.send(name, b'[{"n":"t","v":1}]', plain="reading") is Verdict.STORED
            running.run(running.gateway.erase(name, "tester", "a test"))
        for n in range(260 if LONG else 2):  # a tile's worth of transactions, whatever part of the long form runs
            running.enrol(f"other-{n}")
        goods = [objects(n, "shipping", pack(1, n), at=place(n), eventID=f"urn:uuid:{n}") for n in range(3)]
        running.run(running.gateway._own_log("capture", "epcis").append_all(goods))
        running.drain()
        for index in (Index(running.folder, running.gateway.access.settings), EventIndex(running.folder)):
            with running.reader() as reader, closing(index):
                while index.follow(reader):
                    pass
    return Folder(root)


def send(site: Site, source: Source, payload: bytes) -> None:
    assert site.send(source, payload) is Verdict.STORED


def drill(data: Path, *options: str, check: int | None = 0) -> dict:
    done = run("drill", "--data", data, "--json", *options, check=check, timeout=scaled(150, 3600))
    return json.loads(done.stdout)


def hashes(root: Path) -> dict[Path, str]:
    return {path: sha256(path.read_bytes()).hexdigest() for path in sorted(root.rglob("*")) if path.is_file()}


def test_every_alteration_is_caught_by_the_check_that_is_named_for_it(site: Folder) -> None:
    before = hashes(site.root)
    found = drill(site.root, "--seed", SEED)
    assert {path for path, now in hashes(site.root).items() if before.get(path) != now} <= side_files(site.root)
    assert [r["alteration"] for r in found["results"]] == [a.name for a in ALL]
    expected = {a.name: (a.check, outcome(a.name, a.check)) for a in ALL}
    assert {r["alteration"]: (r["check"], r["outcome"]) for r in found["results"]} == expected
    assert all(r["where"] and r["said"] for r in found["results"] if r["outcome"] == "caught")
    assert found["counts"]["caught"] > 120


def side_files(root: Path) -> set[Path]:
    """What SQLite makes beside a database that is read."""
    return {path for path in root.rglob("*") if path.name.endswith(("-wal", "-shm"))}


def outcome(name: str, check: str) -> str:
    if not check:
        return "not guarded"
    return "not applicable" if any(missing in name for missing in MISSING) else "caught"


def test_every_table_and_column_of_a_site_is_declared(site: Folder, tmp_path: Path) -> None:
    """A new table or column is either guarded or said to be open, with its reason; none is forgotten."""
    KeptProofs(tmp_path).close()
    files = {
        SITE_DB: site.database,
        LEDGER_DB: site.root / LEDGER_DB,
        INDEX_DB: site.index,
        EVENTS_DB: site.events,
        ACCESS_DB: site.access,
        OBJECTS_DB: site.root / OBJECTS_DB,
        CUSTODY_DB: site.root / CUSTODY_DB,
        **{name: site.root / name for name in (OUTBOX_DB, COLDCHAIN_DB, ALARMS_DB, SCANS_DB)},
        **{name: site.root / name for name in (CAPTURES_DB, QUERIES_DB, RECALL_DB)},
    }
    assert {str(path.relative_to(site.root)) for path in site.root.rglob("*.db")} <= files.keys()
    found = {
        (file, table): columns
        for file, path in (files | {KEPT_DB: tmp_path / "kept.db"}).items()
        for table, columns in schema(path).items()
    }
    assert set(found) == {(table.file, table.name) for table in TABLES}
    assert {place: columns for place, columns in found.items() if not open_as_a_whole(*place)} == {
        (table.file, table.name): table.columns for table in TABLES if table.guarded
    }


def schema(path: Path) -> dict[str, set[str]]:
    with closing(sqlite3.connect(path)) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = [name for name in names if not name.startswith("sqlite_")]
        return {table: {row[1] for row in db.execute(f"PRAGMA table_info({table})")} for table in tables}


def open_as_a_whole(file: str, name: str) -> bool:
    return not next(table for table in TABLES if (table.file, table.name) == (file, name)).guarded


BLIND = """
import sys
from gateway.drill import alterations, rows
from gateway.drill.alteration import Alteration
from gateway.drill.checks import CHECKS

def unseen(trial):
    with rows.opened(trial.folder.database) as db:
        return rows.flip(db, "log_meta", ("stamp",), "1", trial.random)

def broken(trial, progress):
    raise KeyError("a fault of a check")

CHECKS["broken"] = broken
caught = next(a for a in alterations.ALL if a.name == "site.db seal: one byte")
nobody_looks = Alteration("nobody looks", unseen, "fsck")
says_nothing = Alteration("says nothing of the place", caught.alter, "fsck", "index of ranges")
fault = Alteration("a check with a fault", unseen, "broken")
alterations.ALL = (caught, {added})
sys.argv = ["sealtrail", "drill", "--json", "--data", {data!r}]
import sealtrail
sealtrail.main()
"""


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ("nobody_looks, says_nothing", {"caught": 1, "NOT CAUGHT": 2}),
        ("fault,", {"caught": 1, "FAULT": 1}),
    ],
)
def test_a_blind_check_makes_the_drill_fail(site: Folder, added: str, said: dict[str, int]) -> None:
    program = BLIND.format(added=added, data=str(site.root))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    assert {name: count for name, count in json.loads(done.stdout)["counts"].items() if count} == said


def test_a_site_that_is_not_whole_is_refused_before_anything_is_altered(site: Folder, tmp_path: Path) -> None:
    """Else everything would look found."""
    broken = copy_folder(site, tmp_path / "broken")
    with opened(broken.database) as db:
        db.execute("UPDATE range_new SET count = count + 1 WHERE source = 1")
    done = run("drill", "--data", broken.root, check=1)
    assert "the site is not whole before anything was altered; fsck says: index of ranges: " in done.stderr
    assert (
        "no alteration has 'nonsense' in its name"
        in run("drill", "--data", site.root, "--only", "nonsense", check=2).stderr
    )


@long_only
def test_a_drill_beside_a_running_gateway_leaves_it_alone(tmp_path: Path) -> None:
    with up(write_config(tmp_path)) as gateway:
        found = drill(gateway.data, "--only", "ledger/ledger.db state", "--scratch", str(tmp_path))
        assert found["counts"]["caught"] == 4
        shown = run("drill", "--data", gateway.data, "--only", "two gateways").stdout
        assert "another gateway runs on" in " ".join(shown.split())
        assert gateway.process.poll() is None
        assert (
            "the search index of plant.example/line-1 is true" in run("index", "check", "--data", gateway.data).stdout
        )
        (tmp_path / "kept").write_bytes(urlopen(f"{gateway.url}/log/checkpoint", timeout=20).read())
    assert "is whole" in run("fsck", "--data", gateway.data, "--checkpoint", tmp_path / "kept").stdout
    assert not list(tmp_path.glob("sealtrail-drill-*"))


def test_a_copy_never_speaks_to_a_channel(site: Folder, tmp_path: Path) -> None:
    """A gateway that started on a copy would anchor a second history where the partners see it."""
    away = copy_folder(site, tmp_path / "away")
    shutil.rmtree(away.ledger)
    KeptProofs(away.ledger).close()
    with opened(away.database) as db:
        db.execute("UPDATE log_checkpoint SET evidence = NULL")
    with pytest.raises(NotApplicableError, match="the ledger is a channel of partners"):
        check(START, away)
    with pytest.raises(NotApplicableError, match="the ledger is a channel of partners"):
        next(a for a in ALL if a.name == "older site.db beside the ledger").alter(trial_on(away))


# -- any byte


@pytest.fixture(scope="module")
def untouched(site: Folder, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Each database in one file."""
    return copy_site(site, tmp_path_factory.mktemp("untouched") / "site", lambda what, done, total: None)


def trial_on(folder: Folder) -> Trial:
    return Trial(folder, folder, folder.root, Random(0))


def check(name: str, folder: Folder) -> None:
    CHECKS[name](trial_on(folder), lambda what, done, total: None)


def test_any_byte_of_any_guarded_cell_is_found(untouched: Folder, tmp_path: Path) -> None:
    chance = Random(f"cells {SEED}")
    tables = [table for table in TABLES if table.guarded and filled(untouched, table.file, table.name)]
    for n in range(scaled(20, 2000)):
        table, copy = tables[n % len(tables)], copy_folder(untouched, tmp_path / str(n))
        with opened(copy.root / table.file) as db:
            where = flip(db, table.name, table.guarded, table.rows, chance)
        with pytest.raises(SealtrailError, match=table.says) as caught:
            check(table.check, copy)
        assert str(caught.value), f"{table.file} {table.name} {where}"
        shutil.rmtree(copy.root)


def filled(folder: Folder, file: str, table: str) -> bool:
    return (folder.root / file).exists() and bool(guarded(folder, file)[table])


@pytest.mark.parametrize("name", [FSCK, START])
def test_any_byte_of_a_database_file_is_found_or_means_nothing(name: str, untouched: Folder, tmp_path: Path) -> None:
    """Also where SQLite itself stumbles: an error of ours, never a stack trace. What fsck lets pass has left every
    guarded row as it was."""
    chance = Random(f"files {SEED}")
    whole = {file: guarded(untouched, file) for file in (SITE_DB, LEDGER_DB)}
    found = 0
    for n in range(scaled(20, 2000) if name == FSCK else scaled(10, 500)):
        copy, file = copy_folder(untouched, tmp_path / str(n)), chance.choice((SITE_DB, LEDGER_DB))
        where = flip_in_file(copy.root / file, chance)
        try:
            check(name, copy)
        except SealtrailError as e:
            found += bool(str(e))
        else:
            assert name == START or guarded(copy, file) == whole[file], f"{file}: {where}"
        shutil.rmtree(copy.root)
    assert found or name == START  # a start reads little of what it opens


def flip_in_file(path: Path, chance: Random) -> str:
    """A bit anywhere, or half of the time in the first pages, where the schema is."""
    content = bytearray(path.read_bytes())
    at = chance.randrange(chance.choice((len(content), 8192)))
    content[at] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    return f"byte {at}"


def guarded(folder: Folder, file: str) -> dict[str, list[str]]:
    """What stands in the guarded columns. Whatever a flip did to the names of others, these can be asked for."""
    with closing(sqlite3.connect(f"{(folder.root / file).as_uri()}?mode=ro", uri=True)) as db:
        return {
            table.name: sorted(map(repr, db.execute(f"SELECT {', '.join(table.guarded)} FROM {table.name}")))
            for table in TABLES
            if table.file == file and table.guarded
        }
