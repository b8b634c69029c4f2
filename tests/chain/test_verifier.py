"""A verifier that remembers: what held once vouches for the same bytes only, under the same policy and key.

Every attack of test_verify.py is made again on a verifier that has just verified the true receipts, and has to be
found just as by one that has seen nothing.
"""

import asyncio
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.ledger.embedded import EmbeddedLedger
from chain.ledger.evidence import EmbeddedEvidence
from chain.links import Links
from chain.log.proofs import inclusion_path
from chain.policy import LedgerLine, LogLine, WitnessLine
from chain.receipt import LedgerPart, Receipt
from chain.site import Folder
from chain.verify import Outcome, Verifier, verify_receipt
from crypto.errors import ProofError, SignatureError
from crypto.keys import Algorithm, PrivateKey, PublicKey
from crypto.merkle import leaf_hash, root_of
from crypto.note import Note, NoteSigner, SignatureType, parse_note
from tests.chain import test_verify
from tests.chain.test_verify import CHECKPOINT, ONE_STEP, RECORD, Attack, World, change, flipped, found, seal_of
from tests.support.site import receipts

world = test_verify.world  # the fixture
ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "v1"
ATTACKS: dict[str, Attack] = {
    **{f"checkpoint {name}": attack for name, attack in CHECKPOINT.items()},
    **{f"record {name}": attack for name, attack in RECORD.items()},
    **{name: attack for name, (attack, _) in ONE_STEP.items()},
}
TRUE = ("reading", "production", "neighbour", "later", "beta", "old", "seal", "revoked_before")
PARTS = ("record", "event", "inclusion", "seal", "identity", "anchor", "fields", "checkpoint")


def warm(world: World, remember: int = 256) -> Verifier:
    """A verifier that has just found all true receipts valid."""
    verifier = Verifier(world.policy, remember)
    for name in TRUE:
        assert verifier.verify(getattr(world, name)).outcome is Outcome.VALID
    return verifier


@pytest.fixture
def signatures(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every signature that is verified, in order."""
    seen: list[bytes] = []
    honest = PublicKey._verify

    def noted(key: PublicKey, signature: bytes, message: bytes, context: bytes | None = None) -> None:
        seen.append(signature)
        honest(key, signature, message, context)

    monkeypatch.setattr(PublicKey, "_verify", noted)
    return seen


# -- what is remembered


def test_one_receipt_verifies_no_signature_twice(world: World, signatures: list[bytes]) -> None:
    """Two of the log, two of the ledger, the callers' of enrolment and anchor, and the seal's."""
    assert verify_receipt(world.reading, world.policy).outcome is Outcome.VALID
    assert len(signatures) == len(set(signatures)) == 7


def test_a_neighbour_costs_no_signature_and_another_seal_one(world: World, signatures: list[bytes]) -> None:
    verifier = Verifier(world.policy)
    verifier.verify(world.reading)
    signatures.clear()
    assert verifier.verify(world.neighbour) == verify_receipt(world.neighbour, world.policy)
    assert len(signatures) == 7  # those of the verifier that knew nothing
    signatures.clear()
    assert verifier.verify(world.later).outcome is Outcome.VALID
    assert world.later.seal is not None
    assert signatures == [world.later.seal.signature]


@pytest.mark.parametrize(("remember", "expected"), [(256, [7, 5, 0]), (1, [7, 6, 6]), (0, [9, 9, 9])])
def test_what_was_dropped_is_verified_again(
    world: World, signatures: list[bytes], remember: int, expected: list[int]
) -> None:
    """One event under two checkpoints: its seal and its enrolment are the same. With room for one transaction, that
    of the anchor drives the enrolment's out."""
    verifier = Verifier(world.policy, remember)
    counts = []
    for receipt in (world.reading, world.old, world.reading):
        signatures.clear()
        assert verifier.verify(receipt).outcome is Outcome.VALID
        counts.append(len(signatures))
    assert counts == expected


def test_a_dropped_link_is_refused_when_it_comes_back_altered(world: World) -> None:
    verifier = Verifier(world.policy, remember=1)
    forged = change(world.reading, seal=change(seal_of(world), signature=flipped(seal_of(world).signature)))
    for receipt in (world.reading, world.later, world.old, world.beta):
        assert verifier.verify(receipt).outcome is Outcome.VALID
        assert found(verifier.verify(forged)) == {"seal": "false"}


# -- attacks on it


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_after_true_receipts_is_found_all_the_same(world: World, name: str) -> None:
    verifier, altered = warm(world), ATTACKS[name](world)
    alone = verify_receipt(altered, world.policy)
    assert alone.outcome is not Outcome.VALID
    assert verifier.verify(altered) == alone
    # It was not remembered as true, and it taints no true one.
    assert verifier.verify(altered) == alone
    assert verifier.verify(world.reading).outcome is Outcome.VALID


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_flipped_byte_passes_for_what_was_verified(world: World, data: st.DataObject) -> None:
    verifier = Verifier(world.policy)
    assert verifier.verify(world.production).outcome is Outcome.VALID
    name = data.draw(st.sampled_from(PARTS))
    part = getattr(world.production, name)
    raw = part.encode() if isinstance(part, str) else part
    altered: Any = test_verify._flip_somewhere(raw, data)
    receipt = change(world.production, **{name: altered.decode("latin-1") if isinstance(part, str) else altered})
    report = verifier.verify(receipt)
    assert report.outcome is not Outcome.VALID
    assert report == verify_receipt(receipt, world.policy)


def test_the_same_seal_under_another_key_is_not_the_one_that_held(world: World) -> None:
    links, part = Links(world.policy, 16), seal_of(world)
    assert links.seal(part.seal, part.signature, world.key.public).source == "alpha"
    for other in (PrivateKey.generate(Algorithm.ED25519).public, PrivateKey.generate(Algorithm.ML_DSA_65).public):
        with pytest.raises(SignatureError):
            links.seal(part.seal, part.signature, other)
    with pytest.raises(SignatureError):
        links.seal(part.seal, flipped(part.signature), world.key.public)


def test_a_neighbours_proof_lends_nothing_to_an_altered_one(world: World) -> None:
    """Records 16 to 31 of 50 share what is above them, and each hash of that is still looked at for each of them."""
    links, hashes = Links(world.policy, 16), [leaf_hash(bytes([number])) for number in range(50)]
    root, other = root_of(hashes), root_of(hashes[:49])
    for index in range(50):
        links.included(hashes[index], index, 50, tuple(inclusion_path(hashes, index)), root)
    proof = tuple(inclusion_path(hashes, 20))
    for place, sibling in enumerate(proof):
        for wrong in (flipped(sibling), sibling + b"x"):
            with pytest.raises(ProofError):
                links.included(hashes[20], 20, 50, (*proof[:place], wrong, *proof[place + 1 :]), root)
    false: list[tuple[bytes, int, int, tuple[bytes, ...], bytes]] = [
        (hashes[21], 20, 50, proof, root), (hashes[20], 21, 50, proof, root), (hashes[20], 36, 50, proof, root),
        (hashes[20], 20, 129, proof, root), (hashes[20], 20, 50, proof[:-1], root),
        (hashes[20], 20, 50, (*proof, root), root), (hashes[20], 20, 50, proof, other),
    ]  # fmt: skip
    for arguments in false:
        with pytest.raises(ProofError):
            links.included(*arguments)


def test_a_seal_that_held_is_false_once_its_key_is_shown_to_be_revoked(world: World, tmp_path: Path) -> None:
    """The very same seal, signature and place; only the ledger's evidence is another."""
    folder = Folder(Path(shutil.copytree(world.root, tmp_path / "site")))

    async def reach_back() -> None:
        ledger = EmbeddedLedger(folder.ledger, folder.ledger_name, folder.ledger_signers(), folder.gateway_key())
        kid = test_verify._kid(world.revoked_before)
        await ledger.submit("identities.revoke", f"{folder.origin}#gone".encode(), kid, b"14", b"stolen earlier")
        await ledger.close()

    verifier = warm(world)
    asyncio.run(reach_back())
    with receipts(folder) as builder:
        later = builder.build(13)
    assert later.seal is not None
    assert world.revoked_before.seal is not None
    assert later.seal.signature == world.revoked_before.seal.signature
    assert found(verifier.verify(later)) == {"seal": "false"}


@pytest.mark.parametrize("part", ["identity", "anchor"])
def test_true_ledger_evidence_lends_nothing_to_altered(world: World, part: str) -> None:
    """Known checkpoint and known leaf, put together wrongly: each alone was verified, together they never were."""
    verifier = warm(world)
    mine, other = (_evidence(getattr(receipt, part)) for receipt in (world.reading, world.old))
    assert mine.note != other.note
    mixed = (
        replace(mine, note=other.note), replace(mine, proof=other.proof),
        replace(mine, index=mine.index + 1), replace(mine, leaf=flipped(mine.leaf)),
        replace(mine, leaf=_evidence(getattr(world.beta, "identity" if part == "anchor" else "anchor")).leaf),
    )  # fmt: skip
    for evidence in mixed:
        receipt = change(world.reading, **{part: LedgerPart("embedded", evidence.encode())})
        assert found(verifier.verify(receipt))[part] == "false"
    as_fabric = change(world.reading, **{part: LedgerPart("fabric", mine.encode())})
    assert verifier.verify(as_fabric) == verify_receipt(as_fabric, world.policy)
    assert found(verifier.verify(as_fabric))[part] == "false"


def _evidence(part: LedgerPart | None) -> EmbeddedEvidence:
    assert part is not None
    return EmbeddedEvidence.decode(part.evidence)


def test_another_policy_starts_from_nothing(world: World) -> None:
    warm(world)
    log = _signer(world.policy.logs[0].key.name, SignatureType.ED25519)
    ledger = _signer(world.policy.ledgers[0].key.name, SignatureType.ED25519)
    strangers = replace(world.policy, logs=(LogLine(log.vkey),), ledgers=(LedgerLine("embedded", ledger.vkey),))
    assert found(Verifier(strangers).verify(world.reading))["checkpoint"] == "false"
    nobody = replace(world.policy, logs=(), ledgers=())
    assert Verifier(nobody).verify(world.reading).outcome is Outcome.UNTRUSTED


def test_a_cosignature_that_held_vouches_for_no_note_without_it(world: World) -> None:
    witness = _signer("witness.example/w1", SignatureType.ED25519_COSIGNATURE)
    verifier = Verifier(replace(world.policy, witnesses=(WitnessLine("w1", witness.vkey),), quorum="w1"))
    note = parse_note(world.reading.checkpoint)
    signed = witness.sign(note.text, 1_800_000_000)
    good = _cosigned(world.reading, note, signed)
    bad = _cosigned(world.reading, note, replace(signed, signature=flipped(signed.signature)))
    for _ in range(2):
        assert verifier.verify(good).outcome is Outcome.VALID
        assert found(verifier.verify(world.reading)) == {"witnesses": "missing"}
        assert found(verifier.verify(bad))["checkpoint"] == "false"


def _cosigned(receipt: Receipt, note: Note, signature: Any) -> Receipt:
    return change(receipt, checkpoint=Note(note.text, (*note.signatures, signature)).marshal())


def _signer(name: str, kind: SignatureType) -> NoteSigner:
    return NoteSigner(name, kind, PrivateKey.generate(Algorithm.ED25519))


# -- several files on the command line


def _verify(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sealtrail", "verify", *args, "--policy", str(GOLDEN / "policy.txt")]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)


def test_several_files_are_verified_in_one_call(tmp_path: Path) -> None:
    """Also when one of them is no receipt; the exit code is the worst."""
    good, plain, junk, forged = (
        str(GOLDEN / "production.json"),
        str(GOLDEN / "plain.json"),
        tmp_path / "junk",
        tmp_path / "f",
    )
    tree = json.loads(Path(good).read_bytes())
    forged.write_text(json.dumps(tree | {"index": tree["index"] + 1}))
    junk.write_text("{}")
    assert _verify(good, good).returncode == 0
    assert _verify(good, plain).returncode == 5
    assert _verify(str(forged), good, plain).returncode == 3
    done = _verify(str(junk), good, str(forged), plain, "--json")
    assert done.returncode == 1
    files = [(item["file"], item["result"]) for item in json.loads(done.stdout)]
    assert files == [(str(junk), "error"), (good, "valid"), (str(forged), "invalid"), (plain, "incomplete")]


def test_each_report_of_several_stands_under_its_file(tmp_path: Path) -> None:
    alone = _verify(str(GOLDEN / "production.json")).stdout
    evil = tmp_path / "x\nresult: valid"
    done = _verify(str(GOLDEN / "production.json"), str(evil))
    escaped = str(evil).replace("\n", "\\n")
    assert done.stdout.startswith(f"{GOLDEN / 'production.json'}\n{alone}{escaped}\nerror: cannot read {escaped}")
    assert done.returncode == 1
