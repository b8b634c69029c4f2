"""A network namespace of the test's own, joined to this machine by a cable that can be cut. Needs root and iproute2."""

import contextlib
import ctypes
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

CLONE_NEWNET = 0x4000_0000  # linux/sched.h


class IpError(Exception):
    """`ip` refused."""


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise IpError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Namespace:
    """`inside` is the address of the nodes in it, `outside` that of this machine as they see it. The address inside
    lies on the namespace's own loopback, so that its nodes reach each other while the cable is cut."""

    name: str
    outside: str
    inside: str

    def command(self, command: list[str]) -> list[str]:
        """The same command, run inside; it keeps the process id."""
        return ["ip", "netns", "exec", self.name, *command]

    def enter(self) -> None:
        """Move the calling thread, and all threads that it starts from now on, inside."""
        with open(f"/run/netns/{self.name}") as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")

    def cut(self) -> None:
        _ip("-n", self.name, "link", "set", f"{self.name}-b", "down")

    def heal(self) -> None:
        _ip("-n", self.name, "link", "set", f"{self.name}-b", "up")


def _free_network() -> str:
    """The first three bytes of a /24 in 10.88.0.0/16 that nobody uses here."""
    used = _ip("-4", "addr")
    start = secrets.randbelow(250)
    free = (f"10.88.{(start + n) % 250}" for n in range(250))
    return next(network for network in free if f" {network}." not in used)


@contextlib.contextmanager
def namespace() -> Iterator[Namespace]:
    """Make one, and remove it with its cable whatever happens; skips where that is not possible."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("cutting a network needs root and iproute2")
    name, network = f"st{secrets.token_hex(3)}", ""
    try:
        network = _free_network()
        _ip("netns", "add", name)
    except (IpError, OSError) as e:
        pytest.skip(f"cutting a network needs the right to make network namespaces: {e}")
    made = Namespace(name, f"{network}.1", f"{network}.2")
    try:
        _ip("link", "add", f"{name}-a", "type", "veth", "peer", "name", f"{name}-b", "netns", name)
        _ip("addr", "add", f"{made.outside}/24", "dev", f"{name}-a")
        _ip("link", "set", f"{name}-a", "up")
        _ip("-n", name, "addr", "add", f"{made.inside}/32", "dev", "lo")
        _ip("-n", name, "addr", "add", f"{network}.3/24", "dev", f"{name}-b")
        _ip("-n", name, "link", "set", "lo", "up")
        made.heal()
        _ip("route", "add", f"{made.inside}/32", "via", f"{network}.3")
        yield made
    finally:
        with contextlib.suppress(IpError):
            _ip("link", "del", f"{name}-a")
        _ip("netns", "del", name)
