"""Every command that asks a running gateway, where that cannot be: one line that says what is wrong, and no traceback.

The addresses, tokens and answers are real ones: a port where nobody listens, a proxy's page, problem details.
"""

import json
import socket
import sys
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typer.main import get_command

import sealtrail
from chain.remote import MAX_DETAIL, Remote, bearer, detail_of
from crypto.errors import SealtrailError
from crypto.tls.client import for_httpx
from gateway.commands import application

EVENT = {
    "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
    "type": "ObjectEvent", "eventTime": "2026-03-01T08:00:00Z", "eventTimeZoneOffset": "+00:00",
    "epcList": ["https://id.gs1.org/01/09521234543213/21/1"], "action": "OBSERVE", "bizStep": "shipping",
}  # fmt: skip
REQUEST = {"format": "sealtrail-partner/v1", "partner": {"name": "hospital"}, "kem": {}}
OWN = "--as hospital --sign key --keys {0}/keys"
PARTNER = "--sign key --keys {0}/keys"
COMMANDS = (
    "receipt 0 -o {0}/receipt",
    "receipt 0 -o {0}/receipt --tlog-proof",
    "seal {0}/event --to hospital -o {0}/sealed",
    "grant {0}/event --to hospital -o {0}/grant",
    "trace 952123454321000018",
    "erase --subject somebody",
    "source revoke thing --reason sold",
    "shipment policies",
    "shipment open --policy refrigerated --recipient WholesalerMSP --logger a=b --unit 952123454321000018",
    "shipment show 00",
    "shipment list",
    "shipment explain 00 --alarm 0 --code battery --text changed",
    "shipment release 00 --reason stable",
    "shipment accept 00",
    "shipment close 00",
    "shipment accept 00",
    "alarms list",
    "alarms acknowledge 1 --by me --reason seen",
    "keys migrate --to ml-dsa-65",
    "objects put {0}/event",
    "objects list",
    "objects get 00 -o {0}/object",
    "objects grant 00 --to hospital",
    "objects grants 00",
    f"objects receipt 00 {OWN} --refused no",
    "objects revoke 00 hospital --reason no",
    "partner add {0}/request",
    "partner show hospital",
    f"partner publish hospital --kem kem {PARTNER}",
    f"partner withdraw hospital --reason lost {PARTNER}",
    "exceptions list",
    "exceptions show 1",
    "exceptions answer 1 --text yes",
    "exceptions resolve 1 --as corrected",
    "custody list",
    "custody retry 1",
    "custody close 09521234543213 7",
    "recall start 1 --class 1 --reason bad",
    "recall drill 1",
    "recall status",
    "recall answer 1",
    "recall lift 1 --reason false",
    "recall open-branch 1 --supplier MakerMSP -o {0}/branch",
    "epcis capture {0}/event --json",
)
OTHERS = {"device enroll", "device rotate"}  # devices ask without a token, in gateway/device
PAGE = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\n\x1b[2J</html>"


class _Answers(BaseHTTPRequestHandler):
    """What the first part of the path says."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.path.split("/")[1]
        problem = json.dumps({"title": "No", "detail": "expected this,\nnot \x1b[31mthat"}).encode()
        code, body = {"problem": (422, problem), "page": (502, PAGE), "other": (200, PAGE), "list": (200, b"[]"),
                      "empty": (200, b"{}")}[kind]  # fmt: skip
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def answering() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("asking")
    (made / "event").write_text(json.dumps(EVENT))
    (made / "request").write_text(json.dumps(REQUEST))
    return made


@pytest.fixture(scope="module")
def nobody() -> Iterator[str]:
    with socket.socket() as taken:  # bound, but it does not listen
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@cache
def whole() -> Any:
    """The command line, put together once for all tests: that takes longer than what they do with it."""
    return get_command(application())


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    whole()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.commands.application", lambda wanted: whole())
        patch.setattr("gateway.capture.remote.TRIES", 1)
        authorities = cache(for_httpx)  # reading them takes a tenth of a second, each time
        patch.setattr("crypto.tls.client.for_httpx", authorities)
        patch.setattr("gateway.capture.remote.for_httpx", authorities)
        yield


class Shell:
    def __init__(self, command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        self._asked, self._patch, self._output = command.format(folder).split(), monkeypatch, capsys

    def refused(self, url: str, token: str = "token-1") -> str:
        """The line that the command ends with; anything but our own error comes through as it is."""
        self._patch.setattr(sys, "argv", ["sealtrail", *self._asked, "--url", url, "--token", token])
        with pytest.raises(SystemExit) as ended:
            sealtrail.main()
        said = self._output.readouterr()
        assert (ended.value.code, said.out) == (1, "")
        assert said.err.startswith("sealtrail: ")
        assert said.err.endswith("\n")
        assert said.err[:-1].isprintable(), said.err
        assert "\N{LATIN SMALL LETTER U WITH DIAERESIS}" not in said.err
        return str(said.err)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_gateway_that_cannot_be_asked_is_one_line(
    command: str, folder: Path, answering: str, nobody: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    shell = Shell(command, folder, monkeypatch, capsys)
    for url in ("http://[", nobody):
        assert "cannot reach" in shell.refused(url)
    assert "the token cannot be one" in (said := shell.refused(answering + "/problem", "secret-\u00fc"))
    assert "secret" not in said
    said = shell.refused(answering + "/problem")
    assert "the gateway refused (422): expected this, not \N{REPLACEMENT CHARACTER}[31mthat" in said
    assert "the gateway refused (502): <html> <head><title>502 Bad Gateway" in shell.refused(answering + "/page/")


@pytest.mark.parametrize("command", ["custody list", "epcis capture {0}/event --json"])
def test_what_is_no_url_or_token_is_one_line(
    command: str, folder: Path, answering: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(command, folder, monkeypatch, capsys)
    for url in ("http://127.0.0.1:port", "nonsense", "http://x\x01y", f"http://{'a' * 70}.example", "ftp://x", ""):
        assert "cannot reach" in shell.refused(url)
    for token in ("secret\n", "secret\r\nX-Other: 1", "two words", "\x00"):
        assert "the token cannot be one" in shell.refused(answering + "/problem", token)


@pytest.mark.parametrize("kind", ["other", "list", "empty"])
@pytest.mark.parametrize(
    "command",
    ["shipment list", "objects list", "keys migrate --to ml-dsa-65", "exceptions list", "seal {0}/event --to us -o x"],
)
def test_what_is_no_gateway_is_one_line(
    kind: str, command: str, folder: Path, answering: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    said = Shell(command, folder, monkeypatch, capsys).refused(f"{answering}/{kind}")
    assert "answers what no gateway says" in said


def test_no_command_that_asks_was_left_out() -> None:
    tried = {name for name in _asking(whole(), "") if any(f"{one} ".startswith(f"{name} ") for one in COMMANDS)}
    assert set(_asking(whole(), "")) - tried == OTHERS


def _asking(command: Any, name: str) -> Iterator[str]:
    """The names of all commands that take --url."""
    if any(parameter.name == "url" for parameter in command.params):
        yield name
    for word, one in getattr(command, "commands", {}).items():
        yield from _asking(one, f"{name} {word}".lstrip())


def test_url_and_token_come_from_the_environment(
    folder: Path, answering: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEALTRAIL_URL", answering + "/problem")
    monkeypatch.setenv("SEALTRAIL_TOKEN", "token-1")
    for command in COMMANDS:
        wanted = any(command.startswith(name) for name in ("receipt", "seal", "grant", "trace", "erase", "keys"))
        monkeypatch.setattr(sys, "argv", ["sealtrail", *command.format(folder).split()])
        if not wanted:  # those also work on a data directory, or need no gateway at all
            with pytest.raises(SystemExit):
                sealtrail.main()
            assert "the gateway refused (422)" in capsys.readouterr().err, command


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"detail": "as it is"}', "as it is"),
        (b'{"detail": ["no text"]}', '{"detail": ["no text"]}'),
        (b"[" * 5000, "[" * MAX_DETAIL),
        (b"[]", "[]"),
        (b"\xff\x00late", "\N{REPLACEMENT CHARACTER}" * 2 + "late"),
        (b"", "no reason was given"),
        (b'{"detail": "' + b"x" * 100_000 + b'"}', '{"detail": "' + "x" * (MAX_DETAIL - 12)),
        (b'{"detail": "' + b"y" * 1000 + b'"}', "y" * MAX_DETAIL),
    ],
)
def test_the_words_of_a_refusal_are_bounded_and_printable(body: bytes, said: str) -> None:
    assert detail_of(body) == said


def test_without_a_token_none_is_sent() -> None:
    assert bearer("", SealtrailError) == {}
    assert bearer("a", SealtrailError) == {"Authorization": "Bearer a"}


def test_an_answer_without_end_is_given_up(answering: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chain.remote.MAX_ANSWER_BYTES", len(PAGE) - 1)
    with pytest.raises(SealtrailError, match=f"more than {len(PAGE) - 1} bytes"):
        Remote(answering + "/other", "", SealtrailError).fetch("GET", "/x")
