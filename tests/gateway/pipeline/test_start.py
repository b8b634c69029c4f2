"""Starting is recovery: a half-made first start, a second gateway, and histories that contradict each other."""

import asyncio
import os
import shutil
import subprocess
import sys
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

from chain.errors import ForkError, LedgerError, StoreError
from chain.fsck import fsck
from chain.ledger.embedded import EmbeddedLedger
from chain.ledger.worker import MAX_WAITING
from chain.log.checkpoints import Checkpoints
from chain.log.publish import Publisher
from chain.log.reader import LogReader
from chain.site import Folder
from chain.store.database import Database
from chaincode.identities import enrolment
from crypto import labels
from gateway.anchoring import Anchorer
from gateway.ingest.inbound import Verdict
from tests.support.site import ORIGIN, Site
from tests.support.source import message

HOLDER = """
import sys, time
from pathlib import Path
from chain.site import Lock
with Lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def _grow(site: Site, count: int) -> None:
    source = site.enrol(f"logger-{len(site.gateway.book.names())}")
    assert site.send(source, message(source.batch(count), source.seal())) is Verdict.STORED
    site.drain()


def _copy_databases(root: Path, to: Path, *names: str) -> None:
    to.mkdir(exist_ok=True)
    for name in names:
        for suffix in ("", "-wal", "-shm"):
            (to / (name + suffix)).unlink(missing_ok=True)
            if (root / (name + suffix)).exists():
                shutil.copy(root / (name + suffix), to / (name + suffix))


def test_an_older_log_than_its_anchor_does_not_start(tmp_path: Path) -> None:
    """A backup was restored: the gateway would sign a second history over numbers that it has anchored."""
    root, kept = tmp_path / "site", tmp_path / "kept"
    with Site(root) as site:
        _grow(site, 3)
    _copy_databases(root, kept, "site.db")
    with Site(root) as site:
        _grow(site, 4)
    _copy_databases(kept, root, "site.db")
    with pytest.raises(ForkError) as caught, Site(root):
        pass
    said = str(caught.value)
    assert "rolled back" in said
    assert f"{ORIGIN}\n9\n" in said  # what the ledger holds
    assert f"{ORIGIN}\n4\n" in said  # what is stored here


def test_another_history_than_its_anchor_does_not_start(tmp_path: Path) -> None:
    """Same keys, same size, other entries: both notes are shown."""
    root, other = tmp_path / "site", tmp_path / "other"
    with Site(root):
        pass
    shutil.copytree(root, other)
    for path in (root, other):
        with Site(path) as site:
            _grow(site, 3)
    _copy_databases(other, root, "site.db")
    with pytest.raises(ForkError) as caught, Site(root):
        pass
    assert str(caught.value).count(f"— {ORIGIN} ") == 4  # two notes with two signatures each


def test_an_older_ledger_than_the_log_remembers_does_not_start(tmp_path: Path) -> None:
    root, kept = tmp_path / "site", tmp_path / "kept"
    with Site(root) as site:
        _grow(site, 3)
    _copy_databases(root / "ledger", kept, "ledger.db")
    with Site(root) as site:
        source = site.gateway.book.names()[0]
        site.send("nobody-" + source, b"")
        site.plain("meter")
        assert site.send("meter", b'[{"n":"t","v":1}]', plain="reading") is Verdict.STORED
        site.drain()
    _copy_databases(kept, root / "ledger", "ledger.db")
    with pytest.raises(ForkError, match="the ledger was rolled back"), Site(root):
        pass


def test_a_peer_that_is_behind_is_waited_for_and_a_rollback_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a ledger elsewhere one peer is asked, which may show the past for a while. An older copy stands for it."""
    root, kept = tmp_path / "site", tmp_path / "kept"
    with Site(root) as site:
        _grow(site, 3)
    _copy_databases(root / "ledger", kept, "ledger.db")
    with Site(root) as site:
        _grow(site, 3)
    _copy_databases(root / "ledger", tmp_path / "newer", "ledger.db")
    _copy_databases(kept, root / "ledger", "ledger.db")
    asyncio.run(_checked(root, LedgerError, "may be behind"))
    monkeypatch.setattr("gateway.anchoring.BEHIND_S", 0.0)
    asyncio.run(_checked(root, ForkError, "the ledger was rolled back"))
    _copy_databases(tmp_path / "newer", root / "ledger", "ledger.db")
    asyncio.run(_checked(root, None, ""))


async def _checked(root: Path, error: type[Exception] | None, said: str) -> None:
    """What the comparison at start says of a ledger whose proofs follow."""
    folder = Folder.existing(root)
    with closing(Database(folder.database)) as db:
        publisher = Publisher(LogReader(db), Checkpoints(db), folder.log_signers())
        ledger = EmbeddedLedger(folder.ledger, folder.ledger_name, folder.ledger_signers(), folder.gateway_key())
        anchorer = Anchorer(
            db, publisher, ledger, checkpoint_s=1, anchor_s=1, proofs_follow=True
        )  # fmt: skip
        try:
            with pytest.raises(error, match=said) if error else nullcontext():
                await anchorer.check()
        finally:
            await ledger.close()


@pytest.mark.parametrize("enrolled", [False, True])
def test_a_wiped_ledger_does_not_start(tmp_path: Path, enrolled: bool) -> None:
    """Also where sources are known that a new ledger has never heard of: that is not what is wrong."""
    with Site(tmp_path / "site") as site:
        if enrolled:
            _grow(site, 1)
        site.plain("meter")
        assert site.send("meter", b'[{"n":"t","v":1}]', plain="reading") is Verdict.STORED
        site.drain()
    shutil.rmtree(tmp_path / "site" / "ledger")
    with pytest.raises(ForkError, match="the ledger was rolled back"), Site(tmp_path / "site"):
        pass


def test_two_gateways_on_one_folder_are_one_too_many(tmp_path: Path) -> None:
    with (
        Site(tmp_path / "site") as site,
        pytest.raises(StoreError, match="another gateway runs on"),
        Site(tmp_path / "site"),
    ):
        pass
    with Site(tmp_path / "site"):
        assert site.folder.origin == ORIGIN


def test_the_lock_of_a_killed_gateway_is_free(tmp_path: Path) -> None:
    Folder.create(tmp_path / "site", ORIGIN)
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "site")]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match="another gateway runs on"), Site(tmp_path / "site"):
            pass
        child.kill()
        child.wait()
        with Site(tmp_path / "site") as site:
            _grow(site, 1)


def test_a_first_start_that_died_between_its_two_transactions_is_finished(tmp_path: Path) -> None:
    folder = Folder.create(tmp_path / "site", ORIGIN)
    key = folder.gateway_key(create=True)
    signers = folder.ledger_signers(create=True)

    async def half() -> None:
        ledger = EmbeddedLedger(folder.ledger, folder.ledger_name, signers, key)
        possession = key.sign(enrolment(ORIGIN, ORIGIN, key.public), labels.ENROL)
        args = (ORIGIN.encode(), b"ed25519", key.public.raw, ORIGIN.encode(), possession)
        await ledger.submit("identities.bootstrap", *args)
        await ledger.close()

    asyncio.run(half())
    with Site(tmp_path / "site") as site:
        _grow(site, 2)
        assert fsck(site.folder).transactions == 4  # bootstrap, register, enrol, anchor


def test_a_folder_keeps_its_origin(tmp_path: Path) -> None:
    with Site(tmp_path / "site"):
        pass
    with pytest.raises(StoreError, match="a log keeps its name"):
        Site(tmp_path / "site", origin="other.example/log").__enter__()


def test_an_anchor_whose_answer_was_lost_is_found_at_the_next_start(tmp_path: Path) -> None:
    """The ledger committed, the gateway died before it could note it."""
    with Site(tmp_path / "site") as site:
        _grow(site, 2)
        with site.gateway.committer._site.db.transaction() as tx:
            tx.execute("UPDATE log_checkpoint SET evidence = NULL")
    with Site(tmp_path / "site") as site, site.reader() as reader:
        assert reader.checkpoints.latest_anchored() is not None
        assert site.gateway.status().anchored_size == 3


def test_two_flushes_at_once_are_one_anchor_after_the_other(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        source = site.enrol("logger")

        async def storm() -> None:
            messages = [site.inbound(source, message(source.batch(2))) for _ in range(40)]
            sending = asyncio.create_task(site._send_all(messages))
            for _ in range(10):
                await asyncio.gather(*(site.gateway.anchorer.flush() for _ in range(4)))
            await sending

        site.run(storm())
        site.drain()
        assert site.gateway.status().problems == ()
        fsck(site.folder)


def test_anchoring_outlives_a_broken_ledger_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.anchoring.RETRY_S", 0.02)
    fast = {"checkpoint_interval_s": 0.05, "anchor_interval_s": 0.05}
    with Site(tmp_path / "site", log=fast) as site:
        source, anchorer = site.enrol("logger"), site.gateway.anchorer
        site.drain()
        ledger = anchorer._ledger
        anchorer._ledger = None  # type: ignore[assignment]  # a fault that is no error of ours: AttributeError
        assert site.send(source, message([source.event(30.0)])) is Verdict.STORED
        site.wait(lambda: any("anchoring" in problem for problem in site.gateway.status().problems))
        assert site.send(source, message(source.batch(2))) is Verdict.STORED  # events go on meanwhile
        anchorer._ledger = ledger
        site.wait(lambda: site.gateway.status().anchored_size == 3)
        site.wait(lambda: site.gateway.status().problems == ())


def test_more_sources_than_the_ledger_takes_calls_at_once(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        names = {site.enrol(f"logger-{number}").name for number in range(MAX_WAITING + 1)}
    with Site(tmp_path / "site") as site:
        assert set(site.gateway.book.names()) == names
        assert all(site.gateway.book.get(name).keys for name in names)


def test_private_files_are_private(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        keys = [path for path in site.folder.keys.iterdir() if path.suffix in (".pem", ".key")]
        assert len(keys) == 7
        assert {os.stat(path).st_mode & 0o777 for path in keys} == {0o600}
