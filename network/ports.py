"""Ports of the nodes: chosen once, remembered in the data folder, checked before a start.

Free ports are taken below the range from which systems give out ports of their own (Linux: from 32768), so that
no outgoing connection holds a node's port when it comes back.
"""

import contextlib
import json
import random
import socket
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from crypto.files import write_durably
from network.errors import NetworkError, NodeError

LOOPBACK = "127.0.0.1"
LOWEST, HIGHEST = 16_000, 32_000
TRIES = 200
PORTS_END = 65_536
CONNECT_S = 2.0


def remembered_ports(file: Path, names: Sequence[str], first: int) -> dict[str, int]:
    """The port of every name: `first` and the ones after it, or free ones when `first` is 0. Names that are not yet
    in the file get ports then."""
    known: dict[str, int] = json.loads(file.read_bytes()) if file.exists() else {}
    if new := [name for name in names if name not in known]:
        known |= dict(zip(new, _new_ports(known, len(new), first), strict=True))
        write_durably(file, json.dumps(known, indent=1).encode())
    return {name: known[name] for name in names}


def forget_ports(file: Path, names: Collection[str]) -> None:
    """Let these names' ports go."""
    known: dict[str, int] = json.loads(file.read_bytes())
    kept = {name: port for name, port in known.items() if name not in names}
    if kept != known:
        write_durably(file, json.dumps(kept, indent=1).encode())


def _new_ports(known: Mapping[str, int], count: int, first: int) -> list[int]:
    taken = set(known.values())
    if not first:
        return [port for port in free_ports(count + len(taken)) if port not in taken][:count]
    ports = [port for port in range(first, PORTS_END) if port not in taken][:count]
    if len(ports) < count:
        raise NetworkError(f"first_port {first}: {len(taken) + count} ports are needed; choose a lower one")
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
