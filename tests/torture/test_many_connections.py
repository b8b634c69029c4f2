"""Thousands of idle connections, senders without end, readers that never read: an active device is served all the
while, and what each of them costs is bounded."""

import resource
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from chain.site import Folder
from gateway.access import Access, SourceSettings
from tests.gateway.ingest.mqtt_support import PINGREQ, Raw, subscribe
from tests.support.source import Source
from tests.torture.doors import Device, enrolled, resident_bytes, unshaken
from tests.torture.scale import LONG, scaled

IDLE = scaled(400, 5_000)
A_SOURCE = 4  # connections; the front door's bound
BYTES_EACH = 64 * 1024  # of the gateway's memory, for an idle connection
LORIS = scaled(300, 2_000)  # more than the front door lets wait
UNREAD = 32_000_000  # bytes; the kernel alone takes up to ten million from who is not read
NEVER_READ = scaled(3, 100)
ORIGIN = "plant.example/line-1"


@contextmanager
def open_files(soft: int) -> Iterator[None]:
    """This process's own bound on open files, which what it starts inherits."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and soft > hard:
        pytest.skip(f"this machine allows {hard} open files, {soft} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


def _passwords(folder: Path, count: int) -> dict[str, str]:
    """Sources without keys, let in before the gateway starts."""
    access = Access(Folder.create(folder / "data", ORIGIN))
    made = {f"idle-{n}": access.add_plain(f"idle-{n}", SourceSettings(allow_plain=True)) for n in range(count)}
    access.close()
    return made


def _send(device: Device, client: Raw, count: int = 30) -> None:
    for _ in range(count):
        device.send_one(client)


def test_idle_connections_cost_little_and_delay_nobody(tmp_path: Path) -> None:
    passwords = _passwords(tmp_path, -(-IDLE // A_SOURCE))
    with open_files(IDLE + 1000), ExitStack() as stack, unshaken(tmp_path) as gateway:
        active = enrolled(gateway, Source("active"))
        client = stack.enter_context(active.login())
        _send(active, client)
        before = resident_bytes(gateway)
        idle = []
        for number in range(IDLE):
            name = f"idle-{number // A_SOURCE}"
            device = Device(gateway, Source(name), passwords[name])
            idle.append(stack.enter_context(device.login(client_id=str(number))))
        each = (resident_bytes(gateway) - before) / IDLE
        print(f"{IDLE} idle connections, {each:.0f} bytes of memory each")
        assert each < BYTES_EACH
        _send(active, client)
        with active.login(client_id="comes later") as later:
            _send(active, later)
        assert all(one.send(PINGREQ).read() == (0xD0, b"") for one in idle), "none was closed"
        assert httpx.get(f"{gateway.url}/readyz", timeout=30).status_code == 200


def test_a_low_bound_on_open_files_is_raised(tmp_path: Path) -> None:
    """Most shells and services start a program with 1,024 or less; the gateway takes what it may."""
    passwords = _passwords(tmp_path, 50)
    with ExitStack() as stack:
        with open_files(150):
            gateway = stack.enter_context(unshaken(tmp_path, "[front_door]\nport = 0\nmax_connections = 1000"))
        for name, password in passwords.items():
            for number in range(A_SOURCE):
                stack.enter_context(Device(gateway, Source(name), password).login(client_id=str(number)))
        assert httpx.get(f"{gateway.url}/readyz", timeout=30).status_code == 200
        active = enrolled(gateway, Source("active"))
        with active.login() as client:
            _send(active, client)


def test_the_hard_bound_on_open_files_bounds_the_connections(tmp_path: Path) -> None:
    """Run out of connections, not of files: the store and REST need theirs."""
    low = 700
    passwords = _passwords(tmp_path, 100)
    (tmp_path / "limited.py").write_text(
        "import resource, runpy, sys\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({low}, {low}))\n"
        "runpy.run_module('sealtrail', run_name='__main__')\n"
    )
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.e2e.programs.PROGRAM", (sys.executable, str(tmp_path / "limited.py")))
        gateway = stack.enter_context(unshaken(tmp_path))
        refused = 0
        for name, password in passwords.items():
            for number in range(A_SOURCE):
                raw = stack.enter_context(Raw(int(gateway.where["mqtt_port"])))
                answer = raw.send(Device(gateway, Source(name), password).connect(client_id=str(number))).read()
                refused += answer[1][1] == 0x97
        assert 0 < refused < 100 * A_SOURCE
        told = httpx.get(f"{gateway.url}/readyz", timeout=30).text  # REST has its files
        assert "connections are taken" in told
    assert "raise LimitNOFILE" in (tmp_path / "up.log").read_text()


def _slow(number: int, device: Device) -> bytes:
    """A beginning that is never finished: nothing, half a fixed header, half a CONNECT, all but its last byte."""
    whole = device.connect(client_id=f"slow-{number}")
    return (b"", b"\x10", b"\x10\xff", whole[: len(whole) // 2], whole[:-1])[number % 5]


def test_slow_loris_locks_nobody_out(tmp_path: Path) -> None:
    with open_files(LORIS + 1000), ExitStack() as stack, unshaken(tmp_path) as gateway:
        port, active = int(gateway.where["mqtt_port"]), enrolled(gateway, Source("active"))
        before = resident_bytes(gateway)
        client = stack.enter_context(active.login())
        slow = [stack.enter_context(Raw(port)).send(_slow(n, active)) for n in range(LORIS)]
        _send(active, client)
        with active.login(client_id="while they wait") as later:
            _send(active, later)
        middle = [stack.enter_context(active.login(client_id=f"middle-{n}")) for n in range(2)]
        middle[0].send(b"\x32")  # in the fixed header
        middle[1].send(b"\x32\x80\x80\x0f" + bytes(1000))  # in a packet of 240 KiB
        _send(active, client)
        assert slow[0].closed(), "it waited longest"
        for one in slow[1:] if LONG else slow[1:2]:
            assert one.closed()  # by the deadline for CONNECT, or to give way
        _send(active, client)
        assert resident_bytes(gateway) - before < LORIS * BYTES_EACH


def _stuff(client: Raw, data: bytes) -> int:
    """Send until nothing more goes, reading nothing."""
    client.socket.settimeout(0.2)
    sent = 0
    try:
        while sent < UNREAD:
            sent += client.socket.send(data)
    except (TimeoutError, ConnectionError):
        pass
    return sent


def test_readers_that_never_read_cost_what_is_bounded(tmp_path: Path) -> None:
    passwords = _passwords(tmp_path, NEVER_READ)
    with ExitStack() as stack, unshaken(tmp_path) as gateway:
        active = enrolled(gateway, Source("active"))
        client = stack.enter_context(active.login())
        before = resident_bytes(gateway)
        for name, password in passwords.items():
            device = Device(gateway, Source(name), password)
            raw = stack.enter_context(Raw(int(gateway.where["mqtt_port"]), receive_buffer=2048))
            raw.send(device.connect(), subscribe(f"st/1/{name}/receipts", v5=True))
            assert _stuff(raw, PINGREQ * 20_000) < UNREAD, "it was read without end"
        _send(active, client)
        assert resident_bytes(gateway) - before < 16_000_000 + NEVER_READ * 1_000_000
        stack.pop_all().__exit__(None, None, None)  # they hang up, their answers unread
    assert len((tmp_path / "up.log").read_bytes()) < 20_000, "one line for each ping would be a flood of its own"
