"""Ports of the nodes: chosen once, remembered in the data folder, checked before a start.

Free ports are taken below the range from which systems give out ports of their own (Linux: from 32768), so that
no outgoing connection holds a node's port when it comes back.
"""

import contextlib
import json
import random
import socket
from collections.abc import Sequence
from pathlib import Path

from crypto.files import write_durably
from network.errors import NetworkError, NodeError

LOOPBACK = "127.0.0.1"
LOWEST, HIGHEST = 16_000, 32_000
TRIES = 200
CONNECT_S = 2.0


def remembered_ports(file: Path, names: Sequence[str], first: int) -> dict[str, int]:
    """The port of every name: `first` and the ones after it, or free ones when `first` is 0."""
    if file.exists():
        return _read(file, names)
    if first + len(names) > 65_536:
        raise NetworkError(f"first_port {first}: {len(names)} ports are needed; choose a lower one")
    ports = range(first, first + len(names)) if first else free_ports(len(names))
    chosen = dict(zip(names, ports, strict=True))
    write_durably(file, json.dumps(chosen, indent=1).encode())
    return chosen


def _read(file: Path, names: Sequence[str]) -> dict[str, int]:
    ports: dict[str, int] = json.loads(file.read_bytes())
    if set(ports) != set(names):
        raise NetworkError(f"{file} has the ports of another topology; `sealtrail network clean` begins anew")
    return ports


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, in a run where possible none twice."""
    candidates = random.sample(range(LOWEST, HIGHEST), min(HIGHEST - LOWEST, count + TRIES))
    found: list[int] = []
    for port in candidates:
        if len(found) == count:
            break
        if is_free(port):
            found.append(port)
    if len(found) < count:
        raise NodeError(f"cannot find {count} free ports; set first_port in the topology")
    return found


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether this port can be listened on at this host."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def accepts(address: str) -> bool:
    """Whether somebody takes connections at host:port."""
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError, ValueError), socket.create_connection((host, int(port)), CONNECT_S):
        return True
    return False
