"""The disk is full, read-only, failing, slow or stuck: nothing acknowledged is lost, the gateway goes on by itself as
soon as the disk does, and its health tells the truth all along."""

import contextlib
import errno
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.e2e.programs import PROGRAM, Up, until, up, write_config
from tests.torture.load import Load, Logger, invitation, require_anchored, require_exactly_once
from tests.torture.scale import long_only, scaled
from tests.torture.world import Health, Shim, log_of, mounted, require_each_told_once

FULL = r"disk has|no room"
FAILING = r"cannot write .*read-only.*nothing acknowledged is lost"
BESIDE = ("^anchoring: ", "^the record index waits: ")  # each has its own database, and the same trouble
ROUNDS = scaled(1, 12)


def _lasts() -> float:
    """Seconds that a trouble lasts: long enough for every part to meet it."""
    return 0.8 if ROUNDS == 1 else random.uniform(0.2, 15.0)


def _trouble(gateway: Up, load: Load, begin: Callable[[], None], end: Callable[[], None], reason: str) -> None:
    """One trouble with the disk while a source sends, and what people can see of it."""
    with Health(gateway) as health:
        before = len(load.refused)
        begin()
        health.wait_for(reason)
        answer = invitation(gateway, "beta")
        assert answer.status_code == 503, answer.text
        assert "Retry-After" in answer.headers
        until(lambda: len(load.refused) > before)
        time.sleep(_lasts())
        end()
        health.wait_well()
        load.progress()
        time.sleep(0.3)  # it stays well
    health.require_one_trouble(reason, *BESIDE, refused=load.refused[before:])
    assert invitation(gateway, "beta").status_code == 201


def _all_is_there(gateway: Up, load: Load, logger: Logger, troubles: int) -> None:
    load.finish()
    logger.finish()
    assert load.refused
    until(lambda: httpx.get(f"{gateway.url}/readyz").status_code == 200)
    assert "events are stored again" in "\n".join(log_of(gateway))
    require_each_told_once(gateway, troubles)
    require_exactly_once(gateway.data, load, logger)


def test_a_full_disk_that_is_freed_again(tmp_path: Path) -> None:
    size = f"size={scaled(96, 1024)}m"
    with mounted("tmpfs", tmp_path / "data", "-t", "tmpfs", "-o", size), up(write_config(tmp_path)) as gateway:
        ballast = gateway.data / "ballast"
        with Load(gateway, "alpha") as load, Logger(gateway, tmp_path / "logger") as logger:
            for _ in range(ROUNDS):
                _trouble(gateway, load, lambda: _fill(ballast), ballast.unlink, FULL)
            _all_is_there(gateway, load, logger, ROUNDS)


def _fill(path: Path) -> None:
    """Take all the room there is."""
    with path.open("wb") as file, contextlib.suppress(OSError):  # no space left on device
        while True:
            os.write(file.fileno(), bytes(64 * 1024))
    assert shutil.disk_usage(path.parent).free < 64 * 1024


@long_only
def test_a_disk_that_refuses_writes_for_a_while(tmp_path: Path) -> None:
    """No room, then read-only, then failing, also where nobody may mount a disk."""
    shim = Shim(tmp_path)
    gateway = Up(write_config(tmp_path), shim.before)
    kinds = ((errno.ENOSPC, FULL), (errno.EROFS, FAILING), (errno.EIO, FAILING))
    try:
        with Load(gateway, "alpha") as load, Logger(gateway, tmp_path / "logger") as logger:
            for _ in range(ROUNDS):
                for number, reason in kinds:
                    _trouble(gateway, load, lambda n=number: shim.set(write_errno=n), shim.set, reason)  # type: ignore[misc]
            _all_is_there(gateway, load, logger, 3 * ROUNDS)
    finally:
        shim.set()
        code = gateway.end()
    assert code == 0


@long_only
def test_a_start_on_a_disk_that_refuses_writes_says_so_and_a_later_start_goes_on(tmp_path: Path) -> None:
    shim, config = Shim(tmp_path), write_config(tmp_path)
    command = [*shim.before, *PROGRAM, "up", "--config", str(config)]
    for number in (errno.ENOSPC, errno.EROFS):
        _refuses_to_start(shim, command, number)  # there is no folder yet
    for number in (errno.ENOSPC, errno.EROFS) if ROUNDS > 1 else (errno.EROFS,):
        with up(config) as gateway, Load(gateway, f"source-{number}") as load:
            load.finish()
        _refuses_to_start(shim, command, number)
    with up(config) as gateway:
        require_exactly_once(gateway.data)


def _refuses_to_start(shim: Shim, command: list[str], number: int) -> None:
    shim.set(write_errno=number)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("sealtrail: ")
    shim.set()


def test_a_filesystem_that_turned_read_only_under_the_gateway(tmp_path: Path) -> None:
    """As Linux does it after a fault of the disk (errors=remount-ro). Only an operator can mount it anew, so the
    gateway stops in order and goes on after that. Nothing is being written in the moment of the fault: ext4 itself can
    lose what it has just called synced, without any Sealtrail (docs/threat-model.md, "A disk that lies")."""
    image, config = tmp_path / "image", write_config(tmp_path)
    _make_ext4(image)
    with ExitStack() as disk:
        disk.enter_context(mounted(str(image), tmp_path / "data", "-o", "loop,errors=remount-ro"))
        gateway = disk.enter_context(up(config))
        with Load(gateway, "alpha") as load:
            load.pause()
            require_anchored(gateway)
            time.sleep(1.0)  # the index has followed
            with Health(gateway) as health:
                _fault(tmp_path / "data")
                load.resume()
                health.wait_for(FAILING)
                time.sleep(_lasts())
                assert {seen.alive for seen in health.seen} == {200}
            load.pause()
            assert gateway.end() == 0
            disk.close()
            with mounted(str(image), tmp_path / "data", "-o", "loop"), up(config) as again:
                load.port = int(again.where["mqtt_port"])
                load.resume()
                load.finish()
                require_each_told_once(again, 1)
                require_exactly_once(again.data, load)


def _make_ext4(image: Path) -> None:
    program = shutil.which("mkfs.ext4") or shutil.which("mkfs.ext4", path="/usr/sbin")
    if program is None:
        pytest.skip("a filesystem of the test's own needs mkfs.ext4 (Debian package e2fsprogs)")
    with image.open("wb") as file:
        file.truncate(96 * 2**20)
    subprocess.run([program, "-q", image], check=True)


def _fault(mount: Path) -> None:
    """Tell the kernel that this filesystem has a fault."""
    found = subprocess.run(["findmnt", "-no", "SOURCE", mount], capture_output=True, text=True, check=True)
    trigger = Path("/sys/fs/ext4") / Path(found.stdout.strip()).name / "trigger_fs_error"
    if not trigger.exists():
        pytest.skip(f"this kernel has no {trigger}")
    trigger.write_text("1")


@long_only
def test_a_slow_disk_and_one_that_hangs(tmp_path: Path) -> None:
    """Slow is no trouble: events are acknowledged later. A commit that hangs is one, and is told while it hangs; logins
    and questions do not wait for it."""
    shim = Shim(tmp_path)
    gateway = Up(write_config(tmp_path), shim.before)
    try:
        with Load(gateway, "alpha") as load, Logger(gateway, tmp_path / "logger") as logger:
            with Health(gateway) as health:
                for milliseconds in (50, 300) * ROUNDS:
                    shim.set(sync_ms=milliseconds)
                    load.progress()
                    load.progress()
            health.require_always_well()
            with Health(gateway) as health:
                shim.set(sync_ms=scaled(5_800, 20_000))
                health.wait_for("takes longer than")
                shim.set()
                health.wait_well(60)
                load.progress()
            assert {seen.alive for seen in health.seen} == {200}
            assert max(seen.told - seen.asked for seen in health.seen) < 5  # the hang is longer
            load.finish()
            logger.finish()
            assert not load.refused
            require_exactly_once(gateway.data, load, logger)
    finally:
        shim.set()
        code = gateway.end()
    assert code == 0
    log_of(gateway)
