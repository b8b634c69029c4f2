"""HTTPS of the real program: what a browser, httpx and Python's own `ssl` get, and what the status says they took."""

import json
import socket
import ssl
from pathlib import Path

import httpx
import pytest

from crypto.tls.client import TlsClient
from tests.e2e.programs import START_S, Up, run, until, up, write_config
from tests.gateway.web.browser import Browser, chromium
from tests.support.certificates import Authority

HYBRID = "X25519MLKEM768"


def _config(folder: Path, authority: Authority, extra: str = "") -> Path:
    """MQTT and HTTPS under one certificate."""
    certificate, key = authority.issue("gateway")
    tls = f'tls_certificate = "{certificate}"\ntls_key = "{key}"\n{extra}'
    path = write_config(folder, f"[front_door]\nport = 0\n{tls}\n")
    path.write_text(path.read_text().replace("[api]\n", f"[api]\n{tls}\n"))
    return path


def _headers(gateway: Up) -> dict[str, str]:
    return {"Authorization": "Bearer " + gateway.token}


def test_a_device_and_its_operator_speak_the_hybrid_and_both_are_counted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    device, reading = tmp_path / "device", tmp_path / "one.json"
    reading.write_text('[{"n":"t","u":"Cel","v":4}]')
    with up(_config(tmp_path, authority)) as gateway:
        assert gateway.url.startswith("https://127.0.0.1:")
        code = json.loads(run("source", "invite", "s1", "--data", gateway.data, "--json").stdout)["code"]
        device.mkdir(mode=0o700)
        (device / "ca.pem").write_bytes(authority.file.read_bytes())
        run("device", "enroll", "--url", gateway.url, "--code", code, "--folder", device)
        sent = json.loads(run("device", "send", "--folder", device, "--kind", "reading", "--json", reading).stdout)
        assert (sent["acknowledged"], sent["tls_group"]) == (1, HYBRID)
        # a client of Python's ssl, which has no ML-KEM here, or an OpenSSL that has it
        plain = httpx.get(f"{gateway.url}/v1/status", verify=authority.client_context(), headers=_headers(gateway))
        assert plain.status_code == 200
        with httpx.Client(verify=TlsClient(authority.file), headers=_headers(gateway)) as client:  # type: ignore[arg-type]
            status = client.get(f"{gateway.url}/v1/status").json()
            metrics = client.get(f"{gateway.url}/metrics").text
        uses = {use["place"]: use for use in status["tls"]}
        assert uses["mqtt"] == {"place": "mqtt", "handshakes": {HYBRID: 1}, "failures": 0}
        assert uses["https"]["handshakes"][HYBRID] >= 3
        assert sum(uses["https"]["handshakes"].values()) == 4
        if not ssl.OPENSSL_VERSION_INFO >= (3, 5):
            assert uses["https"]["handshakes"]["x25519"] == 1
        assert f'sealtrail_tls_handshakes_total{{group="{HYBRID}",place="mqtt"}} 1.0' in metrics
        assert status["groups"] == {}  # the device has left


def test_the_commands_that_ask_a_gateway_speak_the_hybrid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    with up(_config(tmp_path, authority, "require_post_quantum = true")) as gateway:
        run("source", "plain", "old-1", "--data", gateway.data)
        refused = run("source", "revoke", "old-1", "--url", gateway.url, "--reason", "sold", "--token", "x", check=1)
        assert "certificate verify failed" in refused.stderr
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        refused = run("source", "revoke", "old-1", "--url", gateway.url, "--reason", "sold", "--token", "x", check=1)
        assert "the gateway refused (401)" in refused.stderr
        missing = run("receipt", "0", "--url", gateway.url, "--token", gateway.token, "-o", tmp_path / "r", check=1)
        assert "the gateway refused (404)" in missing.stderr


def test_where_it_is_required_nobody_gets_in_without(tmp_path: Path) -> None:
    if ssl.OPENSSL_VERSION_INFO >= (3, 5):
        pytest.skip("Python's own OpenSSL has the hybrid, so it is no classic client")
    authority = Authority(tmp_path)
    with up(_config(tmp_path, authority, "require_post_quantum = true")) as gateway:
        for port in (int(gateway.url.rpartition(":")[2]), int(gateway.where["mqtt_port"])):
            with socket.create_connection(("127.0.0.1", port), timeout=START_S) as plain:
                with pytest.raises(ssl.SSLError) as refused:
                    authority.client_context().wrap_socket(plain, server_hostname="localhost")
                assert refused.value.reason == "SSLV3_ALERT_HANDSHAKE_FAILURE"
            plain = socket.create_connection(("127.0.0.1", port), timeout=START_S)
            wrapped = TlsClient(authority.file).wrap_socket(plain, server_hostname="localhost")
            assert wrapped.group == HYBRID
            wrapped.close()


def test_a_stop_does_not_wait_for_strangers_in_their_handshake(tmp_path: Path) -> None:
    with up(_config(tmp_path, Authority(tmp_path))) as gateway:
        still = [socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2]))) for _ in range(3)]
        gateway.process.terminate()
        assert gateway.process.wait(START_S) == 0
        for each in still:
            each.close()
    assert "Traceback" not in gateway.log.read_text()


@pytest.mark.browser
def test_a_browser_shows_the_pages_over_the_hybrid(tmp_path: Path) -> None:
    program = chromium()
    if program is None:
        pytest.skip("no chromium here")
    authority = Authority(tmp_path)
    with up(_config(tmp_path, authority)) as gateway, Browser(program, tmp_path / "profile") as browser:
        browser.call("Security.setIgnoreCertificateErrors", ignore=True)  # it believes no authority of ours
        browser.open(f"{gateway.url}/login", 1440)
        assert browser.evaluate("location.protocol + document.querySelector('form') != null")
        assert browser.evaluate("window.isSecureContext")
        assert browser.errors == []

        def taken() -> dict[str, int]:
            with httpx.Client(verify=authority.client_context(), headers=_headers(gateway)) as client:
                uses = {use["place"]: use for use in client.get(f"{gateway.url}/v1/status").json()["tls"]}
            return dict(uses["https"]["handshakes"])

        assert until(lambda: taken().get(HYBRID, 0)) >= 1
