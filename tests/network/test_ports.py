"""Ports are chosen once and remembered."""

import socket
from pathlib import Path

import pytest

from network.errors import NetworkError
from network.layout import lay_out
from network.ports import LOOPBACK, free_ports, is_free, remembered_ports
from network.topology import Topology
from tests.network.networks import topology


def test_free_ports_differ_and_are_free() -> None:
    ports = free_ports(40)
    assert len(set(ports)) == 40
    assert all(is_free(port) for port in ports)


def test_a_port_that_is_listened_on_is_taken() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_ports_are_remembered(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = remembered_ports(file, ["a", "b"], 0)
    assert remembered_ports(file, ["a", "b"], 0) == first
    more = remembered_ports(file, ["a", "c"], 0)
    assert more["a"] == first["a"]
    assert more["c"] not in first.values()
    assert remembered_ports(file, ["b"], 0) == {"b": first["b"]}


def test_given_ports_follow_each_other(tmp_path: Path) -> None:
    assert remembered_ports(tmp_path / "ports.json", ["a", "b", "c"], 7050) == {"a": 7050, "b": 7051, "c": 7052}


def test_ports_do_not_run_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="choose a lower one"):
        remembered_ports(tmp_path / "ports.json", ["a", "b", "c"], 65_534)


def test_every_listener_of_a_network_has_a_port_of_its_own(tmp_path: Path) -> None:
    wanted = topology(tmp_path)
    layout = lay_out(Topology(organisations=wanted.organisations, data=wanted.data, first_port=20_000))
    ports = [port for node in layout.nodes for port in node.ports.values()]
    assert sorted(ports) == list(range(20_000, 20_000 + 4 * 3 + 3 * 3 + 3))
