"""Disclosures: what one shows and hides, how small it is, and that no part of it can be exchanged."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from chain.disclosed import DisclosureReport, verify_disclosure
from chain.disclosing import Choice, Purpose, build_disclosure, numbers
from chain.disclosure import FORMAT, parse_disclosure
from chain.errors import ReceiptError
from chain.ledger.reading import open_reader
from chain.policies import site_policy
from chain.policy import parse_policy
from chain.site import Folder, SiteReader
from chain.verify import Outcome, State, Verifier
from crypto import labels
from crypto.kem import KemSuite
from crypto.keys import Algorithm, PrivateKey
from crypto.keystore.locked import Cost
from crypto.keystore.passphrase import Passphrase
from crypto.keystore.store import KeyStore
from gateway.access import SourceSettings
from gateway.ingest.inbound import Verdict
from tests.support.fields import INFERENCE, PRODUCTION
from tests.support.site import Site, receipts
from tests.support.source import INFERENCE as INFERENCE_KIND
from tests.support.source import PRODUCTION as PRODUCTION_KIND
from tests.support.source import message

COUNT = 100
FOR = Purpose("auditor-1", "recall 2026-11")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Records 0 to 99: packs of a line under one seal (100); 101: an inference about a person who was erased (103 says
    so); 102: its seal."""
    with Site(tmp_path_factory.mktemp("disclosure") / "site") as site:
        line, model = site.enrol("line-3"), site.enrol("model", SourceSettings())
        packs = [line.event(PRODUCTION | {"serial": f"S{n:06}"}, kind=PRODUCTION_KIND) for n in range(COUNT)]
        assert site.send(line, message(packs, line.seal())) is Verdict.STORED
        judged = model.event(INFERENCE | {"subject": "patient-1"}, kind=INFERENCE_KIND)
        assert site.send(model, message([judged], model.seal())) is Verdict.STORED
        site.drain()
        site.run(site.gateway.erase("patient-1", "tester", "a test"))
        site.drain()
    return site.folder


def make(folder: Folder, leaves: list[int], fields: list[str] | None, purpose: Purpose = FOR) -> bytes:
    with closing(SiteReader.open(folder)) as reader, closing(open_reader(folder)) as ledger:
        return build_disclosure(reader, ledger, folder.origin, leaves, fields, purpose, folder.gateway_key())[0]


def check(folder: Folder, data: bytes) -> DisclosureReport:
    return verify_disclosure(parse_disclosure(data), Verifier(site_policy(folder)))


def signed_anew(data: bytes, change: Callable[[list[dict[str, Any]]], None], key: PrivateKey) -> bytes:
    """The file after a change of its lines (the header is the first), signed by whoever has this key."""
    lines = [json.loads(line) for line in data.splitlines()[:-1]]
    change(lines)
    body = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
    signature = key.sign(sha256(body).digest(), labels.DISCLOSURE)
    return body + json.dumps({"signature": base64.b64encode(signature).decode()}).encode() + b"\n"


def test_a_key_that_the_ledger_does_not_name_signs_none(folder: Folder) -> None:
    """In the midst of a change of keys the folder's key is not the ledger's; nobody could verify the file."""
    key = PrivateKey.generate(Algorithm.ED25519)
    with (
        closing(SiteReader.open(folder)) as reader,
        closing(open_reader(folder)) as ledger,
        pytest.raises(ReceiptError, match="not at its end yet"),
    ):
        build_disclosure(reader, ledger, folder.origin, [3], None, FOR, key)


def test_chosen_fields_are_shown_and_nothing_else(folder: Folder) -> None:
    data = make(folder, [3, 4, 5], ["serial", "lot"])
    report = check(folder, data)
    assert report.outcome is Outcome.VALID
    assert "for 'auditor-1' on 20" in report.made.text
    assert "because 'recall 2026-11'" in report.made.text
    assert [dict(found.fields) for _, found in report.records] == [
        {"lot": "LOT-77", "serial": f"S00000{n}"} for n in (3, 4, 5)
    ]
    assert [found.steps[3].text for _, found in report.records] == [
        "the event's content is not disclosed in this receipt"
    ] * 3
    raw = b"".join(base64.b64decode(text) for text in json.dumps(data.decode()).split('\\"') if _is_base64(text))
    for hidden in (b"04012345123456", b"2027-12-31", b"S000006"):
        assert hidden not in data + raw
    assert b"S000004" in raw


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except ValueError:
        return False


def test_a_hundred_records_are_not_a_hundred_receipts(folder: Folder) -> None:
    data = make(folder, list(range(COUNT)), ["serial"])
    assert check(folder, data).outcome is Outcome.VALID
    with receipts(folder) as builder:
        apart = sum(len(builder.build(n, ["serial"]).to_json()) for n in range(COUNT))
    assert len(data) < apart / 10


def test_everything_or_nothing_but_the_records(folder: Folder) -> None:
    whole, bare = check(folder, make(folder, [7, 100, 103], None)), check(folder, make(folder, [7, 100, 103], []))
    assert (whole.outcome, bare.outcome) == (Outcome.VALID, Outcome.VALID)
    assert whole.records[0][1].event is not None
    assert len(whole.records[0][1].fields) == 9
    assert (bare.records[0][1].event, bare.records[0][1].fields) == (None, ())


def test_an_erased_field_cannot_be_disclosed(folder: Folder) -> None:
    report = check(folder, make(folder, [3, 101], ["serial", "decision"]))
    assert report.outcome is Outcome.VALID
    assert "erased at log index 103" in report.records[1][1].steps[3].text
    assert report.records[1][1].fields == ()


def test_a_range_shows_the_logs_own_records_without_content(folder: Folder) -> None:
    report = check(folder, make(folder, list(range(98, 104)), ["serial", "decision"]))
    assert report.outcome is Outcome.VALID
    assert [len(found.fields) for _, found in report.records] == [1, 1, 0, 0, 0, 0]


def test_choices(folder: Folder) -> None:
    with closing(SiteReader.open(folder)) as reader:
        assert Choice(source="model").leaves(reader) == [101]
        assert Choice(kind=PRODUCTION_KIND, until_us=0).records == ()
        assert len(Choice(kind=PRODUCTION_KIND).leaves(reader)) == COUNT
        with pytest.raises(ReceiptError, match="the choice has 0"):
            Choice(source="nobody").leaves(reader)
    assert numbers(["3", "7-9"]) == (3, 7, 8, 9)
    for wrong in ("", "-", "9-7", "1-99999", "x", "1-2-3", "²"):
        with pytest.raises(ReceiptError):
            numbers([wrong])
    with pytest.raises(ReceiptError, match="no field 'colour'"):
        make(folder, [3], ["colour"])
    with pytest.raises(ReceiptError, match="there is no record 999"):
        make(folder, [999], [])


def _swap(one: str, *path: Any) -> Callable[[list[dict[str, Any]]], None]:
    """Exchange a part of records 3 and 4."""

    def change(lines: list[dict[str, Any]]) -> None:
        a, b = lines[1], lines[2]
        for step in path:
            a, b = a[step], b[step]
        a[one], b[one] = b[one], a[one]

    return change


def _set(line: int, name: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda lines: lines[line].__setitem__(name, value)


# What is changed, and whether only the signature stands against it: the gateway itself may say for whom and why.
ATTACKS: dict[str, tuple[Callable[[list[dict[str, Any]]], None], bool]] = {
    "the value of another record": (_swap("value", "fields", 0), False),
    "the salt of another record": (_swap("salt", "fields", 0), False),
    "the field of another record": (_swap("fields"), False),
    "another path": (lambda lines: lines[1]["fields"][0].__setitem__("path", "gtin"), False),
    "another position": (lambda lines: lines[1]["fields"][0].__setitem__("position", 5), False),
    "another record": (_swap("record"), False),
    "another place": (_set(1, "index", 2), False),
    "another seal's proof": (_swap("range_proof"), False),
    "a record removed": (lambda lines: lines.pop(2), False),
    "a record doubled": (lambda lines: lines.insert(2, lines[1]), False),
    "records in another order": (lambda lines: lines.insert(1, lines.pop()), False),
    "a seal that is not there": (_set(1, "seal", 7), False),
    "another origin": (_set(0, "origin", "plant-8.example/line-1"), False),
    "another auditor": (_set(0, "to", "auditor-2"), True),
    "another reason": (_set(0, "reason", "curiosity"), True),
    "another time": (_set(0, "made_us", 0), True),
    "removed and counted anew": (lambda lines: (lines.pop(2), lines[0].__setitem__("count", 2)), True),
}


@pytest.mark.parametrize(("change", "own_word"), ATTACKS.values(), ids=ATTACKS.keys())
def test_no_part_can_be_exchanged(
    folder: Folder, change: Callable[[list[dict[str, Any]]], None], own_word: bool
) -> None:
    data = make(folder, [3, 4, 5], ["serial"])
    # 1. By whoever passes the file on.
    end = data.splitlines(keepends=True)[-1]
    altered = b"".join(signed_anew(data, change, folder.gateway_key()).splitlines(keepends=True)[:-1]) + end
    report = check(folder, altered)
    assert report.outcome is Outcome.INVALID
    assert report.made.state is State.FALSE
    # 2. By somebody who signs it with a key of his own.
    report = check(folder, signed_anew(data, change, PrivateKey.generate(Algorithm.ED25519)))
    assert report.made.state is State.FALSE
    # 3. By the gateway itself, as far as it is not the one to say so.
    report = check(folder, signed_anew(data, change, folder.gateway_key()))
    assert report.outcome is (Outcome.VALID if own_word else Outcome.INVALID)


def test_an_erased_value_cannot_be_made_up(folder: Folder) -> None:
    data = make(folder, [3, 101], ["serial"])

    def made_up(lines: list[dict[str, Any]]) -> None:
        lines[2]["fields"] = lines[1]["fields"]

    report = check(folder, signed_anew(data, made_up, folder.gateway_key()))
    assert report.records[1][1].outcome is Outcome.INVALID


def test_any_altered_byte_is_found(folder: Folder) -> None:
    data = make(folder, [3], ["serial"])
    verifier = Verifier(site_policy(folder))
    for n in range(0, len(data), 37):
        changed = data[:n] + bytes([data[n] ^ 1]) + data[n + 1 :]
        try:
            report = verify_disclosure(parse_disclosure(changed), verifier)
        except ReceiptError:
            continue
        assert report.made.state is State.FALSE, n


def test_a_policy_that_does_not_know_the_ledger(folder: Folder, tmp_path: Path) -> None:
    with Site(tmp_path / "other", origin="plant-9.example/line-1") as other:
        policy = site_policy(other.folder)
    report = verify_disclosure(parse_disclosure(make(folder, [3], ["serial"])), Verifier(policy))
    assert report.outcome is Outcome.UNTRUSTED


@pytest.mark.parametrize("cut", [0, 1, 50, -1, -2, -60])
def test_what_is_cut_is_no_disclosure(folder: Folder, cut: int) -> None:
    data = make(folder, [3, 4], ["serial"])
    with pytest.raises(ReceiptError):
        parse_disclosure(data[:cut])


def test_the_commands(folder: Folder, tmp_path: Path) -> None:
    def run(*words: object, code: int = 0) -> str:
        command = [sys.executable, "-m", "sealtrail", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60,
                              env=os.environ | {"SEALTRAIL_PASSPHRASE": "p"})  # fmt: skip
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    file, policy = tmp_path / "shown.jsonl", tmp_path / "policy.txt"
    run("policy", "export", "-o", policy, "--data", folder.root)
    chosen = ("--record", "3-5", "--field", "serial", "--to", "auditor-1", "--reason", "recall", "--data", folder.root)
    assert "3 records" in run("disclose", *chosen, "-o", file)
    assert file.read_bytes().startswith(b'{"format":"' + FORMAT.encode())
    said = run("verify", file, "--policy", policy)
    assert "for 'auditor-1'" in said
    assert 'serial = "S000005"' in said
    assert said.endswith("disclosure of 3 records: valid\n")
    found = json.loads(run("verify", file, "--policy", policy, "--json"))
    assert [record["fields"] for record in found["records"]] == [{"serial": f"S00000{n}"} for n in (3, 4, 5)]
    assert (found["result"], found["disclosure"]["state"]) == ("valid", "holds")
    (made,) = json.loads(run("disclose", "--list", "--json", "--data", folder.root))["disclosures"]
    assert (made["made_for"], made["records"], made["fields"]) == ("auditor-1", 3, "serial")
    assert made["digest"] == sha256(file.read_bytes()).hexdigest()
    whole = ("--record", "101", "--field", "decision", "--to", "a", "--reason", "r", "--data", folder.root)
    assert "was erased" in run("disclose", *whole, "-o", tmp_path / "none", code=1)
    assert not (tmp_path / "none").exists()
    # To an auditor's key: only that key opens it, and it names that key.
    named = KeyStore(tmp_path / "keys", Passphrase("p"), cost=Cost(8, 1, 1)).new("auditor-9", KemSuite.X_WING, 0)
    (tmp_path / "a.pub").write_bytes(named.to_json())
    run("disclose", *chosen[:4], "--to", tmp_path / "a.pub", "--data", folder.root, "-o", tmp_path / "sealed")
    assert b"auditor-9" not in (tmp_path / "sealed").read_bytes()
    run("open", tmp_path / "sealed", "--keys", tmp_path / "keys", "-o", tmp_path / "opened")
    assert parse_disclosure((tmp_path / "opened").read_bytes()).header.key == named.key.kid
    assert "for 'auditor-9'" in run("verify", tmp_path / "opened", "--policy", policy)
    file.write_bytes(file.read_bytes().replace(b"auditor-1", b"auditor-2"))
    assert "disclosure of 3 records: invalid" in run("verify", file, "--policy", policy, code=3)
    assert parse_policy(policy.read_bytes())
