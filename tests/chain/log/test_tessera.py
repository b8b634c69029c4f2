"""Somebody else's program reads the log: Tessera's fsck over HTTP rebuilds every tile from the entries."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chain.errors import LogError
from chain.log.paths import serve
from chain.log.publish import Publisher
from crypto.errors import FormatError
from tests.chain.log.logs import OpenLog, log_signers, open_log
from tests.simulator.witness import serving

pytestmark = pytest.mark.tessera
ORIGIN = "log.example/tessera"
SIGNERS = log_signers(ORIGIN)
SOURCE = "github.com/transparency-dev/tessera/cmd/fsck@v1.0.2"


@pytest.fixture(scope="module")
def program() -> list[str]:
    if shutil.which("tessera-fsck"):
        return ["tessera-fsck"]
    if shutil.which("go"):
        return ["go", "run", SOURCE]
    pytest.skip("neither tessera-fsck nor Go is on PATH: install one to have Tessera check our tiles")


class LogSite:
    """GET /checkpoint and /tile/… of one log, over the library's own path code."""

    def __init__(self, log: OpenLog) -> None:
        self.log = log
        self.served: set[str] = set()

    def get(self, path: str) -> tuple[int, bytes]:
        if path == "checkpoint":
            latest = self.log.checkpoints.latest()
            return (200, latest.note.encode()) if latest else (404, b"")
        try:
            return 200, serve(self.log.reader, path).body
        except (LogError, FormatError) as e:
            return 404, str(e).encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"].removeprefix("/")
        status, body = self.get(path)
        if status == 200:
            self.served.add(path)
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[LogSite]:
    log = open_log(tmp_path / "log.db")
    yield LogSite(log)
    log.db.close()


def fsck(program: list[str], site: LogSite, folder: Path) -> subprocess.CompletedProcess[str]:
    key = folder / "key.txt"
    key.write_text(str(SIGNERS[0].vkey))
    with serving(site) as url:
        flags = [f"--storage_url={url}/", f"--public_key={key}", f"--origin={ORIGIN}", "--ui=false"]
        return subprocess.run([*program, *flags], capture_output=True, text=True, timeout=120, check=False)


def publish(log: OpenLog) -> None:
    asyncio.run(Publisher(log.reader, log.checkpoints, SIGNERS).sign())


def test_whole_logs_of_several_sizes(program: list[str], site: LogSite, tmp_path: Path) -> None:
    for size in (1, 255, 256, 257, 70_000):
        site.log.grow(size - site.log.log.size)
        publish(site.log)
        run = fsck(program, site, tmp_path)
        assert run.returncode == 0, run.stderr
        assert f"size={size} rootb64" in run.stderr
    # It saw what c2sp.org/tlog-tiles lists for a log of 70,000.
    last = {
        "tile/0/272",
        "tile/0/273.p/112",
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
        "tile/entries/273.p/112",
    }
    assert last <= site.served


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE log_tile SET hashes = {flipped} WHERE id = 0",
        "UPDATE log_tile SET hashes = {flipped} WHERE id = 1 << 56",
        "UPDATE log_bundle SET entries = {flipped} WHERE n = 1",
        "UPDATE log_tail SET entries = {flipped}",
    ],
)
def test_one_flipped_byte_is_found(program: list[str], site: LogSite, tmp_path: Path, damage: str) -> None:
    site.log.grow(600)
    publish(site.log)
    assert fsck(program, site, tmp_path).returncode == 0
    column = "hashes" if "hashes" in damage else "entries"
    with site.log.db.transaction() as tx:
        tx.create_function("flip", 1, lambda blob: blob[:20] + bytes([blob[20] ^ 1]) + blob[21:])
        assert tx.execute(damage.format(flipped=f"flip({column})")).rowcount == 1
    run = fsck(program, site, tmp_path)
    assert run.returncode != 0
    assert "fsck failed" in run.stderr
