"""Two gateways of two organisations on one embedded ledger: each anchors there, and its proofs verify."""

from pathlib import Path

import pytest

from chain.errors import StoreError
from chain.verify import Outcome, verify_receipt
from tests.support.site import Site, receipts
from tests.support.source import message

LEDGER = {"name": "trade.example/ledger"}


def _site(root: Path, name: str) -> Site:
    shared = LEDGER | {"folder": root / "ledger", "organisation": name.title()}
    return Site(root / name, origin=f"{name}.example/gw", shared_ledger=shared)


def test_two_companies_anchor_on_one_ledger(tmp_path: Path) -> None:
    with _site(tmp_path, "maker") as maker, _site(tmp_path, "carrier") as carrier:
        for site in (maker, carrier):
            source = site.enrol("fridge")
            site.send(source, message(source.batch(3), source.seal()))
            site.drain()
            with receipts(site.folder) as builder:
                assert verify_receipt(builder.build(0), site.policy).outcome is Outcome.VALID
        assert maker.policy.ledgers == carrier.policy.ledgers


def test_a_site_keeps_to_its_ledger(tmp_path: Path) -> None:
    with _site(tmp_path, "maker"):
        pass
    with pytest.raises(StoreError, match="shared ledger"), Site(tmp_path / "maker", origin="maker.example/gw"):
        pass
    with Site(tmp_path / "alone", origin="alone.example/gw"):
        pass
    with pytest.raises(StoreError, match="of its own"), _site(tmp_path, "alone"):
        pass
