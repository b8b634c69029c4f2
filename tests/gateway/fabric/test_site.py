"""A whole gateway on a real Fabric channel: enrolled, anchored, proved, found again after a restart."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("grpc", reason="needs the extra 'fabric'")
pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")

from chain.errors import StoreError
from chain.fsck import fsck
from chain.ledger.fabric.kept import KeptProofs
from chain.policies import site_policy
from chain.receipt import parse_receipt
from chain.verify import Outcome, verify_receipt
from gateway.ingest.inbound import Verdict
from tests.network.networks import PARTNERS, RunningNetwork
from tests.support.site import Site, receipts
from tests.support.source import message

pytestmark = pytest.mark.fabric
PLANT, CARRIER, PHARMACY = PARTNERS


def on_fabric(channel: RunningNetwork, msp_id: str) -> dict[str, Any]:
    return {"ledger": "fabric", "fabric": {"profile": channel.profiles[msp_id]}}


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
    with Site(tmp_path / "site", **settings) as site:
        assert site.gateway.book.names() == ["plant-logger-1"]
        assert site.gateway.status().anchored_size == 6
        _grow(site, "plant-logger-2", 2)
        assert _outcomes(site) == {Outcome.VALID}
        fsck(site.folder)
    with closing(KeptProofs(site.folder.ledger, readonly=True)) as kept:
        assert kept.place > place
    with pytest.raises(StoreError, match="is anchored on Fabric"), Site(tmp_path / "site", origin="plant.example/one"):
        pass
