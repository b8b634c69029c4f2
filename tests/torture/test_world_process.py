"""Crowds that want every file descriptor, and SIGTERM in the middle of everything: nothing acknowledged is lost, those
who are in stay in, and all is well as soon as the crowd is gone."""

import errno
import random
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.e2e.programs import Up, write_config
from tests.torture.load import Load, Logger, require_exactly_once
from tests.torture.scale import long_only, scaled
from tests.torture.world import Health, Shim, require_each_told_once

DESCRIPTORS = 256
FEW = ("sh", "-c", f'ulimit -n {DESCRIPTORS} && exec "$@"', "sh")
CROWD = 2 * DESCRIPTORS
NO_LOGIN = r"^front door: \d+ connections wait for their login"
NO_DESCRIPTOR = "^no new connection can be accepted: Too many open files; raise LimitNOFILE"
NO_HTTP = r"^HTTP: all \d+ connections are taken"
BESIDE = ("^reading: ", "^anchoring: ", r"^[a-z -]+ waits?: ")
ROUNDS = scaled(1, 15)
STOPS = scaled(2, 100)


@contextmanager
def _crowd(port: int) -> Iterator[None]:
    """Many who connect and say nothing."""
    with ExitStack() as all_of_them:
        for _ in range(CROWD):
            client = all_of_them.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        yield


@long_only
def test_a_crowd_that_takes_every_descriptor_and_leaves(tmp_path: Path) -> None:
    """Each door keeps strangers within its own bound, so that files, sources and the other door have theirs."""
    gateway = Up(write_config(tmp_path), FEW)
    doors = ((int(gateway.where["mqtt_port"]), NO_LOGIN), (int(urlsplit(gateway.url).port or 0), NO_HTTP))
    try:
        with Load(gateway, "alpha") as load, Logger(gateway, tmp_path / "logger") as logger:
            late = Load(gateway, "late")
            for port, reason in doors * ROUNDS:
                with Health(gateway) as health:
                    with _crowd(port):
                        health.wait_for(reason)
                        load.progress()  # those who are in stay in
                        time.sleep(0.5 if ROUNDS == 1 else random.uniform(0.0, 20.0))
                        load.progress()
                    health.wait_well()
                    with late:  # and those who were not get in
                        time.sleep(0.1)
                health.require_one_trouble(reason, *BESIDE, refused=[])
            with late:
                late.finish()
            load.finish()
            logger.finish()
            assert load.connections == 1
            assert not load.refused
            require_exactly_once(gateway.data, load, logger, late)
    finally:
        code = gateway.end()
    assert code == 0
    require_each_told_once(gateway, ROUNDS)


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    """Whatever took them. Both doors try again and again to accept; the log says so once."""
    gateway = Up(write_config(tmp_path))
    doors = (int(gateway.where["mqtt_port"]), int(urlsplit(gateway.url).port or 0))
    try:
        with Load(gateway, "alpha") as load, Logger(gateway, tmp_path / "logger") as logger:
            for _ in range(ROUNDS):
                with Health(gateway) as health:
                    with _no_more_descriptors(gateway.process.pid), _knocking(*doors):
                        health.wait_for(NO_DESCRIPTOR)
                        load.progress()
                        time.sleep(1.2 if ROUNDS == 1 else random.uniform(0.0, 20.0))
                    health.wait_well()
                    with Load(gateway, f"late-{time.monotonic_ns()}") as late:
                        late.finish()
                health.require_one_trouble(NO_DESCRIPTOR, *BESIDE, refused=[])
            load.finish()
            logger.finish()
            assert load.connections == 1
            require_exactly_once(gateway.data, load, logger)
    finally:
        code = gateway.end()
    assert code == 0
    require_each_told_once(gateway, ROUNDS)


@contextmanager
def _no_more_descriptors(pid: int) -> Iterator[None]:
    """From now on this process gets no new one."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@contextmanager
def _knocking(*ports: int) -> Iterator[None]:
    """Somebody waits to be let in."""
    with ExitStack() as clients:
        for port in ports:
            clients.enter_context(socket.create_connection(("127.0.0.1", port)))
        yield


@long_only
def test_sigterm_in_the_middle_of_a_batch(tmp_path: Path) -> None:
    """Again and again, on a disk so slow that a batch is always being written, or so full that none can be; each time
    with exit code 0, and the truth until it is gone. What was not acknowledged comes to the next start."""
    shim, config = Shim(tmp_path), write_config(tmp_path, f"[front_door]\nport = {_free_port()}")
    gateway = Up(config, shim.before)
    with ExitStack() as running:
        sources = [running.enter_context(Load(gateway, name)) for name in ("alpha", "beta")]
        logger = running.enter_context(Logger(gateway, tmp_path / "logger"))
        for number in range(STOPS):
            with Health(gateway) as health:
                _meet_trouble(shim, health, sources, full=number % 2 == 1)
                gateway.process.send_signal(signal.SIGTERM)
                if number % 2:  # an impatient operator
                    gateway.process.send_signal(signal.SIGTERM)
                assert gateway.end() == 0
            assert {seen.ready for seen in health.seen} == ({200, 503, None} if number % 2 else {200, None})
            shim.set()
            gateway = Up(config, shim.before)
        for source in (*sources, logger):
            source.finish()
        require_exactly_once(gateway.data, *sources, logger)
    assert gateway.end() == 0
    require_each_told_once(gateway, STOPS)


def _meet_trouble(shim: Shim, health: Health, sources: list[Load], *, full: bool) -> None:
    for load in sources:
        load.progress()
    if full:
        shim.set(write_errno=errno.ENOSPC)
        health.wait_for("no room")
    else:
        shim.set(sync_ms=random.choice((30, 100)))
        time.sleep(random.uniform(0.0, 0.3))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
