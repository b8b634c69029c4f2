"""TLS at the front door: client certificates made at run time, passwords over TLS, and bad handshakes."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from mqtt_support import DEADLINE_S, Gateway, Raw, connect, publish, wait_until

from crypto.tls.client import TlsClient
from gateway.ingest.mqtt.limits import FrontDoorLimits
from tests.support.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def tls_gateway(authority: Authority) -> Iterator[Gateway]:
    with Gateway(FrontDoorLimits(connect_timeout_s=1), authority.tls_server()) as running:
        yield running


@pytest.mark.parametrize("v5", [False, True], ids=["3.1.1", "5"])
def test_certificate_names_the_source(tls_gateway: Gateway, authority: Authority, v5: bool) -> None:
    context = authority.client_context(authority.issue("camera-7"))
    with Raw(tls_gateway.port, tls=context).login("ignored", v5=v5, password=b"wrong") as client:
        client.send(*(publish("st/1/camera-7/events", bytes(50_000), n, v5=v5) for n in (1, 2, 3)))
        assert [client.read()[1] for _ in range(3)] == [b"\0\1", b"\0\2", b"\0\3"]
        assert tls_gateway.door.connected_sources() == {"camera-7"}
    assert tls_gateway.sink.payloads() == [bytes(50_000)] * 3


def test_password_over_tls(tls_gateway: Gateway, authority: Authority) -> None:
    with Raw(tls_gateway.port, tls=authority.client_context()).login(v5=True):
        assert tls_gateway.door.connected_sources() == {"dev"}


def test_the_group_of_each_connection_is_known(tls_gateway: Gateway, authority: Authority) -> None:
    def groups() -> dict[str, tuple[str, ...]]:
        return tls_gateway.thread.call(tls_gateway.door.groups)

    classic, hybrid = authority.client_context(), TlsClient(authority.file)
    classic.maximum_version = ssl.TLSVersion.TLSv1_2  # which has no hybrid, whatever OpenSSL this is
    with Raw(tls_gateway.port, tls=classic).login(v5=True), Raw(tls_gateway.port, tls=classic).login("other", v5=True):
        plain = socket.create_connection(("127.0.0.1", tls_gateway.port), timeout=DEADLINE_S)
        wrapped = hybrid.wrap_socket(plain, server_hostname="localhost")
        wrapped.sendall(connect(v5=True, client_id="second"))
        assert wrapped.recv(1) == b"\x20"
        assert groups() == {"dev": ("x25519", "X25519MLKEM768"), "other": ("x25519",)}
        wrapped.close()
        wait_until(lambda: groups() == {"dev": ("x25519",), "other": ("x25519",)})


def test_a_handshake_that_stands_still_gives_way(authority: Authority) -> None:
    with Gateway(FrontDoorLimits(waiting=2), authority.tls_server()) as gateway:
        still = [Raw(gateway.port) for _ in range(2)]
        wait_until(lambda: gateway.door.counters.connections == 2)
        with Raw(gateway.port, tls=authority.client_context()).login(v5=True):
            assert still[0].closed()
            with Raw(gateway.port, tls=authority.client_context()).login("other", v5=True):
                assert gateway.door.connected_sources() == {"dev", "other"}
        for client in still:
            client.close()


def test_congestion_holds_back_tls_too(tls_gateway: Gateway, authority: Authority) -> None:
    messages = [publish("st/1/dev/events", n.to_bytes(2000, "big"), n, v5=False) for n in range(1, 501)]
    with Raw(tls_gateway.port, tls=authority.client_context()).login(v5=False) as client:
        tls_gateway.sink.full_after = 10
        client.send(*messages[:250])
        wait_until(lambda: tls_gateway.door.counters.congestion_pauses == 1)
        held_at = tls_gateway.door.counters.bytes_in
        client.send(*messages[250:])
        taken = len(tls_gateway.sink.messages)
        assert 10 <= taken <= 10 + 262_144 // 2000, "not more than one read beyond the sink's bound"
        assert [client.read()[1] for _ in range(taken)] == [n.to_bytes(2, "big") for n in range(1, taken + 1)]
        assert tls_gateway.door.counters.bytes_in - held_at <= 262_144, "at most what was decrypted already"
        tls_gateway.thread.call(tls_gateway.sink.relieve)
        wait_until(lambda: len(tls_gateway.sink.messages) == 500)
    assert tls_gateway.sink.payloads() == [n.to_bytes(2000, "big") for n in range(1, 501)]


@pytest.mark.parametrize("name", ["stranger", "No Source"])
def test_certificate_of_no_source_is_refused(tls_gateway: Gateway, authority: Authority, name: str) -> None:
    context = authority.client_context(authority.issue(name))
    with Raw(tls_gateway.port, tls=context).send(connect(v5=True)) as client:
        assert client.read()[1][1] == 0x87
    with Raw(tls_gateway.port, tls=context).send(connect(v5=False)) as client:
        assert client.read() == (0x20, b"\0\x05")
    assert tls_gateway.door.counters.refused_login == 2


def test_certificate_of_another_authority_is_refused(
    tls_gateway: Gateway, authority: Authority, tmp_path: Path
) -> None:
    context = authority.client_context(Authority(tmp_path, "another authority").issue("camera-7"))
    refused = pytest.raises((ssl.SSLError, ConnectionError, AssertionError))  # TLS 1.3 tells the client late
    with refused, Raw(tls_gateway.port, tls=context) as client:
        client.login(v5=True)
    wait_until(lambda: tls_gateway.door.counters.tls_failures == 1)
    assert tls_gateway.liveness.events == []


def test_no_handshake_no_place(tls_gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", tls_gateway.port), timeout=DEADLINE_S) as silent:
        assert silent.recv(1) == b""
    with Raw(tls_gateway.port).send(connect(v5=True)) as plain:
        wait_until(lambda: tls_gateway.door.counters.tls_failures == 2)
        plain.socket.close()


def test_mosquitto_pub_with_a_certificate(tls_gateway: Gateway, authority: Authority) -> None:
    if shutil.which("mosquitto_pub") is None:
        pytest.skip("mosquitto_pub is not installed (Debian: mosquitto-clients)")
    certificate, key = authority.issue("camera-7")
    command = ["mosquitto_pub", "-h", "localhost", "-p", str(tls_gateway.port), "--cafile", str(authority.file)]
    command += ["--cert", str(certificate), "--key", str(key), "-q", "1", "-t", "st/1/camera-7/events", "-m", "sealed"]
    subprocess.run(command, check=True, timeout=DEADLINE_S)
    assert tls_gateway.sink.payloads() == [b"sealed"]
