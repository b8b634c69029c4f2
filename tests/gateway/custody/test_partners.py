"""Partners of the configuration, and the client of their gateways against a real HTTP server."""

import asyncio
import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config import Config, ConfigError, load_config
from gateway.custody import partners
from gateway.custody.errors import PartnerAwayError, PartnerError, PartnerTokenError
from gateway.custody.partners import Partner, Partners, gln_of
from gateway.custody.settings import PartnerConfig
from tests.support.certificates import Authority

MAKER, WHOLESALER = "9520002000002", "9520004000000"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = self.server.answers.get(self.path, (404, b'{"detail": "no such thing"}'))  # type: ignore[attr-defined]
        self.server.seen.append(self.headers["Authorization"])  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    made: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    made.answers, made.seen = {}, []
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("secret-1\n")
    file.chmod(0o600)
    return file


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"a\nb", b"\x00"])
def test_a_token_file_without_a_token_says_so(content: bytes, token: Path) -> None:
    token.write_bytes(content)
    with pytest.raises(PartnerTokenError, match=r"the token for MakerMSP: .* has no token of one line; write the one"):
        _ = Partner("MakerMSP", frozenset({MAKER}), "http://127.0.0.1:1", token).headers


def _partner(server: Any, token: Path) -> Partner:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    return Partner("MakerMSP", frozenset({MAKER}), url, token)


def test_an_answer_comes_with_the_token_as_the_file_has_it(server: Any, token: Path) -> None:
    server.answers["/v1/x"] = (200, b"{}")
    partner = _partner(server, token)
    assert asyncio.run(partner.get("/v1/x")).body == b"{}"
    token.write_text("secret-2")
    assert asyncio.run(partner.get("/v1/x")).status == 200
    assert server.seen == ["Bearer secret-1", "Bearer secret-2"]


def test_a_refusal_says_what_the_partner_said(server: Any, token: Path) -> None:
    server.answers["/v1/x"] = (422, json.dumps({"detail": "bad\nserial"}).encode())
    server.answers["/v1/y"] = (503, b"later")
    partner = _partner(server, token)
    with pytest.raises(PartnerError, match=r"refused \(422\): bad\Wserial") as refused:
        asyncio.run(partner.get("/v1/x"))
    assert not isinstance(refused.value, PartnerAwayError)
    with pytest.raises(PartnerAwayError, match="503"):
        asyncio.run(partner.get("/v1/y"))
    assert asyncio.run(partner.request("GET", "/v1/z")).status == 404


def test_too_much_is_not_read(server: Any, token: Path) -> None:
    server.answers["/v1/x"] = (200, bytes(5000))
    with pytest.raises(PartnerError, match="more than 4,000 bytes"):
        asyncio.run(_partner(server, token).get("/v1/x", most=4000))


def test_a_partner_that_is_away(server: Any, token: Path) -> None:
    partner = _partner(server, token)
    server.shutdown()
    server.server_close()
    with pytest.raises(PartnerAwayError, match="cannot reach the gateway of MakerMSP"):
        asyncio.run(partner.get("/v1/x"))


class _Drip(socketserver.BaseRequestHandler):
    """Answers a byte now and then: each read is in time, and the answer never ends."""

    def handle(self) -> None:
        self.request.recv(65536)
        self.request.sendall(self.server.begins)  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):
            while not self.server.over.wait(0.02):  # type: ignore[attr-defined]
                self.request.sendall(b"x")
        self.server.gone.set()  # type: ignore[attr-defined]


@pytest.mark.parametrize("begins", [b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n"])
def test_a_partner_that_answers_a_byte_at_a_time(
    server: Any, token: Path, monkeypatch: pytest.MonkeyPatch, begins: bytes
) -> None:
    """It has its time, and no thread of others; the one that it had is free again."""
    monkeypatch.setattr(partners, "_THREADS", ThreadPoolExecutor(1))
    server.answers["/v1/x"] = (200, b"{}")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Drip) as drip:
        made: Any = drip
        made.begins, made.over, made.gone = begins, threading.Event(), threading.Event()
        thread = threading.Thread(target=drip.serve_forever, args=(0.02,))
        thread.start()
        url = f"http://127.0.0.1:{drip.server_address[1]}"

        async def ask() -> None:
            slow = Partner("SlowMSP", frozenset(), url, token)
            with pytest.raises(PartnerAwayError, match="no answer of SlowMSP"):
                await slow.request("GET", "/v1/x", timeout_s=0.3)
            assert made.gone.wait(5)
            assert (await _partner(server, token).get("/v1/x", timeout_s=5)).status == 200

        try:
            asyncio.run(ask())
        finally:
            made.over.set()
            drip.shutdown()
            thread.join()


def test_a_token_that_others_may_read_is_not_used(server: Any, token: Path) -> None:
    token.chmod(0o644)
    with pytest.raises(PartnerError, match="may be read by others"):
        asyncio.run(_partner(server, token).get("/v1/x"))
    assert server.seen == []


def test_a_partner_with_an_authority_of_its_own(server: Any, token: Path, tmp_path: Path) -> None:
    """Over TLS, and refused where another authority signed."""
    import ssl

    authority, other = Authority(tmp_path), Authority(tmp_path, "another authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("partner"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.answers["/v1/x"] = (200, b"{}")
    url = f"https://127.0.0.1:{server.server_address[1]}"
    config = {"organisation": "MakerMSP", "url": url, "token_file": token}
    (right,) = Partners([PartnerConfig.model_validate(config | {"tls_ca": authority.file})])
    (wrong,) = Partners([PartnerConfig.model_validate(config | {"tls_ca": other.file})])
    assert asyncio.run(right.get("/v1/x")).status == 200
    with pytest.raises(PartnerAwayError):
        asyncio.run(wrong.get("/v1/x"))
    assert len(server.seen) == 1


def test_partners_are_found_by_organisation_and_by_gln(token: Path) -> None:
    known = Partners([
        PartnerConfig(organisation="MakerMSP", parties=[MAKER], url="https://maker.example/", token_file=token),
    ])  # fmt: skip
    assert known.of("MakerMSP").url == "https://maker.example"
    for uri in (MAKER, f"https://id.gs1.org/414/{MAKER}", f"https://id.gs1.org/414/{MAKER}/254/dock-3",
                f"https://id.gs1.org/417/{MAKER}"):  # fmt: skip
        assert known.at(uri) is known.of("MakerMSP")
    assert known.at(f"https://id.gs1.org/414/{WHOLESALER}") is None
    assert gln_of("https://id.gs1.org/01/09520002000019") == ""
    with pytest.raises(PartnerError, match="no partner here"):
        known.of("NobodyMSP")


def _config(**partner: Any) -> dict[str, Any]:
    return {
        "origin": "a.example/b", "data": "d",
        "partners": [{"organisation": "M", "url": "https://m.example", "token_file": "t"} | partner],
    }  # fmt: skip


@pytest.mark.parametrize(("partner", "said"), [
    ({"parties": ["9520002000003"]}, "ends with 2"),
    ({"url": "http://m.example"}, "plain http goes to this machine only"),
    ({"url": "https://u:p@m.example"}, "without a password"),
    ({"organisation": "a b"}, "pattern"),
    ({"extra": 1}, "Extra inputs"),
])  # fmt: skip
def test_a_section_that_cannot_be_right(partner: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Config.model_validate(_config(**partner))


def test_no_gln_belongs_to_two() -> None:
    first, second = _config(parties=[MAKER]), _config(organisation="N", parties=[MAKER])
    first["partners"] += second["partners"]
    with pytest.raises(ValidationError, match=f"GLN {MAKER} stands there twice: of M and of N"):
        Config.model_validate(first)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    head = 'origin = "a.example/b"\ndata = "d"\n[[partners]]\norganisation = "M"\nurl = "https://m.example"\n'
    file.write_text(head + 'token_file = "tokens/m"\n')
    assert load_config(file).partners[0].token_file == tmp_path / "tokens" / "m"
    file.write_text(head)
    with pytest.raises(ConfigError, match=r"partners\.0\.token_file"):
        load_config(file)
