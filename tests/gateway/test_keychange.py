"""A site's change of keys beside what goes on: calls to the ledger, witnesses, enrolments, and changes that fail."""

import asyncio
import os
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from chain.errors import LedgerError, WitnessError
from chain.fsck import fsck
from chain.ledger.fabric.errors import CommitStatusError
from chain.ledger.interface import LedgerEvent, Submitted, Wanted, every
from chain.site_keys import KeyFolder
from chain.verify import Outcome, verify_receipt
from crypto.checkpoint import open_checkpoint
from crypto.errors import KeyMaterialError
from crypto.keys import Algorithm, PrivateKey
from crypto.note import NoteSigner, SignatureType
from gateway.acting import ActingLedger, CalledBy
from gateway.ingest.inbound import Verdict
from gateway.keychange.errors import MigrationError
from gateway.keychange.suites import require_allowed, strength
from tests.e2e.programs import run
from tests.simulator.witness import SimulatedWitness, serving
from tests.support.site import ORIGIN, Site, receipts
from tests.support.source import Source, message

OFFLINE = Algorithm.SLH_DSA_SHA2_128S
ONLINE = [algorithm for algorithm in Algorithm if algorithm is not OFFLINE]


class _Slow:
    """A ledger whose calls end when they are told to; notes with which key each was made."""

    def __init__(self, calls: list[tuple[str, str]], gate: asyncio.Event, name: str = "old") -> None:
        self.calls, self.gate, self.name = calls, gate, name

    def as_caller(self, caller: PrivateKey) -> "_Slow":
        return _Slow(self.calls, self.gate, "new")

    async def submit(self, function: str, *args: bytes) -> Submitted:
        await self.gate.wait()
        self.calls.append((function, self.name))
        return Submitted("tx", b"", 0)

    async def evaluate(self, function: str, *args: bytes) -> bytes:
        return self.name.encode()

    async def evidence(self, index: int) -> bytes:
        return b""

    async def close(self) -> None:
        """Nothing is open."""

    async def events(self, after: int, wanted: Wanted = every) -> AsyncIterator[LedgerEvent]:
        return
        yield


def test_no_call_is_made_with_a_key_that_was_left() -> None:
    """What was asked before the change is done by the old key first; what is asked meanwhile waits for the new one."""

    async def play() -> list[tuple[str, str]]:
        calls, gate = list[tuple[str, str]](), asyncio.Event()
        ledger = ActingLedger(_Slow(calls, gate))
        before = [asyncio.create_task(ledger.submit(f"before-{i}")) for i in range(3)]
        await asyncio.sleep(0)

        async def change() -> None:
            async with ledger.alone() as alone:
                await alone.submit("rotate")
                ledger.act_as(PrivateKey.generate(Algorithm.ED25519))

        changes = [asyncio.create_task(change()) for _ in range(2)]
        await asyncio.sleep(0)
        after = [asyncio.create_task(ledger.submit(f"after-{i}")) for i in range(3)]
        await asyncio.sleep(0)
        assert await ledger.evaluate("any") == b"old"  # questions do not wait
        assert calls == []
        gate.set()
        await asyncio.gather(*before, *changes, *after)
        return calls

    calls = asyncio.run(play())
    assert calls[:3] == [(f"before-{i}", "old") for i in range(3)]
    assert calls[3] == ("rotate", "old")
    rest = dict(calls[4:])
    assert rest == {"rotate": "new"} | {f"after-{i}": "new" for i in range(3)}


def test_a_call_that_fails_lets_the_change_go_on() -> None:
    class Failing(_Slow):
        async def submit(self, function: str, *args: bytes) -> Submitted:
            await self.gate.wait()
            raise MigrationError("no")

    async def play() -> None:
        gate = asyncio.Event()
        ledger = ActingLedger(Failing([], gate))
        call = asyncio.create_task(ledger.submit("x"))
        await asyncio.sleep(0)
        gate.set()
        async with asyncio.timeout(5):
            with pytest.raises(MigrationError):
                async with ledger.alone():
                    raise MigrationError("the change fails too")
            with pytest.raises(MigrationError, match="no"):
                await ledger.submit("y")
        await asyncio.gather(call, return_exceptions=True)

    asyncio.run(play())


@pytest.mark.parametrize("present", ONLINE)
@pytest.mark.parametrize("wanted", ONLINE)
def test_which_changes_are_a_step_back(present: Algorithm, wanted: Algorithm) -> None:
    if strength(wanted) >= strength(present):
        require_allowed(present, wanted, force=False)
    else:
        require_allowed(present, wanted, force=True)
        with pytest.raises(MigrationError, match="is weaker"):
            require_allowed(present, wanted, force=False)


def test_offline_keys_sign_no_events() -> None:
    with pytest.raises(MigrationError, match="is for offline keys"):
        require_allowed(Algorithm.ED25519, OFFLINE, force=True)


def _grow(site: Site, source: Source) -> None:
    assert site.send(source, message(source.batch(1), source.seal())) is Verdict.STORED


def test_devices_enrol_and_are_revoked_before_between_and_after(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        sources = [site.enrol("first")]

        async def at_once() -> None:
            change = asyncio.create_task(site.gateway.migrate("ml-dsa-65"))
            await asyncio.gather(change, *(site.gateway.registrar.refresh("first") for _ in range(20)))

        _grow(site, sources[0])
        site.run(at_once())
        sources.append(site.enrol("second"))
        for source in sources:
            _grow(site, source)
        site.drain()
        site.run(site.gateway.revoke("first", "worn out"))
        with receipts(site.folder) as builder, site.reader() as reader:
            for index in range(reader.entries.size()):
                assert verify_receipt(builder.build(index), site.policy).outcome is Outcome.VALID
        assert fsck(site.folder).entries == 6


def test_an_old_checkpoint_that_somebody_kept_still_counts(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        source = site.enrol("thing")
        _grow(site, source)
        site.drain()
        with site.reader() as reader:
            kept = reader.checkpoints.latest()
        assert kept is not None
        forged = _signed_by_the_old_keys_later(site, kept.size + 2)
        site.run(site.gateway.migrate("ml-dsa-65"))
        _grow(site, source)
        site.drain()
        assert fsck(site.folder, kept=[kept.note.encode()]).checkpoints == 2
        with pytest.raises(Exception, match="not one of this log"):  # the old keys signed up to the change only
            fsck(site.folder, kept=[forged])


def _signed_by_the_old_keys_later(site: Site, size: int) -> bytes:
    from crypto.checkpoint import Checkpoint, sign_checkpoint

    return sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), site.folder.log_signers(), 1).marshal().encode()


def test_a_change_that_cannot_begin_leaves_all_as_it_was(tmp_path: Path) -> None:
    """The witnesses do not answer, so nothing can be anchored and nothing is changed; later it can."""
    folder = tmp_path / "data"
    (tmp_path / "w").mkdir()
    key = PrivateKey.generate(Algorithm.ML_DSA_44)
    signer = NoteSigner("w", SignatureType.ML_DSA_44_COSIGNATURE, key)
    witness = SimulatedWitness(tmp_path / "w", [signer], [])
    with serving(witness) as url:
        policy = tmp_path / "witness.policy"
        policy.write_text(f"witness w {signer.vkey} {url}\nquorum w\n")
        settings = {"checkpoint_interval_s": 3600, "anchor_interval_s": 3600, "witness_policy": policy}
        with Site(folder, log=settings) as site:
            witness.log_keys = list(site.folder.log_vkeys())
            source = site.enrol("thing")
            _grow(site, source)
            site.drain()
            before, _ = site.policy, _grow(site, source)
            witness.misbehave = lambda answer: (503, "text/plain", b"out of order\n")
            with pytest.raises(WitnessError):
                site.run(site.gateway.migrate("ml-dsa-65"))
            assert site.policy == before
            assert site.folder.key_folder.next is None
            # It answers again: the head keeps its cosignature under the new keys.
            witness.misbehave = lambda answer: answer
            site.run(site.gateway.migrate("ml-dsa-65"))
            with site.reader() as reader:
                newest = reader.checkpoints.latest()
            assert newest is not None
            signers = open_checkpoint(newest.note, site.folder.log_vkeys(), [signer.vkey]).signers
            assert {verified.key.name for verified in signers} == {ORIGIN, "w"}
            with receipts(site.folder) as builder:
                assert verify_receipt(builder.build(0), site.policy).outcome is Outcome.VALID
            # A witness believes the keys that its own operator gave it.
            _grow(site, source)
            with pytest.raises(WitnessError, match="waits for its witness quorum"):
                site.run(site.gateway.anchorer.flush())
            witness.log_keys = list(site.folder.log_vkeys())
            site.drain()
            fsck(site.folder)
    witness.close()


def test_the_site_keeps_its_suite_and_refuses_a_strange_key(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        site.run(site.gateway.migrate("ml-dsa-44"))
        assert site.gateway._key.public.algorithm == "ml-dsa-44"
        with pytest.raises(KeyMaterialError):
            site.run(site.gateway.migrate("rot13"))
    (tmp_path / "site" / "keys" / "suite").write_text("ml-dsa-65\n")
    with pytest.raises(KeyMaterialError, match=r"gateway\.pem: expected a key of ml-dsa-65"), Site(tmp_path / "site"):
        pass


class _Away:
    """The real ledger, which is away for some calls of one function: before it took them, or with the answer lost."""

    def __init__(self, ledger: CalledBy, function: str, times: int, *, taken: bool) -> None:
        self._ledger, self._function, self.times, self._taken = ledger, function, times, taken

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    async def submit(self, function: str, *args: bytes) -> Submitted:
        if function != self._function or not self.times:
            return await self._ledger.submit(function, *args)
        self.times -= 1
        if self._taken:
            await self._ledger.submit(function, *args)
        raise LedgerError("the ledger is away")


@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize("function", ["logs.rotate", "identities.rotate"])
def test_a_ledger_that_goes_away_in_the_midst(tmp_path: Path, function: str, taken: bool) -> None:
    """Before it took the log's keys all is as before; from there on the rest is done when it is back."""
    with Site(tmp_path / "site") as site:
        source = site.enrol("thing")
        _grow(site, source)
        site.drain()
        before, ledger = site.policy, site.gateway.ledger
        away = _Away(ledger._ledger, function, 1 if function == "logs.rotate" else 2, taken=taken)
        ledger._ledger = away  # type: ignore[assignment]
        with pytest.raises(LedgerError, match="away"):
            site.run(site.gateway.migrate("ml-dsa-65"))
        _grow(site, source)  # nobody waits
        if function == "logs.rotate" and not taken:
            assert (site.policy, site.gateway.migration.pending) == (before, False)
            site.run(site.gateway.migrate("ml-dsa-65"))
        site.wait(lambda: not site.gateway.migration.pending)
        assert away.times == 0 or taken
        assert site.folder.key_folder.suite == "ml-dsa-65"
        _grow(site, source)
        site.drain()
        assert site.gateway.status().problems == ()
        fsck(site.folder)
        with receipts(site.folder) as builder:
            assert verify_receipt(builder.build(0), site.policy).outcome is Outcome.VALID


class _Late(_Away):
    """Nobody says what became of two calls; the first is taken when the test says so."""

    async def submit(self, function: str, *args: bytes) -> Submitted:
        if function != self._function or not self.times:
            return await self._ledger.submit(function, *args)
        if self.times == 2:
            self.call = args
        self.times -= 1
        raise CommitStatusError("no peer said in time what became of it", "tx")


def test_a_change_that_the_ledger_takes_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next keys stay while the ledger may still take them: without them the log would have none."""
    monkeypatch.setattr("gateway.keychange.migration.RETRY_S", 0.05)
    with Site(tmp_path / "site") as site:
        source = site.enrol("thing")
        _grow(site, source)
        site.drain()
        late = _Late(site.gateway.ledger._ledger, "logs.rotate", 2, taken=False)
        site.gateway.ledger._ledger = late  # type: ignore[assignment]
        with pytest.raises(CommitStatusError):
            site.run(site.gateway.migrate("ml-dsa-65"))
        assert site.gateway.migration.pending
        with pytest.raises(MigrationError, match="is not at its end yet"):
            site.run(site.gateway.migrate("ml-dsa-44"))
        site.run(late._ledger.submit("logs.rotate", *late.call))
        site.wait(lambda: not site.gateway.migration.pending)
        _grow(site, source)
        site.drain()
        assert site.gateway.status().problems == ()
        assert site.folder.key_folder.suite == "ml-dsa-65"
        fsck(site.folder)


def test_a_full_disk_in_the_midst_is_told_and_outlived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.keychange.migration.RETRY_S", 0.05)
    with Site(tmp_path / "site") as site:
        source = site.enrol("thing")
        _grow(site, source)
        (site.folder.root / "key-changes").write_text("no folder can be made here")
        with pytest.raises(OSError, match="key-changes"):
            site.run(site.gateway.migrate("ml-dsa-65"))
        site.wait(lambda: any("key-changes" in problem for problem in site.gateway.status().problems))
        _grow(site, source)  # nobody waits
        (site.folder.root / "key-changes").unlink()
        site.wait(lambda: not site.gateway.migration.pending)
        site.wait(lambda: not site.gateway.status().problems)
        site.drain()
        fsck(site.folder)


def test_what_makes_the_next_keys_a_change_goes_before_they_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Durably: after a power cut no start finds the file that says so, and not the keys."""
    folder, synced = KeyFolder(tmp_path, ORIGIN), list[set[str]]()
    folder.make_next(Algorithm.ML_DSA_44)
    monkeypatch.setattr("chain.site_keys.sync_folder", lambda path: synced.append(set(os.listdir(path))))
    made = set(os.listdir(tmp_path))
    folder.drop_next()
    assert synced == [made - {"next-suite"}, set()]


class _NoGateway(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>welcome</html>")


def test_a_wrong_address_gets_a_clear_answer() -> None:
    with HTTPServer(("127.0.0.1", 0), _NoGateway) as server:
        Thread(target=server.handle_request, daemon=True).start()
        for url, said in ((f"http://127.0.0.1:{server.server_port}", "no gateway says"), ("http://[", "cannot reach")):
            refused = run("keys", "migrate", "--to", "ml-dsa-65", "--url", url, "--token", "x", check=1)
            assert said in refused.stderr
            assert "Traceback" not in refused.stderr


def test_a_locked_site_stays_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Private files are locked under their own names, so the next keys do not just take their places."""
    monkeypatch.setenv("SEALTRAIL_PASSPHRASE", "correct horse battery staple")
    with Site(tmp_path / "site") as site:
        source = site.enrol("thing")
        _grow(site, source)
        site.run(site.gateway.migrate("ml-dsa-65-ed25519"))
    with Site(tmp_path / "site") as site:
        _grow(site, source)
        site.run(site.gateway.migrate("ml-dsa-65"))
    with Site(tmp_path / "site") as site:
        _grow(site, source)
        site.drain()
        fsck(site.folder)
    private = [path for path in (tmp_path / "site" / "keys").iterdir() if path.suffix in (".pem", ".key")]
    signing = sorted(path.name for path in private if path.suffix == ".pem")
    assert signing == ["gateway.pem", "ledger-ml-dsa-44.pem", "log-ml-dsa-44.pem"]
    assert all(path.read_bytes().startswith(b"sealtrail-locked/v1\n") for path in private)
