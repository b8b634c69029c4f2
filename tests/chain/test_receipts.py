"""Receipts: what they hide, what cannot be built, and that old ones verify for ever, with no network at all."""

import base64
import binascii
import hmac
import itertools
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from chain.errors import ReceiptError
from chain.event import MAX_PAYLOAD_BYTES, Event
from chain.policy import parse_policy
from chain.receipt import FORMAT, MAX_BYTES, parse_receipt
from chain.record import Record
from chain.verify import Outcome, verify_receipt
from crypto import cbor
from crypto.checkpoint import Checkpoint, open_checkpoint
from crypto.commitments import commit, field_leaf
from crypto.merkle import leaf_hash, verify_inclusion
from gateway.ingest.inbound import Verdict
from tests.support.fields import INFERENCE, PRODUCTION
from tests.support.site import Site, receipts
from tests.support.source import INFERENCE as INFERENCE_KIND
from tests.support.source import PRODUCTION as PRODUCTION_KIND
from tests.support.source import Source, message

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "v1"
OK = Verdict.STORED


@dataclass
class Shop:
    """A site with one sealed production event (record 0), its seal (1), an inference (2) and a plain reading (3)."""

    site: Site
    source: Source


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Site(tmp_path_factory.mktemp("receipts") / "site") as site:
        source = site.enrol("line-3")
        assert site.send(source, message([source.event(PRODUCTION, kind=PRODUCTION_KIND)], source.seal())) is OK
        assert site.send(source, message([source.event(INFERENCE, kind=INFERENCE_KIND)])) is OK
        site.plain("meter")
        assert site.send("meter", b'[{"n":"t","v":1}]', plain="reading") is OK
        site.drain()
        yield Shop(site, source)


def build(shop: Shop, index: int, disclose: list[str] | None = None) -> bytes:
    with receipts(shop.site.folder) as builder:
        return builder.build(index, disclose).to_json()


def _byte_strings(value: Any) -> Iterator[bytes]:
    """Every byte string that a receipt holds, also inside its CBOR parts."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _byte_strings(item)
    elif isinstance(value, str):
        yield value.encode()
        try:
            yield from _byte_strings(base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError):
            return
    elif isinstance(value, bytes):
        yield value
        try:
            inner = cbor.decode(value, 1 << 20)
        except Exception:  # most byte strings are no CBOR
            return
        if isinstance(inner, dict | list | bytes):
            yield from _byte_strings(inner)


# -- what one disclosed field hides


@pytest.fixture(scope="module")
def one_field(shop: Shop) -> list[bytes]:
    return list(_byte_strings(json.loads(build(shop, 0, ["lot"]))))


def test_neither_the_event_nor_another_value_nor_the_seed_is_in_it(shop: Shop, one_field: list[bytes]) -> None:
    with shop.site.reader() as reader:
        segment = reader.payloads.segment_of(0)
    assert segment is not None
    event, fields = segment.events[0].event, dict(segment.events[0].fields)
    everything = b"\x00".join(one_field)
    assert b"LOT-77" in everything
    assert segment.seed not in everything
    assert event not in everything
    hidden = {
        str(value).encode() for path, value in fields.items() if path not in ("lot", "step") and value is not None
    }
    assert hidden == {b"04012345123456", b"2027-12-31", b"000123", b"line-3", b"1795413600000000"}
    # The source's own name and its clock are in the public record; they happen to equal two values here.
    for value in hidden - {b"line-3", b"1795413600000000"}:
        assert value not in everything
    inside = Event.decode(event)
    assert inside.blind not in everything
    for at in range(len(inside.payload) - 9):
        assert inside.payload[at : at + 10] not in everything


def one_record(shop: Shop) -> bytes:
    with shop.site.reader() as reader:
        return reader.entries.entry(0)


def test_low_entropy_values_cannot_be_found_by_guessing(shop: Shop, one_field: list[bytes]) -> None:
    """The tester knows everything but one of ten thousand serial numbers, and tries them all."""
    receipt = parse_receipt(build(shop, 0, ["lot"]))
    event_id, known = Record.decode(receipt.record).event_id, {bytes(32), b"", receipt.fields[0].salt}
    hashes = {part for part in one_field if len(part) == 32}
    known |= hashes  # whatever is in the file may be tried as a salt
    with shop.site.reader() as reader:
        segment = reader.payloads.segment_of(0)
    assert segment is not None
    real = [value for path, value in segment.events[0].fields if path == "serial"]
    for serial in {*real, "000124", None}:
        for salt in known:
            if len(salt) == 32:
                assert field_leaf(salt, event_id, "serial", serial) not in hashes
                assert commit(salt, event_id, "serial", serial) not in hashes
            assert hmac.digest(salt, cbor.encode(serial), "sha256") not in hashes
        payload = json.dumps(PRODUCTION | {"serial": serial}, separators=(",", ":")).encode()
        for guess in (payload, cbor.encode(serial), str(serial).encode()):
            assert sha256(guess).digest() not in hashes
            assert leaf_hash(guess) not in hashes


def test_two_receipts_of_different_fields_share_no_salt(shop: Shop) -> None:
    one, two = (parse_receipt(build(shop, 0, [path])) for path in ("lot", "serial"))
    assert one.fields[0].salt != two.fields[0].salt
    assert one.record == two.record


def test_several_fields_and_their_order_are_the_kinds(shop: Shop) -> None:
    receipt = parse_receipt(build(shop, 0, ["step", "gtin"]))
    assert [(f.path, f.position) for f in receipt.fields] == [("gtin", 0), ("step", 6)]
    assert (receipt.event, receipt.field_count) == (None, 9)
    assert verify_receipt(receipt, shop.site.policy).outcome is Outcome.VALID


def test_the_blind_keeps_a_plain_or_repeated_payload_from_being_guessed(shop: Shop) -> None:
    """Two events of one content have two content hashes; the seal of one event is not its payload's hash."""
    source = shop.source
    twice = [source.event([{"n": "t", "v": 1}]) for _ in range(2)]
    assert leaf_hash(twice[0]) != leaf_hash(twice[1])
    receipt = parse_receipt(build(shop, 3))
    assert leaf_hash(b'[{"n":"t","v":1}]') not in set(_byte_strings(json.loads(receipt.to_json())))


# -- what cannot be built


def test_what_cannot_be_built_says_why(shop: Shop) -> None:
    with receipts(shop.site.folder) as builder:
        for index in (-1, 4, 10**18, 2**63, 10**30):
            with pytest.raises(ReceiptError, match="there is no record"):
                builder.build(index)
        with pytest.raises(ReceiptError, match="has no field 'colour'; its fields are gtin, lot"):
            builder.build(0, ["lot", "colour"])
        with pytest.raises(ReceiptError, match="has no field"):
            builder.build(1, ["lot"])  # a seal record


def test_a_record_that_is_not_anchored_yet_says_so(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        source = site.enrol("logger")
        assert site.send(source, message([source.event()])) is OK
        with receipts(site.folder) as builder:
            with pytest.raises(ReceiptError, match="not anchored yet"):
                builder.build(0)
            with pytest.raises(ReceiptError, match="not anchored yet"):
                builder.tlog_proof(0)
            site.drain()
            assert builder.build(0).index == 0


def test_a_seal_that_waits_for_events_is_left_out_of_receipts(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        source = site.enrol("logger")
        raw = source.batch(3)
        assert site.send(source, message(raw[:2], source.seal())) is OK
        site.drain()
        with receipts(site.folder) as builder:
            assert verify_receipt(builder.build(0), site.policy).outcome is Outcome.INCOMPLETE
            assert verify_receipt(builder.build(2), site.policy).outcome is Outcome.VALID  # the seal's own record
        assert site.send(source, message(raw[2:])) is OK
        site.drain()
        with receipts(site.folder) as builder:
            assert {verify_receipt(builder.build(i), site.policy).outcome for i in range(4)} == {Outcome.VALID}


def test_events_under_a_broken_seal_are_not_proved_by_it(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        source = site.enrol("logger")
        sent = source.batch(2)
        source.events[1] = Source("logger", source.key, seq=1).event(7.5)
        assert site.send(source, message(sent, source.seal())) is OK
        site.drain()
        with receipts(site.folder) as builder:
            outcomes = [verify_receipt(builder.build(i), site.policy).outcome for i in range(2)]
        assert Outcome.VALID not in outcomes


def test_an_erased_payload_cannot_be_disclosed_but_its_seal_record_still_proves_itself(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        source = site.enrol("person-7")
        assert site.send(source, message([source.event()], source.seal())) is OK
        site.drain()
    with closing(sqlite3.connect(site.folder.database)) as db:
        db.execute("UPDATE subject SET wrapped_key = NULL")
        db.commit()
    with receipts(site.folder) as builder:
        with pytest.raises(Exception, match="was erased"):
            builder.build(0)
        assert verify_receipt(builder.build(1), site.policy).outcome is Outcome.VALID


@pytest.mark.parametrize("shape", ["numbers", "text", "names", "packed"])
def test_the_receipt_of_the_largest_event_is_a_receipt(tmp_path: Path, shape: str) -> None:
    """Whatever is accepted can be proved: fields may be larger as CBOR than they were as JSON."""
    records: list[dict[str, Any]] = [{"bn": "urn:dev:x:", "bt": 1.6e9, "n": "a", "v": 1}]
    if shape == "numbers":
        records += [{"n": str(i), "v": i, "s": 1, "ut": 1, "t": i} for i in range(255)]
    elif shape == "text":
        records += [{"n": str(i), "vs": "x" * 14_000} for i in range(4)]
    elif shape == "names":
        records = [{"n": "n" * 200 + str(i), "u": "Cel", "v": 1.1} for i in range(230)]
    else:
        records = [{"bn": "b" * 250, "n": "a", "u": "Cel", "v": 1}] + [{"n": str(i), "v": 1} for i in range(255)]
    with Site(tmp_path / "site") as site:
        source = site.enrol("logger")
        raw = source.event(records)
        assert len(raw) < MAX_PAYLOAD_BYTES
        if site.send(source, message([raw], source.seal())) is not OK:
            pytest.fail(site.dead_letters()[-1].reason)
        site.drain()
        with receipts(site.folder) as builder:
            receipt = parse_receipt(builder.build(0).to_json())
        assert verify_receipt(receipt, site.policy).outcome is Outcome.VALID


# -- files


@pytest.mark.parametrize(
    "data",
    [
        b"", b"null", b"[]", b"{}", b'"x"', b"\xff\xfe", b"{" * 100_000, b"[" * 100_000,
        b'{"format":"' + FORMAT.encode() + b'"}',
        b" " * (MAX_BYTES + 1),
    ],
)  # fmt: skip
def test_what_is_no_receipt_file_is_a_receipt_error(data: bytes) -> None:
    with pytest.raises(ReceiptError):
        parse_receipt(data)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "sealtrail-receipt/v2"}, {"index": -1}, {"index": 2**63}, {"index": True}, {"index": 1.5},
        {"record": "not base64!"}, {"inclusion": ["AAAA"]}, {"inclusion": ["A" * 43 + "="] * 64}, {"extra": 1},
        {"checkpoint": None}, {"fields": [{}]}, {"seal": {}}, {"anchor": {"kind": "embedded"}}, {"field_count": -1},
    ],
    ids=lambda change: next(iter(change)) if isinstance(change, dict) else None,
)  # fmt: skip
def test_a_receipt_of_another_form_is_a_receipt_error(shop: Shop, change: dict[str, Any]) -> None:
    tree = json.loads(build(shop, 0)) | change
    with pytest.raises(ReceiptError):
        parse_receipt(json.dumps(tree).encode())


def test_the_tlog_proof_is_that_of_c2sp(shop: Shop) -> None:
    with receipts(shop.site.folder) as builder:
        _check_tlog_proof(builder.tlog_proof(0), one_record(shop), shop.site.folder.log_vkeys())


def _check_tlog_proof(text: str, record: bytes, keys: Any) -> None:
    head, _, note = text.partition("\n\n")
    version, extra, index, *path = head.split("\n")
    assert version == "c2sp.org/tlog-proof@v1"
    assert base64.b64decode(extra.removeprefix("extra ")) == record
    checkpoint = open_checkpoint(note, keys).checkpoint
    proof = [base64.b64decode(line) for line in path]
    number = int(index.removeprefix("index "))
    verify_inclusion(leaf_hash(record), number, checkpoint.size, proof, checkpoint.root)


# -- golden receipts: made once, verified for ever

EXPECTED = {
    "reading": (Outcome.VALID, set()),
    "production": (Outcome.VALID, set()),
    "inference": (Outcome.VALID, set()),
    "disclosed": (Outcome.VALID, {"event"}),
    "seal": (Outcome.VALID, {"event", "fields"}),
    "plain": (Outcome.INCOMPLETE, {"identity", "seal"}),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_golden_receipts_verify_for_ever(name: str) -> None:
    outcome, missing = EXPECTED[name]
    data = (GOLDEN / f"{name}.json").read_bytes()
    receipt = parse_receipt(data)
    report = verify_receipt(receipt, parse_policy((GOLDEN / "policy.txt").read_bytes()))
    assert (report.outcome, {s.name for s in report.steps if s.state != "holds"}) == (outcome, missing)
    assert receipt.to_json() == data  # and the file's form has not changed
    if name == "disclosed":
        assert report.fields == (("lot", "LOT-77"),)


def test_every_golden_file_is_expected() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {
        "policy.txt", "tlog-proof.txt", *(f"{name}.json" for name in EXPECTED)
    }  # fmt: skip


def test_the_golden_tlog_proof_holds() -> None:
    policy = parse_policy((GOLDEN / "policy.txt").read_bytes())
    record = parse_receipt((GOLDEN / "production.json").read_bytes()).record
    text = (GOLDEN / "tlog-proof.txt").read_text()
    _check_tlog_proof(text, record, policy.log_keys("golden.example/log"))
    assert Checkpoint.parse(text.partition("\n\n")[2].partition("\n\n")[0] + "\n").size == 5


@pytest.mark.parametrize(("a", "b"), list(itertools.permutations(("reading", "production", "inference"), 2)))
def test_golden_parts_do_not_mix(a: str, b: str) -> None:
    one, two = (json.loads((GOLDEN / f"{name}.json").read_bytes()) for name in (a, b))
    policy = parse_policy((GOLDEN / "policy.txt").read_bytes())
    for part in ("index", "record", "inclusion", "event", "fields"):
        mixed = parse_receipt(json.dumps(one | {part: two[part]}).encode())
        assert verify_receipt(mixed, policy).outcome is Outcome.INVALID


# -- offline

OFFLINE = """
import socket, sys
def refused(*args, **kwargs):
    raise AssertionError("a socket was opened")
socket.socket.__init__ = socket.create_connection = socket.getaddrinfo = refused
import sealtrail
sys.argv = ["sealtrail", "verify", sys.argv[1], "--policy", sys.argv[2]]
try:
    sealtrail.main()
except SystemExit as e:
    rooms = {name.partition(".")[0] for name in sys.modules}
    print("loaded:", *sorted(rooms & {"fastapi", "httpx", "uvicorn", "paho", "grpc", "starlette", "anyio", "sqlite3"}))
    raise
"""
# The command line's own parser may bring pydantic along; what verifies must not.
LIBRARY = """
import sys
from pathlib import Path
from chain.policy import parse_policy
from chain.receipt import parse_receipt
from chain.verify import verify_receipt
receipt, policy = (Path(name).read_bytes() for name in sys.argv[1:])
print(verify_receipt(parse_receipt(receipt), parse_policy(policy)).outcome)
heavy = {"pydantic", "fastapi", "httpx", "uvicorn", "paho", "grpc", "starlette", "anyio", "typer", "rich", "sqlite3"}
print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules} & heavy))
"""


def _offline(*prefix: str, name: str, program: str = OFFLINE) -> subprocess.CompletedProcess[str]:
    files = (str(GOLDEN / f"{name}.json"), str(GOLDEN / "policy.txt"))
    return subprocess.run(
        [*prefix, sys.executable, "-c", program, *files],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("name", "code"), [("production", 0), ("plain", 5)])
def test_the_verifier_opens_no_socket_and_loads_no_server(name: str, code: int) -> None:
    done = _offline(name=name)
    assert done.returncode == code, done.stderr
    assert f"result: {EXPECTED[name][0]}" in done.stdout
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_the_verifying_library_loads_nothing_heavy() -> None:
    done = _offline(name="production", program=LIBRARY)
    assert done.stdout.split("\n") == ["valid", "loaded:", ""], done.stderr


def test_the_verifier_runs_where_there_is_no_network_at_all() -> None:
    alone = ("unshare", "-n", "-r")
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system does not let us take the network away (unshare -n)")
    done = _offline(*alone, name="production")
    assert (done.returncode, "result: valid" in done.stdout) == (0, True), done.stderr
