"""Every link of a real receipt is altered: the report shows exactly that link as false or missing."""

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.errors import ReceiptError
from chain.event import content_hash
from chain.ledger.embedded import EmbeddedLedger
from chain.ledger.evidence import EmbeddedEvidence
from chain.policy import GroupLine, LedgerLine, LogLine, Policy, WitnessLine, parse_policy
from chain.receipt import LedgerPart, Receipt, SealPart, parse_receipt
from chain.record import Record
from chain.seal import Seal, sign_seal
from chain.site import Folder
from chain.verify import EXIT_CODE, Outcome, Report, State, verify_receipt
from crypto import cbor
from crypto.checkpoint import Checkpoint, sign_checkpoint
from crypto.keys import Algorithm, PrivateKey
from crypto.merkle import leaf_hash
from crypto.note import Note, NoteSigner, SignatureType, parse_note
from gateway.ingest.inbound import Verdict
from gateway.pipeline import opening
from tests.support.fields import INFERENCE, PRODUCTION
from tests.support.site import Site, receipts
from tests.support.source import INFERENCE as INFERENCE_KIND
from tests.support.source import PRODUCTION as PRODUCTION_KIND
from tests.support.source import Source, message

P = TypeVar("P", bound=msgspec.Struct)
STEPS = ("checkpoint", "witnesses", "record", "event", "fields", "identity", "seal", "anchor")


@dataclass(frozen=True)
class World:
    """Receipts of one real site, and the policy that trusts it."""

    policy: Policy
    root: Path
    key: PrivateKey  # of the source alpha
    reading: Receipt
    production: Receipt
    inference: Receipt
    one_field: Receipt
    seal: Receipt
    neighbour: Receipt  # another event of alpha under the same seal
    later: Receipt  # another event of alpha under the next seal
    beta: Receipt
    plain: Receipt
    unsealed: Receipt
    old: Receipt  # the first reading, under an older checkpoint
    revoked_before: Receipt
    revoked_after_evidence: Receipt


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("verify") / "site"
    with Site(root) as site:
        alpha, beta, gone = site.enrol("alpha"), site.enrol("beta", algorithm=Algorithm.ML_DSA_65), site.enrol("gone")
        site.plain("meter")
        _send(site, alpha, message(alpha.batch(3), alpha.seal()))  # 0 to 2, seal 3
        site.drain()
        with receipts(site.folder) as builder:
            old = builder.build(1)
        _send(site, beta, message(beta.batch(3), beta.seal()))  # 4 to 6, seal 7
        made = alpha.event(PRODUCTION, kind=PRODUCTION_KIND), alpha.event(INFERENCE, kind=INFERENCE_KIND)
        _send(site, alpha, message([*made], alpha.seal()))  # 8, 9, seal 10
        assert site.send("meter", b'[{"n":"t","v":1}]', plain="reading") is Verdict.STORED  # 11
        _send(site, alpha, message(alpha.batch(1)))  # 12, not sealed
        _send(site, gone, message(gone.batch(1), gone.seal()))  # 13, seal 14
        site.drain()
        with receipts(site.folder) as builder:
            before = builder.build(13)
        site.run(site.gateway.revoke("gone", "lost"))
        _send(site, beta, message(beta.batch(1)))
        site.drain()
        with receipts(site.folder) as builder:
            build = builder.build
            return World(
                site.policy, root, alpha.key, build(1), build(8), build(9), build(8, ["lot"]), build(3), build(2),
                build(9), build(5), build(11), build(12), old, before, build(13),
            )  # fmt: skip


def _send(site: Site, source: Source, payload: bytes) -> None:
    assert site.send(source, payload) is Verdict.STORED


def found(report: Report) -> dict[str, str]:
    """The steps that do not hold."""
    return {step.name: str(step.state) for step in report.steps if step.state is not State.HOLDS}


def flipped(data: bytes, at: int = -1) -> bytes:
    place = at % len(data)
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def change(part: P, **fields: Any) -> P:
    return msgspec.structs.replace(part, **fields)


def seal_of(world: World) -> SealPart:
    assert world.reading.seal is not None
    return world.reading.seal


# -- what holds


def test_a_true_receipt_holds_in_every_step_and_survives_its_file(world: World) -> None:
    for receipt in (world.reading, world.production, world.inference, world.beta, world.later, world.old):
        report = verify_receipt(parse_receipt(receipt.to_json()), world.policy)
        assert [step.name for step in report.steps] == list(STEPS)
        assert [step.number for step in report.steps] == list(range(1, 9))
        assert (found(report), report.outcome) == ({}, Outcome.VALID)
    assert report.event is not None


def test_what_a_receipt_proves_is_what_the_source_said(world: World) -> None:
    report = verify_receipt(world.production, world.policy)
    assert dict(report.fields)["lot"] == "LOT-77"
    assert report.event is not None
    assert json.loads(report.event.payload) == PRODUCTION


def test_undisclosed_content_is_no_fault(world: World) -> None:
    report = verify_receipt(world.one_field, world.policy)
    assert found(report) == {"event": "missing"}
    assert report.outcome is Outcome.VALID
    assert report.fields == (("lot", "LOT-77"),)


def test_a_seal_record_proves_itself(world: World) -> None:
    report = verify_receipt(world.seal, world.policy)
    assert (found(report), report.outcome) == ({"event": "missing", "fields": "missing"}, Outcome.VALID)


@pytest.mark.parametrize(
    ("which", "missing"), [("plain", {"identity": "missing", "seal": "missing"}), ("unsealed", {"seal": "missing"})]
)
def test_a_link_that_was_never_made_is_missing_and_not_false(world: World, which: str, missing: dict[str, str]) -> None:
    report = verify_receipt(getattr(world, which), world.policy)
    assert (found(report), report.outcome) == (missing, Outcome.INCOMPLETE)


def test_a_seal_from_before_a_revocation_still_holds(world: World) -> None:
    for receipt in (world.revoked_before, world.revoked_after_evidence):
        assert verify_receipt(receipt, world.policy).outcome is Outcome.VALID
    text = next(
        s.text for s in verify_receipt(world.revoked_after_evidence, world.policy).steps if s.name == "identity"
    )
    assert "gone" in text


# -- what does not

Attack = Callable[[World], Receipt]
NEEDS_RECORD = {"event": "missing", "fields": "missing", "identity": "missing", "seal": "missing"}
NEEDS_CHECKPOINT = NEEDS_RECORD | {"witnesses": "missing", "record": "missing", "anchor": "missing"}


def _record_field(**changed: Any) -> Attack:
    return lambda w: change(w.reading, record=change(Record.decode(w.reading.record), **changed).encode())


def _signature_line(number: int) -> Attack:
    def attack(w: World) -> Receipt:
        lines = w.reading.checkpoint.split("\n")
        at = [i for i, line in enumerate(lines) if line.startswith("— ")][number]
        middle = len(lines[at]) // 2
        letter = "A" if lines[at][middle] != "A" else "B"
        lines[at] = lines[at][:middle] + letter + lines[at][middle + 1 :]
        return change(w.reading, checkpoint="\n".join(lines))

    return attack


def _checkpoint_line(number: int, text: Callable[[str], str]) -> Attack:
    def attack(w: World) -> Receipt:
        lines = w.reading.checkpoint.split("\n")
        lines[number] = text(lines[number])
        return change(w.reading, checkpoint="\n".join(lines))

    return attack


def _unsigned_by(number: int) -> Attack:
    def attack(w: World) -> Receipt:
        lines = w.reading.checkpoint.split("\n")
        signed = [line for line in lines if line.startswith("— ")]
        return change(w.reading, checkpoint="\n".join(line for line in lines if line != signed[number]))

    return attack


def _another_root(text: str) -> str:
    return ("A" if text[0] != "A" else "B") + text[1:]


CHECKPOINT: dict[str, Attack] = {
    "root": _checkpoint_line(2, _another_root),
    "size": _checkpoint_line(1, lambda size: str(int(size) + 1)),
    "Ed25519 signature": _signature_line(0),
    "ML-DSA signature": _signature_line(1),
    "without Ed25519": _unsigned_by(0),
    "without ML-DSA": _unsigned_by(1),
    "not a note": lambda w: change(w.reading, checkpoint="hello"),
    "empty": lambda w: change(w.reading, checkpoint=""),
    "extension line": _checkpoint_line(2, lambda root: root + "\nextension"),
}


@pytest.mark.parametrize("name", CHECKPOINT)
def test_an_altered_checkpoint_is_false_and_nothing_rests_on_it(world: World, name: str) -> None:
    report = verify_receipt(CHECKPOINT[name](world), world.policy)
    assert found(report) == NEEDS_CHECKPOINT | {"checkpoint": "false"}
    assert report.outcome is Outcome.INVALID
    assert (report.record, report.event, report.fields) == (None, None, ())


RECORD: dict[str, Attack] = {
    "last byte": lambda w: change(w.reading, record=flipped(w.reading.record)),
    "first byte": lambda w: change(w.reading, record=flipped(w.reading.record, 0)),
    "sensed time": _record_field(sensed_us=1),
    "flags": _record_field(flags=0x4),
    "source": _record_field(source="beta"),
    "number": _record_field(seq=2),
    "index": lambda w: change(w.reading, index=2),
    "index beyond the log": lambda w: change(w.reading, index=10**9),
    "an inclusion hash": lambda w: change(w.reading, inclusion=(bytes(32), *w.reading.inclusion[1:])),
    "a hash too few": lambda w: change(w.reading, inclusion=w.reading.inclusion[:-1]),
    "a hash too many": lambda w: change(w.reading, inclusion=(*w.reading.inclusion, bytes(32))),
    "another record's proof": lambda w: change(w.reading, inclusion=w.neighbour.inclusion),
    "another record": lambda w: change(w.reading, record=w.neighbour.record),
    "an older checkpoint": lambda w: change(w.reading, checkpoint=w.old.checkpoint, anchor=w.old.anchor),
    "no record": lambda w: change(w.reading, record=b""),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORD)
def test_an_altered_record_is_false_and_nothing_rests_on_it(world: World, name: str) -> None:
    report = verify_receipt(RECORD[name](world), world.policy)
    assert found(report) == NEEDS_RECORD | {"record": "false"}
    assert report.outcome is Outcome.INVALID


def _field(**changed: Any) -> Attack:
    def attack(w: World) -> Receipt:
        first, *others = w.production.fields
        return change(w.production, fields=(change(first, **changed), *others))

    return attack


def _swapped_values(w: World) -> Receipt:
    a, b, *others = w.production.fields
    return change(w.production, fields=(change(a, value=b.value), change(b, value=a.value), *others))


def _seal(**changed: Any) -> Attack:
    return lambda w: change(w.reading, seal=change(seal_of(w), **changed))


def _seal_of(which: str, receipt: str = "reading") -> Attack:
    return lambda w: change(getattr(w, receipt), seal=getattr(w, which).seal)


def _resealed_by_a_thief(w: World) -> Receipt:
    thief = Source("alpha", seq=3, events={})
    assert w.reading.event is not None
    thief.events = {1: w.reading.event}
    seal = sign_seal(thief.draft(first=1, count=1), thief.key)
    return change(w.reading, seal=change(seal_of(w), seal=seal.seal, signature=seal.signature, range_proof=()))


def _sealed_by_the_source_but_not_logged(w: World) -> Receipt:
    owner = Source("alpha", w.key)
    assert w.reading.event is not None
    owner.events = {1: w.reading.event}
    seal = sign_seal(owner.draft(first=1, count=1), owner.key)
    return change(w.reading, seal=change(seal_of(w), seal=seal.seal, signature=seal.signature, range_proof=()))


ONE_STEP: dict[str, tuple[Attack, dict[str, str]]] = {
    "event byte": (lambda w: change(w.reading, event=flipped(w.reading.event or b'')), {"event": "false"}),
    "event cut": (lambda w: change(w.reading, event=(w.reading.event or b'')[:-1]), {"event": "false"}),
    "event of the neighbour": (lambda w: change(w.reading, event=w.neighbour.event), {"event": "false"}),
    "event empty": (lambda w: change(w.reading, event=b""), {"event": "false"}),
    "field value": (_field(value=cbor.encode("04099999000009")), {"fields": "false"}),
    "field value of another type": (_field(value=cbor.encode(4012345123456)), {"fields": "false"}),
    "field value that is no CBOR": (_field(value=b"\xff"), {"fields": "false"}),
    "field path": (_field(path="lot"), {"fields": "false"}),
    "field salt": (_field(salt=bytes(32)), {"fields": "false"}),
    "field position": (_field(position=1), {"fields": "false"}),
    "field position beyond": (_field(position=99), {"fields": "false"}),
    "field proof": (_field(proof=()), {"fields": "false"}),
    "field values swapped": (_swapped_values, {"fields": "false"}),
    "field count": (lambda w: change(w.production, field_count=3), {"fields": "false"}),
    "fields of another event": (lambda w: change(w.reading, fields=w.neighbour.fields), {"fields": "false"}),
    "seal byte": (_seal(seal=b"\xa9" + bytes(60)), {"seal": "false"}),
    "seal last byte": (lambda w: _seal(seal=flipped(seal_of(w).seal))(w), {"seal": "false"}),
    "seal signature": (lambda w: _seal(signature=flipped(seal_of(w).signature))(w), {"seal": "false"}),
    "seal signature gone": (_seal(signature=b""), {"seal": "false"}),
    "seal range proof": (_seal(range_proof=(bytes(32), bytes(32))), {"seal": "false"}),
    "seal range proof gone": (_seal(range_proof=()), {"seal": "false"}),
    "seal record": (lambda w: _seal(record=flipped(seal_of(w).record))(w), {"seal": "false"}),
    "seal record of an event": (lambda w: _seal(record=w.reading.record)(w), {"seal": "false"}),
    "seal index": (_seal(index=2), {"seal": "false"}),
    "seal inclusion": (_seal(inclusion=()), {"seal": "false"}),
    "seal of another range": (_seal_of("later"), {"seal": "false"}),
    "seal of another source": (_seal_of("beta"), {"seal": "false"}),
    "seal by a thief's key": (_resealed_by_a_thief, {"seal": "false"}),
    "seal that was never logged": (_sealed_by_the_source_but_not_logged, {"seal": "false"}),
    "seal record with another's seal": (_seal_of("later", "seal"),
                                        {"seal": "false", "event": "missing", "fields": "missing"}),
    "seal left out": (lambda w: change(w.reading, seal=None), {"seal": "missing"}),
    "identity of another source": (lambda w: change(w.reading, identity=w.beta.identity),
                                   {"identity": "false", "seal": "missing"}),
    "identity that is an anchor": (lambda w: change(w.reading, identity=w.reading.anchor),
                                   {"identity": "false", "seal": "missing"}),
    "identity left out": (lambda w: change(w.reading, identity=None), {"identity": "missing", "seal": "missing"}),
    "identity of an unknown ledger": (lambda w: change(w.reading, identity=LedgerPart("carrier-pigeon", b"")),
                                      {"identity": "false", "seal": "missing"}),
    "anchor of another checkpoint": (lambda w: change(w.reading, anchor=w.old.anchor), {"anchor": "false"}),
    "anchor that is an enrolment": (lambda w: change(w.reading, anchor=w.reading.identity), {"anchor": "false"}),
    "anchor left out": (lambda w: change(w.reading, anchor=None), {"anchor": "missing"}),
    "anchor is junk": (lambda w: change(w.reading, anchor=LedgerPart("embedded", b"junk")), {"anchor": "false"}),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_STEP)
def test_an_altered_link_is_found_and_no_other(world: World, name: str) -> None:
    attack, expected = ONE_STEP[name]
    report = verify_receipt(attack(world), world.policy)
    assert found(report) == expected
    false = "false" in expected.values()
    assert report.outcome is (Outcome.INVALID if false else Outcome.INCOMPLETE)


def _evidence(part: str, **changed: Any) -> Attack:
    def attack(w: World) -> Receipt:
        whole: LedgerPart = getattr(w.reading, part)
        evidence = EmbeddedEvidence.decode(whole.evidence)
        values = {name: value(evidence) if callable(value) else value for name, value in changed.items()}
        altered = LedgerPart(whole.kind, replace(evidence, **values).encode())
        return change(w.reading, **{part: altered})

    return attack


@pytest.mark.parametrize("part", ["identity", "anchor"])
@pytest.mark.parametrize(
    "changed",
    [
        {"leaf": lambda e: flipped(e.leaf)}, {"leaf": b""}, {"index": lambda e: e.index + 1}, {"proof": ()},
        {"proof": lambda e: (flipped(e.proof[0]), *e.proof[1:])}, {"note": ""},
        {"note": lambda e: e.note.replace("\n14\n", "\n15\n").replace("\n11\n", "\n12\n")[:-8] + "AAAAAAA\n"},
    ],
    ids=["leaf byte", "no leaf", "index", "no proof", "proof hash", "no note", "signature"],
)  # fmt: skip
def test_altered_ledger_evidence_is_false(world: World, part: str, changed: dict[str, Any]) -> None:
    expected = {part: "false"} | ({"seal": "missing"} if part == "identity" else {})
    report = verify_receipt(_evidence(part, **changed)(world), world.policy)
    assert (found(report), report.outcome) == (expected, Outcome.INVALID)


def test_a_seal_at_a_place_where_its_key_was_revoked_is_false(world: World, tmp_path: Path) -> None:
    """The revocation reaches back before the seal, as one does when a theft is noticed late."""
    folder = Folder(Path(shutil.copytree(world.root, tmp_path / "site")))

    async def reach_back() -> None:
        ledger = EmbeddedLedger(folder.ledger, folder.ledger_name, folder.ledger_signers(), folder.gateway_key())
        await ledger.submit(
            "identities.revoke", f"{folder.origin}#gone".encode(), _kid(world.revoked_before), b"14", b"stolen earlier"
        )
        await ledger.close()

    asyncio.run(reach_back())
    with receipts(folder) as builder:
        report = verify_receipt(builder.build(13), world.policy)
        assert (found(report), report.outcome) == ({"seal": "false"}, Outcome.INVALID)


def _kid(receipt: Receipt) -> bytes:
    assert receipt.seal is not None
    return Seal.decode(receipt.seal.seal).kid


# -- a gateway that lies in what it logs, with all its own keys


@pytest.mark.parametrize(
    ("index", "lie", "expected"),
    [
        (0, {"seq": 7}, {"event": "false", "fields": "false", "seal": "missing"}),
        (0, {"kind": 2}, {"event": "false"}),
        (2, {"count": 3}, {"event": "missing", "fields": "missing", "seal": "false"}),
        (2, {"sensed_us": 1}, {"event": "missing", "fields": "missing", "seal": "false"}),
    ],
    ids=["number", "kind", "sealed count", "time of signing"],
)
def test_a_record_that_says_otherwise_than_the_source_is_false(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: int, lie: dict[str, int], expected: dict[str, str]
) -> None:
    """It holds in the log, on the ledger and under the gateway's signatures, and is still no word of the source."""
    honest, wanted = Record.encode, 4 if index == 2 else 1
    monkeypatch.setattr(opening, "native", None)  # the native core makes records of readings by itself
    with Site(tmp_path / "site") as site:
        source = site.enrol("alpha")

        def lying(record: Record) -> bytes:
            meant = record.kind == wanted and record.seq == 0
            return honest(change(record, **lie) if meant else record)

        monkeypatch.setattr(Record, "encode", lying)
        site.without_native_core()
        _send(site, source, message(source.batch(2), source.seal()))
        monkeypatch.undo()
        site.drain()
        with receipts(site.folder) as builder:
            report = verify_receipt(builder.build(index), site.policy)
    assert found(report) == expected
    assert report.outcome is Outcome.INVALID


# -- policies


def _policy(w: World, **changed: Any) -> Policy:
    return replace(w.policy, **changed)


def test_a_policy_that_knows_neither_log_nor_ledger_trusts_nothing(world: World) -> None:
    report = verify_receipt(world.reading, _policy(world, logs=()))
    assert found(report) == NEEDS_CHECKPOINT | {"checkpoint": "false"}
    assert report.outcome is Outcome.UNTRUSTED


def test_a_policy_without_the_ledgers_key_trusts_neither_identity_nor_anchor(world: World) -> None:
    report = verify_receipt(world.reading, _policy(world, ledgers=()))
    assert found(report) == {"identity": "false", "anchor": "false", "seal": "missing"}
    assert report.outcome is Outcome.UNTRUSTED


def _signer(name: str, algorithm: Algorithm, kind: SignatureType) -> NoteSigner:
    return NoteSigner(name, kind, PrivateKey.generate(algorithm))


def test_other_keys_of_the_same_names_are_not_believed(world: World) -> None:
    other = _signer(world.policy.logs[0].key.name, Algorithm.ED25519, SignatureType.ED25519)
    report = verify_receipt(world.reading, _policy(world, logs=(LogLine(other.vkey),)))
    assert (found(report)["checkpoint"], report.outcome) == ("false", Outcome.INVALID)
    ledger = _signer(world.policy.ledgers[0].key.name, Algorithm.ED25519, SignatureType.ED25519)
    report = verify_receipt(world.reading, _policy(world, ledgers=(LedgerLine("embedded", ledger.vkey),)))
    assert found(report) == {"identity": "false", "anchor": "false", "seal": "missing"}
    assert report.outcome is Outcome.INVALID


def test_a_quorum_that_is_not_reached_is_missing(world: World) -> None:
    witness = _signer("witness.example/w1", Algorithm.ED25519, SignatureType.ED25519_COSIGNATURE)
    line = WitnessLine("w1", witness.vkey)
    policy = _policy(world, witnesses=(line,), quorum="w1")
    report = verify_receipt(world.reading, policy)
    assert (found(report), report.outcome) == ({"witnesses": "missing"}, Outcome.INCOMPLETE)
    note = parse_note(world.reading.checkpoint)
    cosigned = Note(note.text, (*note.signatures, witness.sign(note.text, 1_800_000_000))).marshal()
    assert verify_receipt(change(world.reading, checkpoint=cosigned), policy).outcome is Outcome.VALID
    group = (GroupLine("both", 2, ("w1", "w2")),)
    other = WitnessLine("w2", _signer("w2.example", Algorithm.ED25519, SignatureType.ED25519_COSIGNATURE).vkey)
    two = _policy(world, witnesses=(line, other), groups=group, quorum="both")
    assert verify_receipt(change(world.reading, checkpoint=cosigned), two).outcome is Outcome.INCOMPLETE


def test_a_checkpoint_that_the_log_signed_but_nobody_anchored_is_not_enough(world: World) -> None:
    """The gateway's keys alone: a private fork for one auditor has no ledger evidence."""
    folder = Folder(world.root)
    lone = Checkpoint(folder.origin, 1, leaf_hash(world.reading.record))
    note = sign_checkpoint(lone, folder.log_signers(), 1_800_000_000).marshal()
    fork = change(world.reading, index=0, inclusion=(), checkpoint=note, seal=None)
    report = verify_receipt(fork, world.policy)
    assert (found(report), report.outcome) == ({"anchor": "false", "seal": "missing"}, Outcome.INVALID)
    report = verify_receipt(change(fork, anchor=None), world.policy)
    assert (found(report), report.outcome) == ({"anchor": "missing", "seal": "missing"}, Outcome.INCOMPLETE)


def test_the_four_outcomes_have_four_exit_codes() -> None:
    assert [EXIT_CODE[o] for o in (Outcome.VALID, Outcome.INVALID, Outcome.UNTRUSTED, Outcome.INCOMPLETE)] == [
        0,
        3,
        4,
        5,
    ]


# -- nothing crashes it


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_a_receipt_error(data: bytes) -> None:
    with pytest.raises(ReceiptError):
        parse_receipt(data)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_receipt_with_any_part_replaced_gives_a_report_or_a_receipt_error(world: World, data: st.DataObject) -> None:
    receipt = data.draw(st.sampled_from(["reading", "production", "seal", "beta", "plain"]))
    tree = json.loads(getattr(world, receipt).to_json())
    place: Any = tree
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
            place = place[key]
            continue
        break
    encoded = st.binary(max_size=60).map(lambda raw: msgspec.json.decode(msgspec.json.encode(raw)))
    place[key] = data.draw(_json | encoded)
    try:
        parsed = parse_receipt(json.dumps(tree).encode("utf-8", "surrogatepass"))
    except ReceiptError:
        return
    report = verify_receipt(parsed, world.policy)
    assert len(report.steps) == 8


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_flipped_byte_anywhere_in_the_proof_goes_unnoticed(world: World, data: st.DataObject) -> None:
    """In any byte string of a receipt: changed content never leaves everything as it was."""
    receipt = world.production
    name = data.draw(st.sampled_from(["record", "event", "inclusion", "seal", "identity", "anchor", "fields"]))
    altered = _flip_somewhere(getattr(receipt, name), data)
    report = verify_receipt(change(receipt, **{name: altered}), world.policy)
    assert report.outcome is not Outcome.VALID


def _flip_somewhere(part: Any, data: st.DataObject) -> Any:
    if isinstance(part, bytes):
        at = data.draw(st.integers(0, len(part) - 1))
        bit = data.draw(st.integers(0, 7))
        return part[:at] + bytes([part[at] ^ 1 << bit]) + part[at + 1 :]
    if isinstance(part, tuple):
        at = data.draw(st.integers(0, len(part) - 1))
        return (*part[:at], _flip_somewhere(part[at], data), *part[at + 1 :])
    inside = [n for n in part.__struct_fields__ if isinstance(getattr(part, n), bytes | tuple) and getattr(part, n)]
    name = data.draw(st.sampled_from(inside))
    return change(part, **{name: _flip_somewhere(getattr(part, name), data)})


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=200))
def test_arbitrary_checkpoints_give_a_report(world: World, text: str) -> None:
    report = verify_receipt(change(world.reading, checkpoint=text), world.policy)
    assert report.outcome is not Outcome.VALID


def test_a_policy_as_text_says_the_same(world: World) -> None:
    policy = parse_policy(world.policy.to_text(False))
    assert verify_receipt(world.reading, policy).outcome is Outcome.VALID
    assert world.reading.event is not None
    assert content_hash(world.reading.event) == Record.decode(world.reading.record).content_hash
