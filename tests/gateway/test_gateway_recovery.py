"""A gateway whose key was lost or stolen comes back by its offline key, and by nothing else."""

from pathlib import Path

import pytest

from chain.acknowledgement import open_acknowledgement
from chain.fsck import fsck
from chain.verify import Outcome, verify_receipt
from chaincode.errors import Code, ContractError
from crypto.errors import SignatureError
from crypto.files import private_key_at
from crypto.keys import Algorithm
from gateway.ingest.inbound import Verdict
from tests.e2e.programs import run
from tests.support.site import Site, receipts
from tests.support.source import Source, message

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key store with two offline keys."""
    pytest.importorskip("pqcrypto", reason="needs the extra 'pqcrypto'")
    monkeypatch.setenv("SEALTRAIL_PASSPHRASE", PASSPHRASE)
    folder = tmp_path / "offline"
    run("keys", "new", "--suite", "slh-dsa-sha2-128s", "--name", "rescue", "--keys", folder)
    run("keys", "new", "--suite", "ml-dsa-65", "--name", "other", "--keys", folder)
    return folder


def _grow(site: Site, source: Source) -> None:
    assert site.send(source, message(source.batch(1), source.seal())) is Verdict.STORED
    site.drain()


def test_a_lost_gateway_key_is_recovered_by_the_offline_key_only(tmp_path: Path, keys: Path) -> None:
    data = tmp_path / "site"
    with Site(data) as site:
        source = site.enrol("thing")
        _grow(site, source)
        run("keys", "set-recovery", "rescue", "--keys", keys, "--data", data)  # while it runs
        _grow(site, source)
        again = run("keys", "set-recovery", "other", "--keys", keys, "--data", data, check=1)
        assert "has a recovery key, which must sign" in again.stderr
        refused = run("keys", "recover", "rescue", "--keys", keys, "--data", data, check=1)
        assert "another gateway runs" in refused.stderr
        stolen = site.folder.gateway_key()
    wrong = run("keys", "recover", "other", "--keys", keys, "--data", data, check=1)
    assert "bad-signature" in wrong.stderr
    assert site.folder.gateway_key().public == stolen.public
    (data / "keys" / "gateway.pem").unlink()  # lost
    run("keys", "recover", "rescue", "--keys", keys, "--data", data, "--compromised-from", "2")
    with Site(data) as site:
        assert site.folder.gateway_key().public != stolen.public
        _grow(site, source)
        with receipts(site.folder) as builder, site.reader() as reader:
            outcomes = {verify_receipt(builder.build(i), site.policy).outcome for i in range(reader.entries.size())}
        assert outcomes == {Outcome.VALID}
        fsck(site.folder)
        said = site.gateway.said[-1][1]
        open_acknowledgement(said, site.folder.gateway_key().public)
        with pytest.raises(SignatureError):
            open_acknowledgement(said, stolen.public)
        _require_closed_to_the_thief(site, stolen)


def _require_closed_to_the_thief(site: Site, stolen: object) -> None:
    async def act() -> None:
        await site.gateway.ledger._ledger.as_caller(stolen).submit("identities.revoke", b"x", b"x", b"0", b"x")

    with pytest.raises(ContractError) as refused:
        site.run(act())
    assert refused.value.code is Code.KEY_CLOSED


def test_the_recovery_key_hands_over_to_another_one(tmp_path: Path, keys: Path) -> None:
    data = tmp_path / "site"
    with Site(data):
        pass
    missing = run("keys", "set-recovery", "rescue", "--former", "other", "--keys", keys, "--data", data, check=1)
    assert "has no recovery key yet" in missing.stderr
    run("keys", "set-recovery", "rescue", "--keys", keys, "--data", data)
    run("keys", "set-recovery", "other", "--former", "rescue", "--keys", keys, "--data", data)
    refused = run("keys", "recover", "rescue", "--keys", keys, "--data", data, check=1)
    assert "bad-signature" in refused.stderr
    run("keys", "recover", "other", "--keys", keys, "--data", data)
    with Site(data) as site:
        assert site.gateway.status().problems == ()


def test_a_recovery_that_was_interrupted_goes_on(tmp_path: Path, keys: Path) -> None:
    """The ledger has the new key, the folder the old one still."""
    data = tmp_path / "site"
    with Site(data) as site:
        old = site.folder.gateway_key().to_pem()
    run("keys", "set-recovery", "other", "--keys", keys, "--data", data)
    run("keys", "recover", "other", "--keys", keys, "--data", data)
    new = (data / "keys" / "gateway.pem").read_bytes()
    (data / "keys" / "recovered.pem").write_bytes(new)
    (data / "keys" / "recovered.pem").chmod(0o600)
    (data / "keys" / "gateway.pem").write_bytes(old)
    run("keys", "recover", "other", "--keys", keys, "--data", data)
    assert private_key_at(data / "keys" / "gateway.pem", Algorithm.ED25519).to_pem() == new
    with Site(data) as site:
        assert site.gateway.status().problems == ()
