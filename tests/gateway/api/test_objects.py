"""Sealed objects over REST, on a real socket with a real store, log and ledger: a whole round, and what is refused."""

import asyncio
import base64
import io
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from chain.site import SiteReader
from chain.verify import Outcome, verify_receipt
from chaincode.exchange import To, passing_on
from chaincode.exchange_records import DeliveryStatement, Verdict
from crypto import labels
from crypto.envelope.header import finder
from crypto.envelope.objects import inspect, make_grant, open_object, seal
from crypto.kem import KemPrivateKey, KemPublicKey, KemSuite
from gateway.access import Scope
from gateway.objects.errors import AlteredObjectError
from gateway.objects.parts import SOURCE
from tests.contract_suite.actors import Actor
from tests.contract_suite.parties import Partner
from tests.gateway.api.server import Server
from tests.gateway.api.site import ORIGIN, Site

CONTENT = b"certificate of analysis, lot L2611A. " * 2000


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def sealed(*to: KemPublicKey, content: bytes = CONTENT) -> bytes:
    target = io.BytesIO()
    seal(io.BytesIO(content), target, to)
    return target.getvalue()


class House:
    """A served site, its owner, and partners who came by REST."""

    def __init__(self, server: Server) -> None:
        self.server, self.site = server, server.site
        self.owner = server.client(Scope.EXCHANGE)

    def client(self, name: str) -> httpx.Client:
        token = self.site.access.new_token(name, frozenset({Scope.PARTNER}))
        client = self.server.client()
        client.headers["Authorization"] = f"Bearer {token}"
        return client

    def partner(self, name: str) -> tuple[Partner, httpx.Client]:
        """Enrolled by the owner with what the partner signed; it publishes its KEM key itself."""
        made, client = Partner(Actor(name, ORIGIN, role="partner")), self.client(name)
        public = made.actor.key.public
        body = {"name": name, "algorithm": str(public.algorithm), "public_key": text(public.raw),
                "possession": text(made.actor.possession())}  # fmt: skip
        assert self.owner.post("/v1/partners", json=body).status_code == 204
        assert client.post(f"/v1/partners/{name}/keys", json=published(made)).status_code == 204
        return made, client

    def put(self, data: bytes) -> dict[str, Any]:
        answer = self.owner.post("/v1/objects", content=data)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def grant(self, name: str, *handles: str, status: int = 204) -> str:
        answer = self.owner.post(f"/v1/objects/{name}/grants", json={"recipients": list(handles)})
        assert answer.status_code == status, answer.text
        return answer.text


def published(partner: Partner, count: int = 0) -> dict[str, str]:
    _, suite, raw, signature = partner.publication(count)
    return {"suite": suite.decode(), "public_key": text(raw), "signature": text(signature)}


def receipt(partner: Partner, data: bytes, name: str, verdict: Verdict = Verdict.OPENED, reason: str = "") -> Any:
    said = DeliveryStatement(bytes.fromhex(name), sha256(data).digest(), partner.handle, verdict, reason, 7)
    statement, signature = partner.receipt(said)
    return {"statement": text(statement), "signature": text(signature)}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    site = Site(tmp_path / "site")
    with Server(site) as server:
        yield House(server)
    site.close()


def files(house: House) -> list[Path]:
    return [path for path in (house.site.folder.root / "objects").rglob("*") if path.is_file()]


def test_the_whole_round_with_two_partners(house: House) -> None:
    (a, at_a), (b, at_b) = house.partner("partner-a"), house.partner("partner-b")
    shown = house.owner.get("/v1/partners/partner-a/keys").json()
    assert base64.b64decode(shown["current"]["public_key"]) == a.kem.public.raw
    data = sealed(a.kem.public)
    kept = house.put(data)
    assert (kept["digest"], kept["size"], kept["recipients"]) == (
        sha256(data).hexdigest(), len(data), [a.kem.public.kid.hex()],
    )  # fmt: skip
    assert house.put(data) == kept  # the same again is what is there
    name = kept["id"]
    house.grant(name, "partner-a")
    # A fetches, opens and signs for it.
    got = at_a.get(f"/v1/objects/{name}")
    assert got.content == data
    opened = io.BytesIO()
    found = open_object(io.BytesIO(got.content), opened, finder([a.kem]))
    assert (opened.getvalue(), found.digest.hex()) == (CONTENT, kept["digest"])
    assert at_a.post(f"/v1/objects/{name}/receipt", json=receipt(a, data, name)).status_code == 204
    # A passes it on to B, who opens by the grant file that the gateway keeps for it.
    file = make_grant(io.BytesIO(data), b.kem.public, finder([a.kem]))
    to = To("partner-b", b.kem.public.kid, file.grant_digest)
    word = a.actor.key.sign(passing_on(found.object_id, found.digest, to, "partner-a"), labels.EXCHANGE_REGRANT)
    body = {"recipients": ["partner-b"], "grant": text(file.encode()), "holder": "partner-a", "signature": text(word)}
    assert at_a.post(f"/v1/objects/{name}/grants", json=body).status_code == 204
    (own,) = at_b.get(f"/v1/objects/{name}/grants").json()["grants"]
    assert (own["by"], base64.b64decode(own["grant"])) == ("partner-a", file.encode())
    opened = io.BytesIO()
    open_object(io.BytesIO(at_b.get(f"/v1/objects/{name}").content), opened, finder([b.kem]), grant=file)
    assert opened.getvalue() == CONTENT
    assert at_b.post(f"/v1/objects/{name}/receipt", json=receipt(b, data, name)).status_code == 204
    # The owner sees both on the ledger, and takes one of them off.
    seen = house.owner.get(f"/v1/objects/{name}/grants").json()["grants"]
    assert [(one["recipient"], [d["verdict"] for d in one["deliveries"]]) for one in seen] == [
        ("partner-a", ["opened"]), ("partner-b", ["opened"]),
    ]  # fmt: skip
    assert house.owner.delete(f"/v1/objects/{name}/grants/partner-a", params={"reason": "ended"}).status_code == 204
    refused = at_a.get(f"/v1/objects/{name}")
    assert (refused.status_code, "revoked: ended" in refused.text) == (403, True)
    (ended,) = at_a.get(f"/v1/objects/{name}/grants").json()["grants"]
    assert ended["revoked"]["revoked_us"] >= ended["granted_us"]
    assert at_b.get(f"/v1/objects/{name}").status_code == 200
    assert at_a.get("/v1/objects").json() == {"objects": [], "after": None}
    assert [one["id"] for one in at_b.get("/v1/objects").json()["objects"]] == [name]
    assert house.site.heard == [("partner-a", bytes.fromhex(name)), ("partner-b", bytes.fromhex(name))]


def test_a_receipt_of_the_log_proves_the_object(house: House) -> None:
    a, _ = house.partner("partner-a")
    kept = house.put(sealed(a.kem.public))
    house.grant(kept["id"], "partner-a")
    reader = SiteReader.open(house.site.folder)
    try:
        made = house.site.receipts(reader).build(int(kept["record"]), None)
        report = verify_receipt(made, house.site.policy)
    finally:
        reader.close()
    assert report.outcome is Outcome.INCOMPLETE  # the gateway's word alone: no device signed it
    assert {str(step.state) for step in report.steps} == {"holds", "missing"}
    auditor = house.server.client(Scope.AUDITOR)
    house.site.follow()
    record = auditor.get(f"/v1/records/{kept['record']}").json()
    fields = {one["path"]: one["value"] for one in record["fields"]}
    assert (record["source"], fields["object"], fields["digest"]) == (SOURCE, kept["id"], kept["digest"])
    assert [one["id"] for one in auditor.get(f"/v1/records?input={kept['digest']}").json()["records"]] == [
        kept["record"]
    ]


def test_nobody_gets_what_is_not_his(house: House) -> None:
    (a, at_a), (_, at_b) = house.partner("partner-a"), house.partner("partner-b")
    data = sealed(a.kem.public)
    name = house.put(data)["id"]
    for path in (f"/v1/objects/{name}", f"/v1/objects/{name}/grants"):
        assert at_a.get(path).status_code == 404  # kept, not granted
    house.grant(name, "partner-a")
    for path in (f"/v1/objects/{name}", f"/v1/objects/{name}/grants", f"/v1/objects/{'00' * 32}"):
        assert at_b.get(path).status_code == 404
    # Another partner's token, receipt, grant, key; and a forged or altered receipt under the own one.
    url = f"/v1/objects/{name}"
    assert at_b.post(f"{url}/receipt", json=receipt(a, data, name)).status_code == 403
    forged = receipt(replace(a, actor=Actor("partner-a", ORIGIN, role="partner")), data, name)
    assert at_a.post(f"{url}/receipt", json=forged).status_code == 422
    assert at_a.post(f"{url}/receipt", json=receipt(a, data + b"x", name)).status_code == 422
    assert at_a.post(f"/v1/objects/{'11' * 32}/receipt", json=receipt(a, data, name)).status_code == 422
    assert at_a.post(f"{url}/grants", json={"recipients": ["partner-b"]}).status_code == 403
    assert at_b.post("/v1/partners/partner-a/keys", json=published(a, 1)).status_code == 403
    assert at_a.request("DELETE", f"{url}/grants/partner-a", params={"reason": "x"}).status_code == 403
    assert at_a.post("/v1/objects", content=data).status_code == 403
    assert house.owner.get(f"{url}/grants").json()["grants"][0]["deliveries"] == []


def test_a_grant_is_for_who_can_open_it(house: House) -> None:
    (a, _), (b, _) = house.partner("partner-a"), house.partner("partner-b")
    data = sealed(a.kem.public)
    name = house.put(data)["id"]
    assert "not sealed to the present key of partner-b" in house.grant(name, "partner-b", status=409)
    house.grant(name, "nobody", status=404)
    file = make_grant(io.BytesIO(data), b.kem.public, finder([a.kem]))
    other = replace(file, digest=bytes(32))
    for body, handle, status in ((other, "partner-b", 409), (file, "partner-a", 409), (file, "partner-b", 204)):
        asked = {"recipients": [handle], "grant": text(body.encode())}
        assert house.owner.post(f"/v1/objects/{name}/grants", json=asked).status_code == status
    for spoilt in (b"", file.encode()[:-1], b"\xff" * 100):
        asked = {"recipients": ["partner-b"], "grant": text(spoilt)}
        assert house.owner.post(f"/v1/objects/{name}/grants", json=asked).status_code == 422


def test_who_holds_nothing_has_no_grant_file_kept(house: House) -> None:
    """Otherwise a partner could fill the room for an object's grant files, and nobody could pass it on any more."""
    (a, at_a), (b, at_b), (c, _) = (house.partner(f"partner-{n}") for n in "abc")
    data = sealed(a.kem.public)
    name = house.put(data)["id"]
    house.grant(name, "partner-a")
    file = make_grant(io.BytesIO(data), c.kem.public, finder([a.kem]))
    to = To("partner-c", c.kem.public.kid, file.grant_digest)

    def passed_on(holder: Partner) -> dict[str, Any]:
        message = passing_on(file.object_id, file.digest, to, holder.handle)
        word = holder.actor.key.sign(message, labels.EXCHANGE_REGRANT)
        return {"recipients": ["partner-c"], "grant": text(file.encode()), "holder": holder.handle,
                "signature": text(word)}  # fmt: skip

    url, catalogue = f"/v1/objects/{name}/grants", house.site.objects.keeper._catalogue
    assert at_b.post(url, json=passed_on(b)).status_code == 404
    assert at_a.post(url, json=passed_on(a) | {"signature": text(bytes(64))}).status_code == 422
    assert catalogue.grant_file(file.object_id, file.grant_digest) is None
    assert at_a.post(url, json=passed_on(a)).status_code == 204
    assert catalogue.grant_file(file.object_id, file.grant_digest) == file.encode()


def test_sixteen_recipients_one_of_them_without_a_key(house: House) -> None:
    partners = [house.partner(f"partner-{n:02}")[0] for n in range(16)]
    data = sealed(*(one.kem.public for one in partners))
    name = house.put(data)["id"]
    handles = [one.handle for one in partners]
    house.grant(name, *handles[:15], "nobody", status=404)
    assert house.owner.get(f"/v1/objects/{name}/grants").status_code == 404  # all or nothing
    house.grant(name, *handles)
    seen = house.owner.get(f"/v1/objects/{name}/grants").json()["grants"]
    assert [one["recipient"] for one in seen] == handles
    opened = io.BytesIO()
    open_object(io.BytesIO(data), opened, finder([partners[15].kem]))
    assert opened.getvalue() == CONTENT


def test_uploads_that_are_refused_leave_nothing(house: House) -> None:
    a, _ = house.partner("partner-a")
    data = sealed(a.kem.public)
    too_large = sealed(a.kem.public, content=bytes(2**21))
    within = (
        len(inspect(io.BytesIO(data)).header.raw) + 24 + 32 + 16_400 + 5
    )  # in a chunk's tag: no length of any object
    assert house.owner.post("/v1/objects", content=too_large).status_code == 413
    assert house.owner.post("/v1/objects", content=iter([too_large])).status_code == 413  # without a length
    for wrong in (b"", b"plain text", data[:100], data[:within], b"X" + data[1:]):
        assert house.owner.post("/v1/objects", content=wrong).status_code == 422, wrong[:20]
    assert files(house) == []
    # Other bytes under the id of what is kept: a chunk altered, which only a recipient could tell.
    name = house.put(data)["id"]
    altered = bytearray(data)
    altered[-20] ^= 1
    assert house.owner.post("/v1/objects", content=bytes(altered)).status_code == 409
    assert house.owner.get(f"/v1/objects/{name}").content == data
    # The bound of all objects together.
    status = [house.owner.post("/v1/objects", content=sealed(a.kem.public, content=bytes(10**6))).status_code
              for _ in range(5)]  # fmt: skip
    assert status == [201, 201, 201, 201, 503]
    assert all(path.parent.name != "incoming" for path in files(house))


def test_an_upload_that_is_cut_off(house: House, caplog: pytest.LogCaptureFixture) -> None:
    a, _ = house.partner("partner-a")
    data = sealed(a.kem.public)
    token = house.owner.headers["authorization"]
    host, port = house.server.url.removeprefix("http://").split(":")
    for sent in (0, 1000, len(data) - 1):
        with socket.create_connection((host, int(port))) as connection:
            head = (
                f"POST /v1/objects HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Length: {len(data)}\r\n\r\n"
            )
            connection.sendall(head.encode() + data[:sent])
    assert house.owner.get("/v1/objects").json()["objects"] == []
    house.put(data)  # and the next one goes through
    assert len(files(house)) == 1
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


def test_a_full_disk(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The room that the machine says to have is the one thing that is made up; a real small disk is in
    tests/torture/test_objects_disk.py."""
    a, _ = house.partner("partner-a")
    usage = shutil.disk_usage(house.site.folder.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    answer = house.owner.post("/v1/objects", content=sealed(a.kem.public))
    assert (answer.status_code, "stay in reserve" in answer.text) == (503, True)
    assert files(house) == []
    monkeypatch.undo()
    house.put(sealed(a.kem.public))


def test_an_object_that_was_altered_in_the_store_never_arrives_whole(house: House) -> None:
    a, at_a = house.partner("partner-a")
    small, data = sealed(a.kem.public), sealed(a.kem.public, content=bytes(1_400_000))
    kept = house.put(small)
    (path,) = files(house)
    path.write_bytes(small[:5000] + bytes([small[5000] ^ 1]) + small[5001:])
    assert house.owner.get(f"/v1/objects/{kept['id']}").status_code == 500  # one piece: told before it begins
    with pytest.raises(AlteredObjectError):
        house.site.objects.keeper.check(asyncio.run(house.site.objects.keeper.get(bytes.fromhex(kept["id"]))))
    path.unlink()
    name = house.put(data)["id"]
    house.grant(name, "partner-a")
    (path,) = files(house)
    for spoilt in (data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], data[:-1]):
        path.write_bytes(spoilt)
        with pytest.raises(httpx.HTTPError):
            at_a.get(f"/v1/objects/{name}")
    path.unlink()
    assert at_a.get(f"/v1/objects/{name}").status_code == 404
    house.put(data)  # an upload again mends it
    assert at_a.get(f"/v1/objects/{name}").content == data


def test_ranges(house: House) -> None:
    a, _ = house.partner("partner-a")
    data = sealed(a.kem.public)
    url = f"/v1/objects/{house.put(data)['id']}"
    for asked, start, stop in (("0-99", 0, 100), ("1000-", 1000, len(data)), (f"5-{10**12}", 5, len(data))):
        part = house.owner.get(url, headers={"Range": f"bytes={asked}"})
        assert (part.status_code, part.content) == (206, data[start:stop])
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(data)}"
    for odd in ("bytes=-5", "bytes=1-2,4-5", "items=1-2"):  # a server may ignore what it does not take
        assert house.owner.get(url, headers={"Range": odd}).content == data
    beyond = house.owner.get(url, headers={"Range": f"bytes={len(data)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(data)}")


def test_pages_go_over_all_objects(house: House) -> None:
    a, at_a = house.partner("partner-a")
    names = sorted(house.put(sealed(a.kem.public, content=os.urandom(9)))["id"] for _ in range(5))
    for name in names[1:]:
        house.grant(name, "partner-a")
    for client, expected in ((house.owner, names), (at_a, names[1:])):
        seen: list[str] = []
        after: dict[str, str] = {}
        while True:
            page = client.get("/v1/objects", params={"limit": 2, **after}).json()
            seen += [one["id"] for one in page["objects"]]
            if page["after"] is None:
                break
            after = {"after": page["after"]}
        assert seen == expected


def test_keys_of_partners(house: House) -> None:
    a, at_a = house.partner("partner-a")
    a.kem = KemPrivateKey.generate(KemSuite.ML_KEM_1024_P384)
    assert at_a.post("/v1/partners/partner-a/keys", json=published(a, 1)).status_code == 204
    shown = at_a.get("/v1/partners/partner-a/keys").json()
    assert [key["suite"] for key in shown["kem_keys"]] == ["x-wing", "ml-kem-1024-p384"]
    _, kid, reason, signature = a.withdrawal()
    body = {"reason": reason.decode(), "signature": text(signature)}
    assert at_a.post(f"/v1/partners/partner-a/keys/{kid.hex()}/withdraw", json=body).status_code == 204
    assert at_a.get("/v1/partners/partner-a/keys").json()["current"] is None
    assert house.owner.get("/v1/partners/nobody/keys").status_code == 404
    assert at_a.post("/v1/partners/partner-a/keys", json=published(a, 2)).status_code == 409  # it had that one
    assert at_a.post("/v1/partners/partner-a/keys", json=published(a, 2) | {"suite": "x25519"}).status_code == 422
