"""Somebody else's program audits a real gateway: Tessera's fsck reads /log and rebuilds every tile from the entries."""

import subprocess
from pathlib import Path

import pytest

from gateway.ingest.inbound import Verdict
from tests.e2e.programs import run, up, write_config
from tests.support.site import Site
from tests.support.source import message
from tests.support.tessera import tessera_fsck

pytestmark = [pytest.mark.tessera, pytest.mark.timeout(480)]  # a first build takes a while
ORIGIN = "plant.example/line-1"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [tessera_fsck(tmp_path_factory.mktemp("tessera"))]


def test_tessera_finds_a_real_site_whole(program: list[str], tmp_path: Path) -> None:
    with Site(tmp_path / "data", origin=ORIGIN) as site:
        source = site.enrol("logger")
        for _ in range(7):
            assert site.send(source, message(source.batch(100), source.seal())) is Verdict.STORED
        site.drain()
    key = tmp_path / "key.txt"
    key.write_text(run("log", "vkey", "--data", tmp_path / "data").stdout.strip())
    with up(write_config(tmp_path)) as gateway:
        where = [f"--storage_url={gateway.url}/log/", f"--public_key={key}", f"--origin={ORIGIN}"]
        command = [*program, *where, "--ui=false", "--N=8"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    # Version 1.0.2 exits with 0 even when it failed: its own verdict line is what counts.
    assert "Successfully fsck'd log with size 707 " in done.stderr
    assert "failed" not in done.stderr
