"""A gateway whose key was lost or stolen comes back by its offline key, and by nothing else."""

import asyncio
from pathlib import Path

import pytest

from chain.acknowledgement import open_acknowledgement
from chain.errors import LedgerError
from chain.fsck import fsck
from chain.handover import hand_over
from chain.verify import Outcome, verify_receipt
from chaincode.errors import Code, ContractError
from crypto.errors import SignatureError
from crypto.files import write_durably
from crypto.keys import Algorithm, PrivateKey
from crypto.merkle import MAX_TREE_SIZE
from gateway.ingest.inbound import Verdict
from gateway.keychange.errors import MigrationError
from gateway.keychange.recovery import recover, register
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


def _require_closed_to_the_thief(site: Site, stolen: PrivateKey) -> None:
    async def act() -> None:
        await site.gateway.ledger._ledger.as_caller(stolen).submit("identities.revoke", b"x", b"x", b"0", b"x")

    with pytest.raises(ContractError) as refused:
        site.run(act())
    assert refused.value.code is Code.KEY_CLOSED


def _offline() -> PrivateKey:
    return PrivateKey.generate(Algorithm.ML_DSA_44)


def test_the_recovery_key_hands_over_to_another_one(tmp_path: Path) -> None:
    rescue, other = _offline(), _offline()
    with Site(tmp_path / "site") as site:
        config = site.config
        with pytest.raises(MigrationError, match="has no recovery key yet"):
            site.run(register(config, rescue, other))
        site.run(register(config, rescue, None))
        with pytest.raises(MigrationError, match="has a recovery key, which must sign"):
            site.run(register(config, other, None))
        site.run(register(config, other, rescue))
    with pytest.raises(ContractError, match="bad-signature"):
        asyncio.run(recover(config, rescue, None))
    asyncio.run(recover(config, other, None))
    with Site(tmp_path / "site") as site:
        assert site.gateway.status().problems == ()


def test_a_recovery_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    """The ledger has the new key, the folder the old one still."""
    offline, keys = _offline(), tmp_path / "site" / "keys"
    with Site(tmp_path / "site") as site:
        old, config = site.folder.gateway_key(), site.config
        site.run(register(config, offline, None))
    new = asyncio.run(recover(config, offline, None))
    write_durably(keys / "recovered.pem", new.to_pem(), mode=0o600)
    write_durably(keys / "gateway.pem", old.to_pem(), mode=0o600)
    with pytest.raises(LedgerError, match=r"another key than keys/gateway\.pem"), Site(tmp_path / "site"):
        pass
    assert asyncio.run(recover(config, offline, None)).public == new.public
    with Site(tmp_path / "site") as site:
        assert site.gateway.status().problems == ()


def test_a_recovery_that_missed_its_last_step_is_not_mistaken_for_the_next_one(tmp_path: Path) -> None:
    """What was left behind is the gateway's key, which may be the one that was stolen since."""
    offline, keys = _offline(), tmp_path / "site" / "keys"
    with Site(tmp_path / "site") as site:
        config = site.config
        site.run(register(config, offline, None))
    stolen = asyncio.run(recover(config, offline, None))
    write_durably(keys / "recovered.pem", stolen.to_pem(), mode=0o600)
    new = asyncio.run(recover(config, offline, None))
    assert new.public != stolen.public
    assert not (keys / "recovered.pem").exists()
    with Site(tmp_path / "site") as site:
        _require_closed_to_the_thief(site, stolen)


def test_a_recovered_gateway_changes_its_keys_whatever_the_thief_rotated_to(tmp_path: Path) -> None:
    """The thief's key counts from the end of all numbers on."""
    offline = _offline()
    with Site(tmp_path / "site") as site:
        config, stolen, thief = site.config, site.folder.gateway_key(), _offline()
        site.run(register(config, offline, None))
        rotated = hand_over(site.folder.origin, stolen, thief, MAX_TREE_SIZE)
        site.run(site.gateway.ledger.submit("identities.rotate", *rotated.arguments()))
    asyncio.run(recover(config, offline, 0))
    with Site(tmp_path / "site") as site:
        source = site.enrol("thing")
        site.run(site.gateway.migrate("ml-dsa-44"))
        _grow(site, source)
        assert site.gateway.status().problems == ()
        fsck(site.folder)
