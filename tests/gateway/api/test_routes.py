"""Every route: what it answers, and what it refuses."""

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest

from chain.policy import parse_policy
from chain.receipt import parse_receipt
from chain.record import Record
from chain.store.segment import StoredEvent, encode_event
from chain.verify import Outcome, verify_receipt
from chaincode.identities import enrolment, rotation
from crypto import labels
from crypto.checkpoint import open_checkpoint
from crypto.keys import Algorithm, PrivateKey
from crypto.merkle import leaf_hash, verify_consistency, verify_inclusion
from gateway.access import Scope
from tests.gateway.api.server import Server
from tests.gateway.api.site import MINUTE_US, ORIGIN, START_US, Site

SERIES = "urn:dev:ops:cold-1:temperature"


def ok(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: httpx.Response, status: int, words: str = "") -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert said["status"] == status
    assert words in said["detail"]


def b64(texts: list[str]) -> list[bytes]:
    return [base64.b64decode(text) for text in texts]


# -- records


def test_records_are_listed_and_filtered(auditor: httpx.Client) -> None:
    page = ok(auditor.get("/v1/records", params={"limit": 3}))
    newest = page["records"][0]
    assert (newest["source"], newest["anchored"], newest["summary"]) == ("cold-1", False, "temperature 5.1 °C")
    assert newest["terms"] == [{"name": "series", "value": SERIES}]
    again = ok(auditor.get("/v1/records", params={"limit": 3, "cursor": page["cursor"]}))
    assert int(again["records"][0]["id"]) == int(page["records"][-1]["id"]) - 1
    flagged = ok(auditor.get("/v1/records?flag=out-of-range&flag=urgent&order=oldest"))["records"]
    assert len(flagged) == 12
    assert flagged[0]["flags"] == ["out-of-range", "urgent"]
    assert len(ok(auditor.get("/v1/records?lot=L2611A&kind=production"))["records"]) == 8
    assert len(ok(auditor.get(f"/v1/records?input={'cd' * 32}"))["records"]) == 8
    hour = {"source": "cold-1", "from": "2026-11-23T06:00:00Z", "to": "2026-11-23T07:04:59+01:00"}
    assert len(ok(auditor.get("/v1/records", params=hour))["records"]) == 5
    assert len(ok(auditor.get("/v1/records", params={**hour, "to": START_US}))["records"]) == 1


def test_pages_stay_the_same_while_records_are_appended(own: Site) -> None:
    with Server(own) as server:
        client = server.client(Scope.AUDITOR)
        once = [r["id"] for r in ok(client.get("/v1/records?limit=500"))["records"]]
        seen, cursor, device = [], None, own.device("cold-9")
        while True:
            page = ok(client.get("/v1/records", params={"limit": 40} | ({"cursor": cursor} if cursor else {})))
            seen += [r["id"] for r in page["records"]]
            own.readings(device, [4.0, 4.1], START_US)
            own.follow()
            cursor = page["cursor"]
            if cursor is None:
                break
        assert seen == once


@pytest.mark.parametrize("query", [
    "limit=0", "limit=501", "limit=x", "limit=1&limit=2", "kind=nonsense", "flag=nonsense", "colour=red", "cursor=xx",
    "from=yesterday", "from=2026-11-23T06:00:00", "from=-1", "to=9223372036854775808", "from=5&to=4", "source=%00",
    "source=A", "lot=%0a", "lot=", f"lot={'x' * 257}", "order=random", "from=9999-99-99T00:00:00Z", "from=%D9%A1",
])  # fmt: skip
def test_a_wrong_question_is_refused(auditor: httpx.Client, query: str) -> None:
    refused(auditor.get(f"/v1/records?{query}"), 422)


def test_one_record_with_all_its_links(auditor: httpx.Client, busy: Site) -> None:
    said = ok(auditor.get("/v1/records/3"))
    record = Record.decode(busy.writer.entries.entry(3))
    assert base64.b64decode(said["entry"]) == busy.writer.entries.entry(3)
    assert said["content_hash"] == record.content_hash.hex()
    assert json.loads(said["payload"]["text"])[0]["n"] == SERIES
    assert said["fields"][0]["path"] == "reading"
    assert (said["seal"]["state"], said["seal"]["id"], said["seal"]["count"]) == ("holds", "5", 5)
    states = {link["name"]: link["state"] for link in said["chain"]}
    assert states == {
        "event": "holds", "seal": "holds", "record": "holds", "path": "holds", "checkpoint": "holds",
        "witnesses": "missing", "anchor": "holds",
    }  # fmt: skip


def test_a_record_that_is_not_anchored_yet_is_pending(auditor: httpx.Client, busy: Site) -> None:
    newest = busy.writer.log.size - 1
    said = ok(auditor.get(f"/v1/records/{newest}"))
    states = {link["name"]: link["state"] for link in said["chain"]}
    assert (states["event"], states["seal"], states["path"], states["anchor"]) == (
        "holds", "pending", "pending", "pending",
    )  # fmt: skip
    refused(auditor.get(f"/v1/records/{newest}/receipt"), 409, "not anchored yet")
    refused(auditor.get(f"/v1/records/{newest}/proof"), 409, "not anchored yet")
    refused(auditor.get(f"/v1/records/{newest}/proof", headers={"Accept": "application/json"}), 409)


def test_altered_content_shows_as_a_false_link(own: Site) -> None:
    """The attack: someone with the site's keys puts another payload in the place of the one that was logged."""
    segment = own.writer.payloads.segment_of(3)
    fields = (("reading", [[SERIES, 2.0, "Cel", START_US, 2.0, "Cel"]]),)
    events = [encode_event(StoredEvent(e.event, fields)) for e in segment.events]
    with own.writer.db.transaction() as tx:
        tx.execute("DELETE FROM segment WHERE first_leaf = 0")
        own.writer.payloads.put(tx, 0, segment.subject, segment.seed, len(events), events)
        own.writer.payloads.flush(tx)
    with Server(own) as server:
        client = server.client(Scope.AUDITOR)
        chain = {link["name"]: link for link in ok(client.get("/v1/records/3"))["chain"]}
        assert chain["event"]["state"] == "false"


@pytest.mark.parametrize("id_", ["100000", "9223372036854775807"])
def test_no_such_record(auditor: httpx.Client, id_: str) -> None:
    for path in ("", "/receipt", "/proof"):
        refused(auditor.get(f"/v1/records/{id_}{path}"), 404, "the log has")


@pytest.mark.parametrize("id_", ["9223372036854775808", "-1", "01", "1.0", "x", "%00", "١", "1_0", "+1", "1" * 5000])
def test_no_record_has_such_an_id(auditor: httpx.Client, id_: str) -> None:
    refused(auditor.get(f"/v1/records/{id_}"), 422)


def test_a_receipt_proves_the_record_offline(auditor: httpx.Client) -> None:
    policy = parse_policy(auditor.get("/v1/policy").content)
    answer = auditor.get("/v1/records/3/receipt")
    assert answer.headers["content-disposition"] == 'attachment; filename="record-3.receipt.json"'
    report = verify_receipt(parse_receipt(answer.content), policy)
    assert report.outcome is Outcome.VALID, report.steps


def test_one_field_is_disclosed_alone(auditor: httpx.Client) -> None:
    packs = ok(auditor.get("/v1/records?kind=production&order=oldest"))["records"]
    answer = auditor.get(f"/v1/records/{packs[0]['id']}/receipt", params={"disclose": ["lot", "gtin"]})
    receipt = parse_receipt(answer.content)
    assert [field.path for field in receipt.fields] == ["gtin", "lot"]
    assert receipt.event is None
    assert b"K7000QX" not in answer.content
    refused(auditor.get(f"/v1/records/{packs[0]['id']}/receipt?disclose=colour"), 422, "colour")


def test_proofs_verify(auditor: httpx.Client, busy: Site) -> None:
    text = auditor.get("/v1/records/3/proof")
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    lines = text.text.split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert "index 3" in lines
    proof = ok(auditor.get("/v1/records/3/proof", headers={"Accept": "application/json"}))
    root = open_checkpoint(proof["checkpoint"], busy.folder.log_vkeys()).checkpoint.root
    leaf = leaf_hash(busy.writer.entries.entry(3))
    assert leaf.hex() == proof["leaf_hash"]
    verify_inclusion(leaf, 3, proof["size"], b64(proof["hashes"]), root)
    proof = ok(auditor.get("/v1/proofs/inclusion?index=3&size=11"))
    verify_inclusion(leaf, 3, 11, b64(proof["hashes"]), base64.b64decode(proof["root"]))
    proof = ok(auditor.get("/v1/proofs/consistency?old=11&new=80"))
    roots = base64.b64decode(proof["old_root"]), base64.b64decode(proof["new_root"])
    verify_consistency(11, 80, b64(proof["hashes"]), *roots)


@pytest.mark.parametrize(("path", "status"), [
    ("inclusion?index=3&size=100000", 404), ("inclusion?index=3&size=3", 422), ("inclusion?index=3", 422),
    ("inclusion?index=3&size=18446744073709551616", 422), ("consistency?old=5&new=4", 422),
    ("consistency?old=5&new=9223372036854775807", 404), ("consistency?old=-5&new=4", 422),
])  # fmt: skip
def test_proofs_that_cannot_be(auditor: httpx.Client, path: str, status: int) -> None:
    refused(auditor.get(f"/v1/proofs/{path}"), status)


# -- sources


def test_sources_and_their_completeness(auditor: httpx.Client) -> None:
    listed = {s["name"]: s for s in ok(auditor.get("/v1/sources"))["sources"]}
    assert list(listed) == ["camera-1", "cold-1", "cold-2", "cold-3", "door-1", "line-1"]
    assert (listed["cold-1"]["connected"], listed["cold-2"]["connected"]) == (True, False)
    assert (listed["cold-2"]["missing"], listed["cold-1"]["unsealed"], listed["cold-3"]["events"]) == (5, 2, 0)
    page = ok(auditor.get("/v1/sources?limit=4"))
    assert [s["name"] for s in page["sources"]] == list(listed)[:4]
    rest = ok(auditor.get("/v1/sources", params={"limit": 4, "after": page["after"]}))
    assert ([s["name"] for s in rest["sources"]], rest["after"]) == (list(listed)[4:], None)
    one = ok(auditor.get("/v1/sources/cold-1"))
    assert (one["keys"][0]["algorithm"], one["keys"][0]["until"]) == ("ed25519", None)
    assert one["limits"] == [{"series": "", "unit": "Cel", "low": 2.0, "high": 8.0}]
    assert one["series"][0]["value"] == 5.1
    assert ok(auditor.get("/v1/sources/cold-3"))["events"] == 0
    gaps = ok(auditor.get("/v1/sources/cold-2/completeness"))
    assert not gaps["complete"]
    assert gaps["boots"][0]["gaps"] == [{"first": 20, "last": 24, "count": 5}]
    early = ok(auditor.get("/v1/sources/cold-2/completeness?to=2026-11-23T06:10:00Z"))
    assert (early["complete"], early["received"]) == (True, 11)
    for path in ("", "/completeness", "/series", "/readings?series=x"):
        refused(auditor.get(f"/v1/sources/nobody{path}"), 404)
    refused(auditor.get("/v1/sources/NoBody"), 422)


def test_curves_and_excursions(auditor: httpx.Client) -> None:
    assert ok(auditor.get("/v1/sources/cold-1/series"))[0]["unit"] == "Cel"
    curve = ok(auditor.get("/v1/sources/cold-1/readings", params={"series": SERIES, "buckets": 10}))
    assert len(curve["buckets"]) == 10
    assert sum(b["outside"] for b in curve["buckets"]) == 12
    found = ok(auditor.get("/v1/excursions"))
    assert [(e["source"], e["count"], e["ongoing"]) for e in found] == [("cold-1", 12, False)]
    assert ok(auditor.get("/v1/excursions?source=cold-2")) == []
    refused(auditor.get("/v1/excursions?from=2&to=1"), 422)
    refused(auditor.get("/v1/sources/cold-1/readings", params={"series": SERIES, "buckets": 2001}), 422)
    refused(auditor.get("/v1/sources/cold-1/readings", params={"series": SERIES, "from": 2, "to": 1}), 422)


def test_a_device_is_invited_enrols_and_is_revoked(own: Site) -> None:
    admin = {"Authorization": f"Bearer {own.token(Scope.DEVICE_ADMIN)}"}
    key = PrivateKey.generate(Algorithm.ML_DSA_44)
    with Server(own) as server:
        client = server.client()
        body = {"source": "new-1", "kinds": ["reading"], "limits": [{"unit": "Cel", "low": 2, "high": 8}]}
        invited = client.post("/v1/sources", json=body, headers=admin)
        assert invited.status_code == 201
        code = invited.json()["code"]
        offer = ok(client.post("/v1/enrol/offer", json={"code": code}))
        assert offer == {"source": "new-1", "origin": ORIGIN}
        proof = key.sign(enrolment("new-1", ORIGIN, key.public), labels.ENROL)
        wanted = {
            "code": code, "algorithm": "ml-dsa-44", "public_key": base64.b64encode(key.public.raw).decode(),
            "proof": base64.b64encode(proof).decode(),
        }  # fmt: skip
        forged = base64.b64encode(bytes([proof[0] ^ 1]) + proof[1:]).decode()
        refused(client.post("/v1/enrol", json={**wanted, "proof": forged}), 422)
        enrolled = ok(client.post("/v1/enrol", json=wanted))
        assert (enrolled["source"], enrolled["origin"]) == ("new-1", ORIGIN)
        assert set(enrolled) == {"source", "origin", "mqtt", "password", "gateway_key", "log_vkeys", "session_key"}
        assert own.access.password_matches("new-1", enrolled["password"].encode())
        refused(client.post("/v1/enrol", json=wanted), 403, "unknown, used or expired")
        refused(client.post("/v1/enrol/offer", json={"code": code}), 403)
        gone = client.post("/v1/sources/new-1/revoke", json={"reason": "stolen"}, headers=admin)
        assert gone.status_code == 204, gone.text
        keys = ok(client.get("/v1/sources/new-1", headers=admin))["keys"]
        assert keys[0]["reason"] == "stolen"
        refused(client.post("/v1/sources/nobody/revoke", json={"reason": "x"}, headers=admin), 404)
        refused(client.post("/v1/sources/new-1/revoke", json={"reason": "\n"}, headers=admin), 422)
        plain = client.post("/v1/sources", json={"source": "bare-1", "allow_plain": True}, headers=admin)
        assert own.access.password_matches("bare-1", plain.json()["password"].encode())
        again = client.post("/v1/sources", json={"source": "bare-1", "allow_plain": True}, headers=admin)
        refused(again, 409)


def test_a_key_is_changed_by_the_signatures_of_both(own: Site) -> None:
    device, new = own.device("cold-8"), PrivateKey.generate(Algorithm.ED25519)
    at = own.writer.log.size
    message = rotation("cold-8", device.key.public, new.public, at)
    body = {
        "algorithm": "ed25519", "public_key": base64.b64encode(new.public.raw).decode(), "from_index": at,
        "old_signature": base64.b64encode(device.key.sign(message, labels.KEY_ROTATION)).decode(),
        "new_signature": base64.b64encode(new.sign(message, labels.KEY_ROTATION)).decode(),
    }  # fmt: skip
    with Server(own) as server:
        client = server.client()
        swapped = {**body, "old_signature": body["new_signature"]}
        refused(client.post("/v1/sources/cold-8/rotate", json=swapped), 422)
        assert client.post("/v1/sources/cold-8/rotate", json=body).status_code == 204
        auditor = {"Authorization": f"Bearer {own.token(Scope.AUDITOR)}"}
        keys = ok(client.get("/v1/sources/cold-8", headers=auditor))["keys"]
        assert [(k["from_index"], k["until"]) for k in keys][1] == (at, None)
        refused(client.post("/v1/sources/nobody/rotate", json=body), 404)


def test_lists_say_which_records_rest_on_a_key_in_doubt(own: Site) -> None:
    first = own.writer.log.size
    for name in ("honest-1", "stolen-1"):  # for each a reading and its seal, twice
        device = own.device(name)
        for start in range(2):
            own.readings(device, [4.0], START_US + start * MINUTE_US)
    own.anchor()
    own.follow()
    asyncio.run(own.revoke("stolen-1", "stolen", first + 6))
    reader = {"Authorization": f"Bearer {own.token(Scope.AUDITOR)}"}
    with Server(own) as server:
        client = server.client()
        rows = ok(client.get("/v1/records", headers=reader))["records"]
        assert [row["id"] for row in rows if "doubtful" in row["flags"]] == [str(first + 7), str(first + 6)]
        for path, count in (("/records", 2), ("/records?source=honest-1", 0), ("/", 2), ("/sources/stolen-1", 2)):
            page = client.get(path, headers=reader)
            assert (page.status_code, page.text.count('<span class="flag doubtful">in doubt</span>')) == (200, count)
        assert "stolen-1</a> had its key in strange hands" in client.get("/", headers=reader).text


# -- the site


def test_status_is_short_for_everybody_and_full_for_callers(
    anybody: httpx.Client, auditor: httpx.Client, busy: Site
) -> None:
    public = ok(anybody.get("/v1/status"))
    assert (public["log_size"], public["ready"], public["origin"]) == (busy.writer.log.size, True, ORIGIN)
    assert public["connected"] is public["problems"] is public["disk_bytes"] is None
    assert ok(auditor.get("/v1/status"))["connected"] == ["cold-1", "line-1"]


def test_anchors_carry_the_ledgers_own_word(auditor: httpx.Client) -> None:
    (anchor,) = ok(auditor.get("/v1/anchors"))
    assert len(anchor["tx_id"]) == 64
    assert anchor["anchored_us"]
    assert ok(auditor.get(f"/v1/anchors?below={anchor['size']}")) == []


def test_notices(operator: httpx.Client, auditor: httpx.Client) -> None:
    letters = ok(operator.get("/v1/dead-letters"))
    assert {letter["source"] for letter in letters} == {"cold-3", "stranger"}
    assert ok(operator.get(f"/v1/dead-letters?before={letters[0]['id']}")) == letters[1:]
    assert [a["kind"] for a in ok(auditor.get("/v1/alerts"))] == ["excursion", "gap"]
    refused(auditor.get("/v1/dead-letters"), 403, "operator")


def test_the_log_is_served_as_tiles(anybody: httpx.Client, busy: Site) -> None:
    note = anybody.get("/log/checkpoint")
    assert note.headers["content-type"] == "text/plain; charset=utf-8"
    assert note.headers["cache-control"] == "public, max-age=1"
    size = open_checkpoint(note.content, busy.folder.log_vkeys()).checkpoint.size
    tile = anybody.get(f"/log/tile/0/000.p/{size}")
    assert tile.content[:32] == leaf_hash(busy.writer.entries.entry(0))
    assert (len(tile.content), tile.headers["content-type"]) == (size * 32, "application/octet-stream")
    assert "immutable" in tile.headers["cache-control"]
    bundle = anybody.get(f"/log/tile/entries/000.p/{size}", headers={"Accept-Encoding": "identity"})
    assert bundle.content[2:].startswith(busy.writer.entries.entry(0))
    zipped = anybody.get(f"/log/tile/entries/000.p/{size}", headers={"Accept-Encoding": "gzip"})
    assert (zipped.content, zipped.headers["content-encoding"]) == (bundle.content, "gzip")  # httpx unpacks it
    # In the log, but not signed for yet: not served.
    refused(anybody.get(f"/log/tile/0/000.p/{size + 1}"), 404)
    for path in ("0/000", "0/000.p/0", "0/0", "64/000", "entries/x000/001", "../site.db", "0/000.p/1/..", "%00"):
        refused(anybody.get(f"/log/tile/{path}"), 404)


def test_no_checkpoint_yet(site: Site) -> None:
    with Server(site) as server:
        client = server.client()
        refused(client.get("/log/checkpoint"), 404)


def test_health_and_readiness(own: Site) -> None:
    with Server(own) as server:
        client = server.client()
        assert client.get("/healthz").text == "ok\n"
        assert ok(client.get("/readyz")) == {"ready": True, "problems": []}
        own.problems = ("anchoring: the ledger is away",)
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["problems"]) == (503, ["anchoring: the ledger is away"])
        own.problems = ()
        own.index.close()
        for suffix in ("", "-wal", "-shm"):
            own.folder.index.with_name("index.db" + suffix).unlink(missing_ok=True)
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200


def test_without_an_index_lists_say_so(own: Site) -> None:
    own.index.close()
    for suffix in ("", "-wal", "-shm"):
        own.folder.index.with_name("index.db" + suffix).unlink(missing_ok=True)
    with Server(own) as server:
        client = server.client(Scope.AUDITOR)
        answer = client.get("/v1/records")
        refused(answer, 503, "index")
        assert answer.headers["retry-after"]


def test_metrics(operator: httpx.Client, auditor: httpx.Client, busy: Site) -> None:
    text = operator.get("/metrics").text
    assert f'sealtrail_log_entries{{stage="durable"}} {float(busy.writer.log.size)}' in text
    assert 'sealtrail_notices_kept{table="dead_letter"} 2.0' in text
    refused(auditor.get("/metrics"), 403)


def test_schemas_and_policy(anybody: httpx.Client) -> None:
    schema = anybody.get("/schemas/production")
    assert schema.headers["content-type"] == "application/schema+json"
    assert schema.json()["title"]
    refused(anybody.get("/schemas/nonsense"), 404)
    assert anybody.get("/v1/policy").text.count("ledger embedded") == 2
