"""Kept objects beside what else happens at a site: erasure, a change of the gateway's key, sealed payloads."""

import io
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from chain.disclosed import verify_disclosure
from chain.disclosing import Purpose, build_disclosure
from chain.disclosure import parse_disclosure
from chain.erased_list import read_list, write_list
from chain.fsck import fsck
from chain.ledger.reading import open_reader
from chain.policies import site_policy
from chain.site import SiteReader
from chain.verify import State, Verifier
from crypto.envelope.objects import seal
from crypto.kem import KemPrivateKey, KemSuite
from gateway.objects.catalogue import StoredObject
from gateway.objects.checking import check_objects
from gateway.objects.parts import SOURCE, Objects
from tests.contract_suite.actors import Actor
from tests.contract_suite.parties import Partner
from tests.gateway.test_one_way import new_pair
from tests.support.fields import PRODUCTION
from tests.support.site import ORIGIN, Site
from tests.support.source import PRODUCTION as PRODUCTION_KIND
from tests.support.source import message

KEM = KemPrivateKey.generate(KemSuite.X_WING)
NAME = "partner-a"


async def enrol(objects: Objects) -> None:
    made = Partner(Actor(NAME, ORIGIN, role="partner"), KEM)
    await objects.partners.enrol(NAME, made.actor.key.public, 0, made.actor.possession())
    await objects.partners.publish(NAME, KEM.public, made.publication()[3])


async def granted(objects: Objects, content: bytes) -> StoredObject:
    target = io.BytesIO()
    seal(io.BytesIO(content), target, [KEM.public])

    async def body() -> AsyncIterator[bytes]:
        yield target.getvalue()

    stored = await objects.keeper.take(body())
    await objects.exchange.grant(stored.object_id, [NAME])
    return stored


@pytest.mark.parametrize("one_way", [False, True], ids=["readable", "one-way"])
def test_objects_an_erasure_and_a_change_of_key_on_one_site(tmp_path: Path, one_way: bool) -> None:
    settings = {"sealing": {"recipients": [new_pair(tmp_path / "a", KemSuite.X_WING)]}} if one_way else {}
    with Site(tmp_path / "site", **settings) as site:
        objects = site.gateway.objects
        line = site.enrol("line-3")
        site.send(line, message([line.event(PRODUCTION, kind=PRODUCTION_KIND)], line.seal()))
        site.run(enrol(objects))
        before = site.run(granted(objects, b"before"))
        site.run(site.gateway.erase("line-3", "tester", "a test"))
        site.run(site.gateway.migrate("ml-dsa-65"))
        # The gateway's new key grants, revokes what the old one granted, and signs disclosures and the list.
        after = site.run(granted(objects, b"after"))
        site.run(objects.exchange.revoke(before.object_id, NAME, "a test"))
        site.drain()
        leaves = [0, before.leaf or 0, after.leaf or 0]
        with closing(SiteReader.open(site.folder)) as reader, closing(open_reader(site.folder)) as ledger:
            purpose, key = Purpose("an auditor", "a test"), site.folder.gateway_key()
            made, erased = build_disclosure(reader, ledger, ORIGIN, leaves, None, purpose, key)
        report = verify_disclosure(parse_disclosure(made), Verifier(site_policy(site.folder)))
        assert (report.made.state, erased) == (State.HOLDS, [0])
        assert all(step.state is not State.FALSE for _, one in report.records for step in one.steps)
        assert write_list(site.folder, tmp_path / "erased.json") == 1
        assert len(read_list(site.folder, (tmp_path / "erased.json").read_bytes())) == 1
    with Site(tmp_path / "site", **settings) as site:
        site.run(granted(site.gateway.objects, b"after a start"))
        site.drain()
    found = fsck(site.folder)
    assert (found.erased, found.sealed) == (1, 3 if one_way else 0)
    assert check_objects(site.folder, site.config) == 3


def test_the_records_of_objects_are_erased_and_the_objects_stay(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        site.run(enrol(site.gateway.objects))
        site.run(granted(site.gateway.objects, b"x"))
        site.run(site.gateway.erase(SOURCE, "tester", "a test"))
        late = site.run(granted(site.gateway.objects, b"y"))
        site.drain()
    assert late.leaf is not None
    assert fsck(site.folder).erased == 2
    assert check_objects(site.folder, site.config) == 2


def test_objects_count_in_the_sites_bound_and_their_folder_is_not_walked(tmp_path: Path) -> None:
    """Commits wait while the data directory is looked at; a folder of a million files would take them minutes."""
    with Site(tmp_path / "site") as site:
        site.run(enrol(site.gateway.objects))
        disk = site.gateway.disk

        def used() -> int:
            disk.look_again()
            disk.exceeded()
            return disk.used_bytes

        before = used()
        stored = site.run(granted(site.gateway.objects, bytes(3_000_000)))
        grown = used() - before
        assert stored.size <= grown < 1.5 * stored.size
        (site.folder.root / "objects" / "not-known").write_bytes(bytes(5_000_000))
        assert used() - before < 1.5 * stored.size
    with Site(tmp_path / "site") as site:
        assert site.gateway.objects.keeper.held_bytes == stored.size
