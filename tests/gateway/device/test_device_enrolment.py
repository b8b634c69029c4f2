"""Enrolment against a real HTTP server that checks the proof of possession for real, and the command line."""

import base64
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from device_support import GATEWAY_KEY, ORIGIN, PASSWORD, SOURCE, Endpoint5, Judge, device_key, wait_until
from typer.testing import CliRunner

from chain.event import Event
from crypto import cbor, labels
from crypto.errors import FormatError, SignatureError
from crypto.keys import Algorithm, PrivateKey, PublicKey, algorithm_named
from gateway.device.cli import app
from gateway.device.device import Device, status_of
from gateway.device.enrolment import enrol
from gateway.device.errors import DeviceError, EnrolmentError
from gateway.device.identity import KEY_FILE, PASSWORD_FILE, load_identity

CODE = "abcde-fghij"
READING = b'[{"n":"fridge","u":"Cel","v":4.5}]'


class Gateway:
    """Enrolment as docs/formats/device.md says. `answer` replaces the good answer where a test sets it."""

    def __init__(self, mqtt_port: int = 1883) -> None:
        self.mqtt_port, self.answer, self.enrolled = mqtt_port, None, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, kind, content = outer.enrol(self.path, self.rfile.read(int(self.headers["content-length"])))
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def enrol(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        if self.answer is not None:
            return self.answer
        request = json.loads(body)
        if request["code"] != CODE:
            return self._problem(403, "this code was used already or never given out")
        if path == "/v1/enrol/offer":
            return 200, "application/json", json.dumps({"source": SOURCE, "origin": ORIGIN}).encode()
        key = PublicKey(algorithm_named(request["algorithm"]), base64.b64decode(request["public_key"]))
        signed = cbor.encode([SOURCE, ORIGIN, request["algorithm"], key.raw])
        try:
            key.verify(base64.b64decode(request["proof"]), signed, labels.ENROL)
        except SignatureError as e:
            return self._problem(403, f"the proof does not hold: {e}")
        assert path == "/v1/enrol"
        self.enrolled.append(key)
        return 200, "application/json", json.dumps(self.good()).encode()

    def good(self) -> dict[str, Any]:
        pinned = {"algorithm": "ed25519", "public_key": base64.b64encode(GATEWAY_KEY.public.raw).decode()}
        mqtt = {"host": "127.0.0.1", "port": self.mqtt_port, "tls": False}
        return {
            "source": SOURCE, "origin": ORIGIN, "mqtt": mqtt, "password": PASSWORD, "gateway_key": pinned,
            "log_vkeys": ["gateway.test/log+00000000+AAAA"], "unknown to this version": 1,
        }  # fmt: skip

    @staticmethod
    def _problem(status: int, detail: str) -> tuple[int, str, bytes]:
        problem = {"type": "about:blank", "title": "Forbidden", "status": status, "detail": detail}
        return status, "application/problem+json", json.dumps(problem).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    running = Gateway()
    yield running
    running.close()


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_enrolment_pins_the_gateway_and_keeps_secrets_private(
    gateway: Gateway, tmp_path: Path, algorithm: Algorithm
) -> None:
    folder = tmp_path / "new" / "device"
    identity = enrol(gateway.url, CODE, folder, algorithm)
    assert gateway.enrolled == [identity.key.public] == [device_key(folder, algorithm)]
    assert identity.profile == load_identity(folder).profile
    assert (identity.source, identity.origin, identity.password) == (SOURCE, ORIGIN, PASSWORD)
    assert identity.gateway_key == GATEWAY_KEY.public
    assert PASSWORD not in repr(identity)
    assert all((folder / name).stat().st_mode & 0o077 == 0 for name in (KEY_FILE, PASSWORD_FILE))
    with pytest.raises(DeviceError, match="already"):
        enrol(gateway.url, CODE, folder, algorithm)
    assert Device(folder).stop(0.0).boot == 1


def test_a_refusal_shows_the_gateways_words_and_a_second_code_works(gateway: Gateway, tmp_path: Path) -> None:
    folder = tmp_path / "device"
    with pytest.raises(EnrolmentError, match=r"\(403\): this code was used already or never given out"):
        enrol(gateway.url, "wrong", folder)
    first = device_key(folder)
    assert enrol(gateway.url, CODE, folder).key.public == first


def test_a_proof_for_another_name_does_not_serve(gateway: Gateway, tmp_path: Path) -> None:
    from gateway.device.enrolment import enrolment_request

    stolen = enrolment_request(CODE, "another", ORIGIN, PrivateKey.generate(Algorithm.ED25519))
    assert gateway.enrol("/v1/enrol", json.dumps(stolen).encode())[0] == 403


@pytest.mark.parametrize(
    "change",
    [
        {"source": "../etc"},
        {"source": 7},
        {"mqtt": {"host": "h", "port": 0, "tls": False}},
        {"gateway_key": {"algorithm": "rsa", "public_key": "AAAA"}},
        {"gateway_key": {"algorithm": "ed25519", "public_key": "AAAA"}},
        {"password": ""},
        {"origin": ""},
    ],
)
def test_an_answer_without_sense_leaves_nothing_enrolled(
    gateway: Gateway, tmp_path: Path, change: dict[str, Any]
) -> None:
    gateway.answer = (200, "application/json", json.dumps(gateway.good() | change).encode())
    with pytest.raises(EnrolmentError):
        enrol(gateway.url, CODE, tmp_path / "device")
    with pytest.raises(DeviceError, match="no enrolled device"):
        load_identity(tmp_path / "device")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, "text/html", b"<html>"), "cannot be understood"),
        ((500, "text/plain", b"oops"), "no reason given"),
        ((200, "application/json", b" " * 300_000), "is this a gateway"),
        ((400, "application/problem+json", b'{"detail":"a\\u001b[31mb"}'), r"a \[31mb"),
    ],
)
def test_strange_answers(gateway: Gateway, tmp_path: Path, answer: tuple[int, str, bytes], words: str) -> None:
    gateway.answer = answer
    with pytest.raises(EnrolmentError, match=words):
        enrol(gateway.url, CODE, tmp_path / "device")


def test_no_gateway_there(tmp_path: Path) -> None:
    with pytest.raises(EnrolmentError, match=r"cannot enrol at http://127\.0\.0\.1:9/v1/enrol"):
        enrol("http://127.0.0.1:9", CODE, tmp_path / "device")


def test_the_command_line_enrols_sends_and_tells(tmp_path: Path) -> None:
    folder, shell = tmp_path / "device", CliRunner()
    judges: list[Judge] = []
    with Endpoint5(lambda payload: (0, judges[0].take(payload))) as endpoint:
        gateway = Gateway(endpoint.port)
        try:
            done = _run(shell, "enroll", "--url", gateway.url, "--code", CODE, "--folder", str(folder), "--json")
        finally:
            gateway.close()
        assert json.loads(done)["source"] == SOURCE
        judges.append(Judge(device_key(folder)))
        common = ["--folder", str(folder), "--kind", "reading"]
        when = "2026-01-31T12:00:00.5+01:00"
        pretty = json.dumps(json.loads(READING), indent=2).encode()
        _run(shell, "send", *common, "--sensed", when, "-", stdin=pretty + b"\n")
        (tmp_path / "lines").write_bytes(READING + b"\n\n" + READING)
        told = json.loads(_run(shell, "send", *common, "--json", str(tmp_path / "lines")))
        assert (told["recorded"], told["acknowledged"], told["buffered"]) == (3, 3, 0)
    assert judges[0].payloads() == [pretty, READING, READING]
    first = Event.decode(judges[0].events[1, 0])
    assert (first.kind, first.schema, first.sensed_us) == (1, 1, 1_769_857_200_500_000)
    assert "3 acknowledged" in _run(shell, "status", "--folder", str(folder))
    refused = shell.invoke(app, ["send", *common, "--sensed", "2026-01-31", "-"], input=READING)
    assert isinstance(refused.exception, FormatError)
    half = shell.invoke(app, ["send", *common, "-"], input=READING + b"\nnot json")
    assert "line 2" in str(half.exception)
    assert status_of(folder).recorded == 3
    alone = shell.invoke(app, ["send", *common, "--drain", "0", "-"], input=READING)
    assert "1 events and 1 seals are not acknowledged yet" in str(alone.exception)


def _run(shell: CliRunner, *arguments: str, stdin: bytes | None = None) -> str:
    result = shell.invoke(app, arguments, input=stdin)
    assert result.exception is None, (result.exception, result.output)
    return str(result.stdout)


def test_run_reads_lines_as_they_come_and_ends_in_good_order(gateway: Gateway, tmp_path: Path) -> None:
    folder = tmp_path / "device"
    judges: list[Judge] = []
    with Endpoint5(lambda payload: (0, judges[0].take(payload))) as endpoint:
        gateway.mqtt_port = endpoint.port
        enrol(gateway.url, CODE, folder)
        judges.append(Judge(device_key(folder)))
        program = "from gateway.device.cli import app; app()"
        arguments = ["run", "--folder", folder, "--kind", "reading", "--json", "--forever"]
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments], stdin=-1, stdout=-1, stderr=subprocess.DEVNULL
        )
        assert process.stdin is not None
        process.stdin.write(READING + b"\n" + READING + b"\nnonsense\n" + b"9" * 200_000 + b"\n" + READING)
        process.stdin.flush()
        wait_until(lambda: len(judges[0].events) == 2, "lines are sent while input is open")
        process.stdin.close()
        wait_until(lambda: len(judges[0].events) == 3, "the last line needs no newline")
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        told = json.loads(process.stdout.read())
        process.stdout.close()
        assert process.wait() == 1  # two lines were skipped, and that is an error in the end
    assert (told["recorded"], told["acknowledged"], told["buffered"], told["skipped"]) == (3, 3, 0, 2)
    judges[0].check_whole()


def test_help_names_every_command() -> None:
    text = _run(CliRunner(), "--help")
    assert all(name in text for name in ("enroll", "send", "run", "status"))
