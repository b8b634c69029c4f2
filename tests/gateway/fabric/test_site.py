"""A whole gateway on a real Fabric channel: enrolled, anchored, proved, found again after a restart."""

import dataclasses
import io
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("grpc", reason="needs the extra 'fabric'")
pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")

from chain.errors import ForkError, FsckError, StoreError
from chain.fsck import fsck
from chain.ledger.fabric.kept import KeptProofs
from chain.policies import site_policy
from chain.receipt import parse_receipt
from chain.site import Folder
from chain.verify import Outcome, verify_receipt
from chaincode.exchange_records import DeliveryStatement
from chaincode.exchange_records import Verdict as Said
from chaincode.identity_records import Identity, source_handle
from chaincode.log_records import AnchorAnswer, AnchorStatus
from chaincode.state import identity_key
from crypto import labels
from crypto.checkpoint import Checkpoint, sign_checkpoint
from crypto.envelope.objects import seal
from gateway.enrolment import NotAdmittedError
from gateway.ingest.inbound import Verdict
from gateway.ledgers import open_channel
from network.lifecycle import down as network_down
from network.lifecycle import up
from network.partners import new_organisations, propose, sign, submit
from network.topology import Consensus, Ordering, Organisation
from tests.contract_suite.actors import Actor
from tests.contract_suite.parties import Partner
from tests.e2e.programs import run
from tests.network.networks import PARTNERS, RunningNetwork, running, topology
from tests.support.site import Site, receipts
from tests.support.source import Source, message
from tests.torture.scale import long_only

pytestmark = pytest.mark.fabric
PLANT, CARRIER, PHARMACY = PARTNERS


def on_fabric(channel: RunningNetwork, msp_id: str) -> dict[str, Any]:
    return {"ledger": "fabric", "fabric": {"profile": channel.profiles[msp_id]}}


def _revoke_from_elsewhere(site: Site, name: str) -> None:
    """By the gateway's key, but not by the running gateway."""

    handle = source_handle(site.folder.origin, name).encode()

    async def act() -> None:
        async with open_channel(site.config.fabric, site.folder.gateway_key()) as ledger:
            key = Identity.decode(await ledger.evaluate("identities.get", handle)).keys[-1].key
            await ledger.submit("identities.revoke", handle, key.kid, b"9", b"stolen")

    site.run(act())


def _grow(site: Site, name: str, count: int) -> None:
    source = site.enrol(name)
    assert site.send(source, message(source.batch(count), source.seal())) is Verdict.STORED
    site.drain()


def _outcomes(site: Site) -> set[Outcome]:
    with receipts(site.folder) as builder, site.reader() as reader:
        size = reader.entries.size()
        files = [builder.build(index).to_json() for index in range(size)]
    policy = site_policy(site.folder)
    return {verify_receipt(parse_receipt(file), policy).outcome for file in files}


def _round_of_an_object(site: Site) -> None:
    """A partner, a grant, a receipt and a revocation by a gateway's own parts, on a ledger of several companies."""
    parts = site.gateway.objects
    a = Partner(Actor("plant-partner", site.folder.origin, role="partner"))
    target = io.BytesIO()
    seal(io.BytesIO(b"certificate"), target, [a.kem.public])

    async def round_trip() -> None:
        await parts.partners.enrol(a.handle, a.actor.key.public, 0, a.actor.possession())
        await parts.partners.publish(a.handle, a.kem.public, a.publication()[3])
        stored = await parts.keeper.take(_once(target.getvalue()))
        await parts.exchange.grant(stored.object_id, [a.handle])
        said = DeliveryStatement(stored.object_id, stored.digest, a.handle, Said.OPENED, "", 7).encode()
        await parts.exchange.receive(said, a.actor.key.sign(said, labels.DELIVERY_RECEIPT))
        await parts.exchange.revoke(stored.object_id, a.handle, "ended")
        (found,) = await parts.exchange.grants(stored.object_id)
        assert [said.kid for said in found.deliveries] == [a.actor.key.public.kid]
        assert found.record.revoked is not None
        assert (await parts.exchange.facts(stored.object_id)).digest == stored.digest

    site.run(round_trip())


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def test_from_the_device_to_a_receipt_and_through_a_restart(channel: RunningNetwork, tmp_path: Path) -> None:
    settings = on_fabric(channel, PLANT) | {"origin": "plant.example/one"}
    with Site(tmp_path / "site", **settings) as site:
        _grow(site, "plant-logger-1", 5)
        assert site.gateway.status().problems == ()
        assert _outcomes(site) == {Outcome.VALID}
        report = fsck(site.folder)
        assert (report.events, report.transactions) == (5, 3)  # the gateway, the source, the anchor
    with closing(KeptProofs(site.folder.ledger, readonly=True)) as kept:
        place = kept.place
    with closing(sqlite3.connect(tmp_path / "site" / "site.db")) as db:  # died after the proof, before the mark
        db.execute("UPDATE log_checkpoint SET evidence = NULL")
        db.commit()
    with Site(tmp_path / "site", **settings) as site:
        assert site.gateway.book.names() == ["plant-logger-1"]
        assert site.gateway.status().anchored_size == 6
        assert _outcomes(site) == {Outcome.VALID}
        _grow(site, "plant-logger-2", 2)
        assert _outcomes(site) == {Outcome.VALID}
        fsck(site.folder)
        _change_keys(site)
        _a_full_disk_delays_proofs(site)
        _revoke_from_elsewhere(site, "plant-logger-2")
        site.wait(lambda: site.gateway.book.get("plant-logger-2").revoked)
        with closing(KeptProofs(site.folder.ledger, readonly=True)) as kept:
            proved = Identity.decode(
                kept.value(identity_key(source_handle(site.folder.origin, "plant-logger-2"))) or b""
            )
        assert proved.current_key is None  # receipts show it from now on
        _round_of_an_object(site)
    with closing(KeptProofs(site.folder.ledger, readonly=True)) as kept:
        assert kept.place > place
    with pytest.raises(StoreError, match="is anchored on Fabric"), Site(tmp_path / "site", origin="plant.example/one"):
        pass
    _alterations_are_found(tmp_path / "site", tmp_path)


def _change_keys(site: Site) -> None:
    """The channel's own trust stays; log and gateway go on under ML-DSA, and old records are proved under it."""
    before = site_policy(site.folder)
    site.run(site.gateway.migrate("ml-dsa-65"))
    assert _outcomes(site) == {Outcome.VALID}
    _grow(site, "plant-logger-4", 2)
    assert _outcomes(site) == {Outcome.VALID}
    after = site_policy(site.folder)
    assert not set(before.logs) & set(after.logs)
    assert set(before.channels) <= set(after.channels)
    fsck(site.folder)


def _a_full_disk_delays_proofs(site: Site) -> None:
    """What cannot be written is told, and written when it can be."""
    with closing(sqlite3.connect(site.folder.ledger / "kept.db")) as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON followed BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
        site.enrol("plant-logger-3")
        site.wait(lambda: any("disk is full" in problem for problem in site.gateway.status().problems))
        other.execute("DROP TRIGGER full")
    site.wait(lambda: site.gateway.status().problems == ())


ONE, TWO = "key LIKE 'id/%#plant-logger-1'", "key LIKE 'id/%#plant-logger-2'"
ALTERED = {
    f"UPDATE kept SET value = zeroblob(40) WHERE {ONE}": "identity of plant-logger-1",
    f"UPDATE kept SET evidence = (SELECT evidence FROM kept WHERE {TWO}) WHERE {ONE}": "-1: it is of .*-2",
    "UPDATE kept SET evidence = zeroblob(40)": "kept proof of ",
    "UPDATE kept SET value = CAST(substr(value, 1, length(value) - 1) || 'z' AS BLOB)"
    " WHERE key LIKE 'cp/%'": "wrote another value",
    "DELETE FROM pinned": "kept proof of .*the policy",
    f"UPDATE kept SET key = key || '~' WHERE {TWO}": "kept proof of .*~: it is of |plant-logger-2 has no key",
    f"DELETE FROM kept WHERE {ONE}": "plant-logger-1 has no key on the ledger",
    "DELETE FROM kept WHERE key = (SELECT max(key) FROM kept WHERE key LIKE 'cp/%')": "marked as anchored",
}


def _alterations_are_found(root: Path, tmp_path: Path) -> None:
    for number, (statement, said) in enumerate(ALTERED.items()):
        copy = Path(shutil.copytree(root, tmp_path / f"altered-{number}"))
        with closing(sqlite3.connect(copy / "ledger" / "kept.db")) as connection:
            assert connection.execute(statement).rowcount >= 1
            connection.commit()
        with pytest.raises(FsckError, match=said):
            fsck(Folder.existing(copy))
    found = json.loads(run("drill", "--data", root, "--only", "kept.db kept", "--json").stdout)
    assert found["counts"] == {"caught": 3, "NOT CAUGHT": 0, "FAULT": 0, "not applicable": 0, "not guarded": 1}
    found = json.loads(run("drill", "--data", root, "--only", "older", "--json").stdout)
    assert {(row["outcome"], row["said"]) for row in found["results"] if row["check"]} == {
        ("not applicable", "the ledger is a channel of partners; a copy of a site never speaks to it")
    }


def test_a_second_gateway_of_an_organisation_is_admitted_by_the_first(channel: RunningNetwork, tmp_path: Path) -> None:
    settings = on_fabric(channel, CARRIER)
    file = tmp_path / "first.toml"
    file.write_text(
        f'origin = "carrier.example/first"\ndata = "first"\nledger = "fabric"\n[fabric]\n'
        f'profile = "{channel.profiles[CARRIER]}"\n'
    )
    with Site(tmp_path / "first", origin="carrier.example/first", **settings):
        with pytest.raises(NotAdmittedError, match="sealtrail gateway admit"):
            Site(tmp_path / "second", origin="carrier.example/second", **settings).__enter__()
        request = tmp_path / "second" / "admission-request.json"
        assert "carrier.example/second is enrolled" in run("gateway", "admit", request, "--config", file).stdout
        assert "identity-exists" in run("gateway", "admit", request, "--config", file, check=1).stderr
        with Site(tmp_path / "second", origin="carrier.example/second", **settings) as second:
            _grow(second, "carrier-logger", 1)
            assert _outcomes(second) == {Outcome.VALID}


@long_only
def test_the_channel_is_away_events_go_on_and_one_anchor_catches_up(tmp_path: Path) -> None:
    """Down while the gateway runs, still down at its next start, then up again."""
    wanted = topology(tmp_path, partners=1, consensus=Consensus.RAFT, orderers=1)
    root, often = tmp_path / "site", {"checkpoint_interval_s": 0.1, "anchor_interval_s": 0.1}
    with running(wanted) as network:
        settings = on_fabric(network, PLANT) | {"log": often}
        with Site(root, **settings) as site:
            source = site.enrol("logger")
            _send(site, source)
            site.drain()
            network_down(wanted)
            _send(site, source, 3)
            site.wait(lambda: any("anchoring" in problem for problem in site.gateway.status().problems))
        with Site(root, **settings) as site:
            _send(site, source, 2)
            assert site.gateway.status().checkpoint_size == 0  # nothing is signed before log and ledger were compared
            site.wait(lambda: any("anchoring" in problem for problem in site.gateway.status().problems))
            up(wanted)
            site.wait(lambda: site.gateway.status().anchored_size == 12)
            site.drain()
            assert site.gateway.anchorer.state.anchors == 1
            assert site.gateway.status().problems == ()
            assert _outcomes(site) == {Outcome.VALID}


def _send(site: Site, source: Source, times: int = 1) -> None:
    for _ in range(times):
        assert site.send(source, message(source.batch(1), source.seal())) is Verdict.STORED


def test_an_older_copy_does_not_start_and_a_fork_stops_what_runs(channel: RunningNetwork, tmp_path: Path) -> None:
    settings = on_fabric(channel, PHARMACY) | {"origin": "pharmacy.example/log"}
    with Site(tmp_path / "site", **settings) as site:
        _grow(site, "pharmacy-1", 1)
    shutil.copytree(tmp_path / "site", tmp_path / "older")
    with Site(tmp_path / "site", **settings) as site:
        _grow(site, "pharmacy-2", 3)
    with pytest.raises(ForkError, match="rolled back"), Site(tmp_path / "older", **settings):
        pass
    _a_fork_stops_the_gateway_whoever_made_it(tmp_path / "site", settings)


def test_a_partner_joins_while_a_gateway_anchors(tmp_path: Path) -> None:
    """Receipts stand under both configurations: the key under the old one, the checkpoint under the new one."""
    joiner = msgspec.structs.replace(
        topology(tmp_path / "joiner", partners=1), organisations=[Organisation(msp_id="ClinicMSP")],
        ordering=Ordering(orderers=0),
    )  # fmt: skip
    wanted = topology(tmp_path, partners=2, consensus=Consensus.RAFT, orderers=1)
    with running(wanted) as network, Site(tmp_path / "site", **on_fabric(network, PLANT)) as site:
        source = site.enrol("logger")
        _send(site, source)
        site.drain()
        before = site_policy(site.folder).channels
        update = tmp_path / "update.pb"
        (definition,) = new_organisations(joiner, None)
        propose(wanted, definition, update)
        for msp_id in wanted.msp_ids:
            sign(wanted, msp_id, update)
        now = submit(wanted, update)
        _send(site, source)
        site.drain()
        lines = site_policy(site.folder).channels
        assert {line.config_hash.hex() for line in lines} - {line.config_hash.hex() for line in before} == {
            now.block_hash
        }
        assert _outcomes(site) == {Outcome.VALID}
        only_new = dataclasses.replace(site.policy, channels=tuple(set(lines) - set(before)))
        with receipts(site.folder) as builder:
            assert verify_receipt(builder.build(0), only_new).outcome is Outcome.UNTRUSTED  # its key's proof is older


def _a_fork_stops_the_gateway_whoever_made_it(root: Path, settings: dict[str, Any]) -> None:
    """Somebody with the site's keys anchors another history of the same size, from elsewhere."""
    with Site(root, **settings) as site:
        _grow(site, "pharmacy-3", 1)
        head = site.gateway.status().anchored_size
        forged = sign_checkpoint(
            Checkpoint(site.folder.origin, head, bytes(32)), site.folder.log_signers(), 1
        ).marshal()

        async def act() -> None:
            async with open_channel(site.config.fabric, site.folder.gateway_key()) as ledger:
                answer = AnchorAnswer.decode((await ledger.submit("logs.anchor", forged.encode())).result)
                assert answer.status is AnchorStatus.FORK

        site.run(act())
        site.wait(lambda: any("two histories" in problem for problem in site.gateway.status().problems))
        source = site.enrol("pharmacy-4")
        _send(site, source)
        assert site.gateway.status().checkpoint_size == head  # nothing more is signed
    with pytest.raises(ForkError, match="two histories") as caught, Site(root, **settings):
        pass
    assert forged in str(caught.value)
