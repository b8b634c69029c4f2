"""Somebody else's program reads the log: Tessera's fsck over HTTP rebuilds every tile from the entries."""

import asyncio
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
from tests.support.tessera import tessera_fsck

pytestmark = [pytest.mark.tessera, pytest.mark.timeout(480)]  # a first build takes a while
ORIGIN = "log.example/tessera"
SIGNERS = log_signers(ORIGIN)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [tessera_fsck(tmp_path_factory.mktemp("tessera"))]


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


def fsck(program: list[str], site: LogSite, folder: Path) -> str:
    """What fsck wrote. Version 1.0.2 exits with 0 even when it failed, so its own verdict line is what counts; and
    with one worker it never ends once that worker has found a fault, so it gets eight."""
    key = folder / "key.txt"
    key.write_text(str(SIGNERS[0].vkey))
    with serving(site) as url:
        flags = [f"--storage_url={url}/", f"--public_key={key}", f"--origin={ORIGIN}", "--ui=false", "--N=8"]
        run = subprocess.run([*program, *flags], capture_output=True, text=True, timeout=120, check=False)
    return run.stderr


def publish(log: OpenLog) -> None:
    asyncio.run(Publisher(log.reader, log.checkpoints, SIGNERS).sign())


def test_whole_logs_of_several_sizes(program: list[str], site: LogSite, tmp_path: Path) -> None:
    for size in (1, 255, 256, 257, 70_000):
        site.log.grow(size - site.log.log.size)
        publish(site.log)
        verdict = fsck(program, site, tmp_path)
        assert f"Successfully fsck'd log with size {size} " in verdict
        assert "failed" not in verdict
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
    ("damage", "found"),
    [
        ("log_tile SET hashes = flip(hashes) WHERE id = 0", "tile/0/000"),
        ("log_tail SET hashes = flip(hashes)", "tile/0/002.p/88"),
        ("log_tile SET hashes = flip(hashes) WHERE id = 1 << 56", "tile/1/000.p/2"),
        ("log_bundle SET entries = flip(entries) WHERE n = 1", "tile/"),
        ("log_tail SET entries = flip(entries)", "tile/0/002.p/88"),
    ],
)
def test_one_flipped_bit_is_found(program: list[str], site: LogSite, tmp_path: Path, damage: str, found: str) -> None:
    site.log.grow(600)
    publish(site.log)
    with site.log.db.transaction() as tx:
        tx.create_function("flip", 1, lambda blob: blob[:20] + bytes([blob[20] ^ 1]) + blob[21:])
        assert tx.execute(f"UPDATE {damage}").rowcount == 1
    verdict = fsck(program, site, tmp_path)
    assert f"fsck failed: failed: {found}" in verdict
    assert "Successfully" not in verdict
