"""An auditor follows a site's change of keys from the policy that he trusts, and is not led astray."""

import asyncio
import dataclasses
from contextlib import closing
from pathlib import Path

import pytest

from chain.errors import PolicyError, ReceiptError, UntrustedError
from chain.follow import FORMAT, MAX_BYTES, KeyChangeFile, follow, parse_key_change
from chain.ledger.embedded import EmbeddedLedger
from chain.ledger.evidence import EmbeddedEvidence
from chain.ledger.reading import open_reader
from chain.policy import LedgerLine, LogLine, Policy, WitnessLine
from chain.receipt import LedgerPart
from chain.site import Folder
from chain.verify import Outcome, verify_receipt
from chaincode.state import identity_key, log_key
from crypto.errors import SealtrailError, SignatureError
from crypto.keys import Algorithm, PrivateKey
from crypto.note import NoteSigner, SignatureType
from tests.contract_suite.actors import MemoryLog, log_signers
from tests.support.site import Site, receipts
from tests.support.source import message

Migrated = tuple[Folder, list[Policy], list[KeyChangeFile]]


def files_of(folder: Folder) -> list[KeyChangeFile]:
    return [parse_key_change(path.read_bytes()) for path in sorted((folder.root / "key-changes").iterdir())]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Migrated:
    """A site that changed its keys twice at one size: its folder, its policies, and its files of changed keys."""
    with Site(tmp_path_factory.mktemp("follow") / "site") as site:
        source, policies = site.enrol("thing"), [site.policy]
        site.send(source, message(source.batch(2), source.seal()))
        site.drain()
        for suite in ("ml-dsa-44", "ml-dsa-65"):
            site.run(site.gateway.migrate(suite))
            policies.append(site.policy)
        return site.folder, policies, files_of(site.folder)


def test_each_change_leads_to_the_next_policy(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        source, policies = site.enrol("thing"), [site.policy]
        for suite in ("ml-dsa-44", "ml-dsa-65", "ml-dsa-65"):
            site.send(source, message(source.batch(2), source.seal()))
            site.drain()
            site.run(site.gateway.migrate(suite))
            policies.append(site.policy)
        policy = policies[0]
        for file, expected in zip(files_of(site.folder), policies[1:], strict=True):
            policy = follow(policy, file)
            assert policy == expected
        with receipts(site.folder) as builder:
            assert verify_receipt(builder.build(0), policy).outcome is Outcome.VALID


def test_two_changes_at_one_size(migrated: Migrated) -> None:
    _, policies, files = migrated
    assert follow(follow(policies[0], files[0]), files[1]) == policies[2]
    with pytest.raises(SealtrailError):  # none may be left out
        follow(policies[0], files[1])


def test_what_else_an_auditor_trusts_stays(migrated: Migrated) -> None:
    _, policies, files = migrated
    key = PrivateKey.generate(Algorithm.ML_DSA_44)
    witness = WitnessLine("w", NoteSigner("w.example", SignatureType.ML_DSA_44_COSIGNATURE, key).vkey)
    other = LogLine(log_signers("other.example/log")[0].vkey)
    mine = dataclasses.replace(policies[0], witnesses=(witness,), quorum="w", logs=(other, *policies[0].logs))
    found = follow(mine, files[0])
    assert (found.witnesses, found.quorum) == ((witness,), "w")
    assert found.logs == (other, *policies[1].logs)


def test_files_that_the_policy_does_not_carry_lead_nowhere(migrated: Migrated) -> None:
    folder, policies, files = migrated
    with pytest.raises(UntrustedError):
        follow(dataclasses.replace(policies[0], ledgers=()), files[0])
    with pytest.raises(SealtrailError):  # the ledger's next keys did not sign that checkpoint
        follow(policies[1], files[0])
    with closing(open_reader(folder)) as reader:
        enrolled, rotated = (
            KeyChangeFile.of(reader.evidence_for(key) or LedgerPart("", b""))
            for key in (identity_key(f"{folder.origin}#thing"), log_key(folder.origin))
        )
    with pytest.raises(ReceiptError, match=r"expected logs\.rotate"):
        follow(policies[2], enrolled)
    with pytest.raises(PolicyError, match="other keys"):  # a true change, but not from the keys that are trusted
        follow(policies[2], rotated)


def test_an_altered_file_leads_nowhere(migrated: Migrated) -> None:
    _, policies, files = migrated
    evidence = EmbeddedEvidence.decode(files[0].change.evidence)
    for at in range(0, len(evidence.leaf), 499):
        leaf = evidence.leaf[:at] + bytes([evidence.leaf[at] ^ 1]) + evidence.leaf[at + 1 :]
        altered = dataclasses.replace(evidence, leaf=leaf).encode()
        with pytest.raises(SealtrailError):
            follow(policies[0], KeyChangeFile.of(LedgerPart("embedded", altered)))


async def _accept_anything(tx: object, name: str, args: object) -> bytes:
    """A contract that checks nothing: whoever holds the ledger's keys can run it."""
    return b"\x01"


@pytest.mark.parametrize("spoil", ["old signature", "new signature", "one missing", "foreign name", "foreign ledger"])
def test_a_lying_ledger_cannot_change_the_log_keys(tmp_path: Path, spoil: str) -> None:
    """The ledger's keys alone do not suffice: the log's old keys must have signed, and the new ones."""
    origin, name = "plant.example/gw1", "plant.example/gw1/ledger"
    log, signers = MemoryLog(origin, log_signers(origin)), log_signers(name)
    fresh = log_signers("evil.example/log" if spoil == "foreign name" else origin)
    ledgers = [str(s.vkey) for s in log_signers("evil.example/ledger")] if spoil == "foreign ledger" else []
    args = log.rotation(3, fresh, *ledgers)
    if spoil == "old signature":
        args[2] = PrivateKey.generate(Algorithm.ED25519).sign(args[0], b"sealtrail/log-key-rotation/v1")
    elif spoil == "new signature":
        args[-1] = bytes(len(args[-1]))
    elif spoil == "one missing":
        args.pop()

    async def committed() -> bytes:
        ledger = EmbeddedLedger(
            tmp_path, name, signers, PrivateKey.generate(Algorithm.ED25519), invoke=_accept_anything
        )
        done = await ledger.submit("logs.rotate", *args)
        try:
            return await ledger.evidence(done.index)
        finally:
            await ledger.close()

    file = KeyChangeFile.of(LedgerPart("embedded", asyncio.run(committed())))
    lines = tuple(LedgerLine("embedded", signer.vkey) for signer in signers)
    policy = Policy(tuple(LogLine(signer.vkey) for signer in log.signers), (), (), "none", lines)
    with pytest.raises((SignatureError, PolicyError)):
        follow(policy, file)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"format":"x","change":{"kind":"embedded","evidence":""}}', b"\xff", b" " * (MAX_BYTES + 1),
             b'{"format":"%s","change":{"kind":"embedded","evidence":""},"more":1}' % FORMAT.encode()],
)  # fmt: skip
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(ReceiptError):
        parse_key_change(data)
