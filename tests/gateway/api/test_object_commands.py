"""The commands of partners and owners that the end-to-end round does not use, against a served site."""

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crypto.envelope.objects import seal
from crypto.errors import SealtrailError
from crypto.kem import KemPublicKey, KemSuite
from crypto.keys import Algorithm
from crypto.keystore.locked import Cost
from crypto.keystore.passphrase import VARIABLE, Passphrase
from crypto.keystore.store import KeyStore
from gateway.access import Scope
from gateway.commands import application
from gateway.objects.errors import ObjectError
from tests.gateway.api.server import Server
from tests.gateway.api.site import ORIGIN, Site


class Desk:
    """A partner at its desk, beside an owner: commands with the token of one or the other."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.url, self.folder, self.keys = server.url, folder, folder / "keys"
        self.ledger = server.site.ledger
        self.store = KeyStore(self.keys, Passphrase("x"), cost=Cost(1024, 1, 1))
        access = server.site.access
        self.owner = access.new_token("owner", frozenset({Scope.EXCHANGE}))
        self.partner = access.new_token("hospital", frozenset({Scope.PARTNER}))
        self._app = application()

    def run(self, *args: str | Path, token: str) -> str:
        """Standard output; errors of ours are raised as they would be shown."""
        done = CliRunner().invoke(self._app, [*map(str, args), "--url", self.url, "--token", token])
        if isinstance(done.exception, SealtrailError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    @property
    def own(self) -> tuple[str | Path, ...]:
        return "--sign", "sign", "--keys", self.keys

    def kem(self, name: str) -> KemPublicKey:
        key = self.store.public(name).key
        assert isinstance(key, KemPublicKey)
        return key


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv(VARIABLE, "x")
    site = Site(tmp_path / "site")
    with Server(site) as server:
        made = Desk(server, tmp_path)
        made.store.new("sign", Algorithm.ML_DSA_65, 1)
        made.store.new("kem", KemSuite.X_WING, 1)
        made.store.new("kem-2", KemSuite.ML_KEM_1024_P384, 1)
        request = tmp_path / "request.json"
        asked = ["partner", "request", "hospital", "--origin", ORIGIN, "--kem", "kem", "-o", request, *made.own]
        assert CliRunner().invoke(application(), list(map(str, asked))).exit_code == 0
        made.run("partner", "add", request, token=made.owner)
        yield made
    site.close()


def test_a_partner_changes_and_withdraws_its_kem_key(desk: Desk) -> None:
    desk.run("partner", "publish", "hospital", "--kem", "kem-2", *desk.own, token=desk.partner)
    shown = desk.run("partner", "show", "hospital", token=desk.partner)
    assert "ml-dsa-65" in shown
    assert [line.split()[0] for line in shown.splitlines()[1:]] == ["x-wing", "ml-kem-1024-p384"]
    assert desk.kem("kem-2").kid.hex() + "  present" in shown
    desk.run("partner", "withdraw", "hospital", "--reason", "laptop lost", *desk.own, token=desk.partner)
    found = json.loads(desk.run("partner", "show", "hospital", "--json", token=desk.owner))
    assert (found["current"], found["kem_keys"][-1]["reason"]) == (None, "laptop lost")
    with pytest.raises(ObjectError, match="no present KEM key"):
        desk.run("partner", "withdraw", "hospital", "--reason", "again", *desk.own, token=desk.partner)
    plain = desk.folder / "plain"
    plain.write_bytes(b"x")
    with pytest.raises(SealtrailError, match="withdrawn"):
        desk.run("seal", plain, "--to", "hospital", "-o", desk.folder / "sealed", token=desk.owner)


def test_nobody_seals_to_a_partner_whose_signature_key_was_revoked(desk: Desk) -> None:
    plain, sealed = desk.folder / "plain", desk.folder / "sealed"
    plain.write_bytes(b"x")
    key = desk.store.public("sign").key.kid
    asyncio.run(desk.ledger.submit("identities.revoke", b"hospital", key, b"0", b"stolen"))
    with pytest.raises(SealtrailError, match="signature key was revoked"):
        desk.run("seal", plain, "--to", "hospital", "-o", sealed, token=desk.owner)
    assert not sealed.exists()


def test_a_partner_refuses_an_object_and_says_why(desk: Desk) -> None:
    sealed = desk.folder / "object.sealed"
    target = io.BytesIO()
    seal(io.BytesIO(b"content"), target, [desk.kem("kem")])
    sealed.write_bytes(target.getvalue())
    name = json.loads(desk.run("objects", "put", sealed, "--json", token=desk.owner))["id"]
    desk.run("objects", "grant", name, "--to", "hospital", token=desk.owner)
    assert name in desk.run("objects", "list", token=desk.partner)
    desk.run("objects", "receipt", name, "--as", "hospital", "--refused", "not ours", *desk.own, token=desk.partner)
    assert "refused: not ours" in desk.run("objects", "grants", name, token=desk.owner)
    # What does not open is not signed for as opened.
    spoilt = bytearray(target.getvalue())
    spoilt[-1] ^= 1
    sealed.write_bytes(spoilt)
    with pytest.raises(SealtrailError):
        desk.run("objects", "receipt", name, "--as", "hospital", "--file", sealed, *desk.own, token=desk.partner)
    assert "opened" not in desk.run("objects", "grants", name, token=desk.owner)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": "sealtrail-partner/v1"}', b"\xff", b"[" * 100_000])
def test_what_is_no_request_is_one_line(desk: Desk, content: bytes) -> None:
    (desk.folder / "other").write_bytes(content)
    with pytest.raises(ObjectError):
        desk.run("partner", "add", desk.folder / "other", token=desk.owner)


def test_answers_that_are_refused_are_told(desk: Desk) -> None:
    with pytest.raises(ObjectError, match="404"):
        desk.run("objects", "get", "00" * 32, "-o", desk.folder / "none", token=desk.partner)
    with pytest.raises(ObjectError, match="403"):
        desk.run("objects", "revoke", "00" * 32, "hospital", "--reason", "x", token=desk.partner)
    with pytest.raises(ObjectError, match="cannot read"):
        desk.run("objects", "put", desk.folder / "nothing", token=desk.owner)
    desk.url = "http://127.0.0.1:1"
    with pytest.raises(ObjectError, match="cannot reach"):
        desk.run("objects", "list", token=desk.owner)


def test_what_a_receipt_is_asked_of_is_no_object(desk: Desk) -> None:
    asked = ("objects", "receipt", "no-id", "--as", "hospital", *desk.own)
    with pytest.raises(ObjectError, match="64 hex digits"):
        desk.run(*asked, "--refused", "not ours", token=desk.partner)
    with pytest.raises(SealtrailError, match="cannot read"):
        desk.run(*asked, "--file", desk.folder / "nothing", token=desk.partner)
