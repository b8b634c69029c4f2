"""The broker is away for an hour, and peers vanish without a word: what was sent arrives once, nobody else is
disturbed, and the gateway says what it knows of the line."""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from chain.record import SEAL_KIND, RecordFlag
from tests.e2e.programs import Up, until, up, write_config
from tests.network.namespace import namespace
from tests.support.mosquitto import MOSQUITTO, Broker
from tests.torture.load import Load, Logger, require_exactly_once, status
from tests.torture.scale import long_only, scaled
from tests.torture.world import Health, Shim, require_each_told_once

HOUR = 3600
AWAY = "^side door: not connected"
ROUNDS = scaled(1, 10)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """It keeps nothing when it stops."""
    with Broker(tmp_path) as running:
        yield running


@long_only
@pytest.mark.skipif(not MOSQUITTO, reason="mosquitto is not installed (Debian package mosquitto)")
def test_the_broker_is_away_for_an_hour(tmp_path: Path, broker: Broker) -> None:
    """An hour by the gateway's clock, seconds by ours. What the device kept meanwhile comes late, and says so; those
    who connect to the gateway itself go on."""
    shim = Shim(tmp_path)
    door = f'[side_door]\nhost = "127.0.0.1"\nport = {broker.port}\nreconnect_max_s = 1'
    gateway = Up(write_config(tmp_path, door), shim.before)
    try:
        with ExitStack() as running:
            load = running.enter_context(Load(gateway, "alpha"))
            logger = running.enter_context(Logger(gateway, tmp_path / "logger", broker=broker.port))
            for _ in range(ROUNDS):
                with Health(gateway) as health:
                    broker.stop()
                    health.wait_for(AWAY)
                    time.sleep(1.0 if ROUNDS == 1 else random.uniform(0.2, 30.0))
                    load.progress()
                    shim.set(clock_s=HOUR)
                    broker.start()
                    health.wait_well()
                    _all_confirmed(logger)
                    shim.set()
                health.require_one_trouble(AWAY, refused=[])
            load.finish()
            logger.finish()
        records = require_exactly_once(gateway.data, load, logger)
        late = [r for r in records if r.source == "logger" and r.kind != SEAL_KIND and r.flags & RecordFlag.LATE]
        assert len(late) > 20 * ROUNDS
    finally:
        code = gateway.end()
    assert code == 0
    require_each_told_once(gateway, 1)


def _all_confirmed(logger: Logger) -> None:
    """What the device recorded up to now is acknowledged by the gateway."""
    recorded = logger.recorded
    until(lambda: logger.device.status().acknowledged >= recorded, 30)


@long_only
def test_a_peer_that_vanishes_without_a_word(tmp_path: Path) -> None:
    """The cable is cut: no FIN, no RST, no will. The gateway shows the source as connected for one and a half
    keep-alives and no longer; others do not notice; the sources come back with everything."""
    with namespace() as far:
        door = f'[front_door]\nhost = "{far.outside}"\nport = 0'
        with up(write_config(tmp_path, door)) as gateway, Health(gateway) as health:
            near = Load(gateway, "near", host=far.outside)
            alpha = Load(gateway, "alpha", host=far.outside, keepalive=2, enter=far.enter)
            logger = Logger(gateway, tmp_path / "logger", enter=far.enter)
            with near, alpha, logger:
                for _ in range(ROUNDS):
                    until(lambda: status(gateway)["connected"] == ["alpha", "logger", "near"])
                    far.cut()
                    until(lambda: status(gateway)["connected"] == ["near"])
                    near.progress()
                    time.sleep(0.2 if ROUNDS == 1 else random.uniform(0.0, 20.0))
                    far.heal()
                    alpha.progress()
                    _all_confirmed(logger)
                for source in (near, alpha, logger):
                    source.finish()
            require_exactly_once(gateway.data, near, alpha, logger)
            assert near.connections == 1 < alpha.connections
        health.require_always_well()
        require_each_told_once(gateway, 1)


def test_a_device_that_starts_again_while_its_old_connection_stands_half_open(tmp_path: Path) -> None:
    """The gateway does not know yet that the old one is dead: the new one takes its place at once."""
    with namespace() as far:
        door = f'[front_door]\nhost = "{far.outside}"\nport = 0'
        with up(write_config(tmp_path, door)) as gateway, Health(gateway) as health:
            load = Load(gateway, "alpha", host=far.outside, keepalive=600, enter=far.enter)
            with load:
                for _ in range(ROUNDS):
                    far.cut()
                    load.die()
                    assert status(gateway)["connected"] == ["alpha"]
                    far.heal()
                    load.resume()
                    load.progress()
                load.finish()
            assert load.connections == ROUNDS + 1
            require_exactly_once(gateway.data, load)
        health.require_always_well()
        require_each_told_once(gateway, 1)
