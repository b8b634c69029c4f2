"""The disk is full, read-only, slow or stuck: nothing acknowledged is lost, the gateway goes on by itself, and its
health tells the truth all along."""

from pathlib import Path

from tests.e2e.programs import up, write_config
from tests.torture.load import Load, Logger, invitation, require_exactly_once
from tests.torture.scale import scaled
from tests.torture.world import Health, Shim, complaints, log_of, mounted
import os, time, pytest, errno

FULL = r"free|no room"


def test_a_full_disk_that_is_freed_again(tmp_path: Path) -> None:
    with mounted("tmpfs", tmp_path / "data", "-t", "tmpfs", "-o", "size=128m"):
        config = write_config(tmp_path)
        with up(config) as gateway, Health(gateway) as health:
            with Load(gateway, "alpha") as load, Logger(gateway, tmp_path / "logger") as logger:
                for _ in range(scaled(1, 20)):
                    ballast = gateway.data / "ballast"
                    _fill(ballast)
                    health.wait_for(FULL)
                    print(invitation(gateway, "beta").text)
                    time.sleep(2)
                    ballast.unlink()
                    health.wait_well()
                    load.progress()
                load.finish()
                logger.finish()
            print("refused", len(load.refused), len(load.acknowledged))
            time.sleep(1)
        print("\n".join(log_of(gateway)))
        last = None
        for s in health.seen:
            if (s.ready, s.problems) != last:
                print(s)
                last = (s.ready, s.problems)
        require_exactly_once(gateway.data, load, logger)
        health.require_one_trouble(FULL, "anchoring", refused=load.refused)


@pytest.mark.parametrize("what", [errno.EROFS, errno.ENOSPC, errno.EIO])
def test_shim(tmp_path: Path, what) -> None:
    config = write_config(tmp_path)
    shim = Shim(tmp_path)
    from tests.e2e.programs import Up

    gateway = Up(config, shim.before)
    with Health(gateway) as health:
        with Load(gateway, "alpha") as load, Logger(gateway, tmp_path / "logger") as logger:
            shim.set(write_errno=what)
            time.sleep(1)
            print(invitation(gateway, "beta").text)
            time.sleep(2)
            shim.set()
            health.wait_well()
            load.progress()
            load.finish()
            logger.finish()
        print("refused", len(load.refused), len(load.acknowledged))
        time.sleep(1)
    print("exit", gateway.end())
    print((tmp_path / "up.log").read_text())
    last = None
    for s in health.seen:
        if (s.ready, s.problems) != last:
            print(s)
            last = (s.ready, s.problems)
    require_exactly_once(gateway.data, load, logger)
    health.require_one_trouble(FULL, "anchoring", refused=load.refused)


def _fill(path: Path) -> None:
    """Take all the room there is."""
    with path.open("wb") as file:
        with pytest.raises(OSError, match="No space left"):
            while True:
                file.write(bytes(64 * 1024))
                file.flush()
