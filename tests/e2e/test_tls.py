"""TLS at the front door: devices believe only the gateway's certificate authority, and log in by certificate."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.programs import run, until, up, write_config
from tests.support.certificates import Authority


def _config(folder: Path, authority: Authority) -> Path:
    certificate, key = authority.issue("gateway")
    front = f'tls_certificate = "{certificate}"\ntls_key = "{key}"\ntls_client_ca = "{authority.file}"'
    return write_config(folder, f"[front_door]\nport = 0\n{front}")


def test_a_device_sends_over_tls_and_refuses_another_authority(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    device, reading = tmp_path / "device", tmp_path / "one.json"
    reading.write_text('[{"n":"t","u":"Cel","v":4}]')
    with up(_config(tmp_path, authority)) as gateway:
        code = json.loads(run("source", "invite", "s1", "--data", gateway.data, "--json").stdout)["code"]
        run("device", "enroll", "--url", gateway.url, "--code", code, "--folder", device)
        shutil.copy(stranger.file, device / "ca.pem")
        run("device", "send", "--folder", device, "--kind", "reading", "--drain", "2", reading, check=1)
        shutil.copy(authority.file, device / "ca.pem")
        run("device", "send", "--folder", device, "--kind", "reading", reading)
        status = json.loads(run("device", "status", "--folder", device, "--json").stdout)
    assert status["acknowledged"] == status["recorded"] == 2


@pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="mosquitto_pub is not installed (mosquitto-clients)")
def test_a_plain_source_logs_in_with_its_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("cert-1")
    with up(_config(tmp_path, authority)) as gateway:
        run("source", "plain", "cert-1", "--data", gateway.data)
        files = ["--cafile", str(authority.file), "--cert", str(certificate), "--key", str(key)]
        topic = ["-q", "1", "-t", "st/1/cert-1/plain/reading", "-m", '[{"n":"t","u":"Cel","v":4}]']
        where = ["-h", "localhost", "-p", str(gateway.where["mqtt_port"])]
        subprocess.run(["mosquitto_pub", *where, *files, *topic], check=True, timeout=20)
        listed = until(lambda: json.loads(run("records", "--data", gateway.data, "--json").stdout)["records"])
    assert [record["source"] for record in listed] == ["cert-1"]
