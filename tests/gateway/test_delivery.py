"""Delivery over MQTT: who is told, how often, and that whoever asks again and again costs nobody else."""

import asyncio
import io
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from chaincode import exchange_queries
from chaincode.exchange_records import DeliveryStatement, Verdict
from crypto import labels
from crypto.envelope.objects import seal
from crypto.kem import KemPrivateKey, KemSuite
from gateway.access import SourceSettings
from gateway.objects import delivery
from gateway.objects.catalogue import StoredObject
from gateway.objects.delivery import Delivery, topic_of
from tests.contract_suite.actors import Actor
from tests.contract_suite.parties import Partner
from tests.gateway.api.site import ORIGIN, Site

KEM = KemPrivateKey.generate(KemSuite.X_WING)


class Wire:
    """Remembers what went to whom; `reads` says whether anybody takes it."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.reads = True

    def publish(self, source: str, topic: str, payload: bytes) -> bool:
        self.sent[topic] += self.reads
        return self.reads


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "PAUSE_S", 0.01)


async def partner(site: Site, name: str) -> Partner:
    made = Partner(Actor(name, ORIGIN, role="partner"), KEM)
    await site.objects.partners.enrol(name, made.actor.key.public, 0, made.actor.possession())
    await site.objects.partners.publish(name, KEM.public, made.publication()[3])
    return made


async def granted(site: Site, content: bytes, *handles: str) -> StoredObject:
    target = io.BytesIO()
    seal(io.BytesIO(content), target, [KEM.public])

    async def body() -> AsyncIterator[bytes]:
        yield target.getvalue()

    stored = await site.objects.keeper.take(body())
    await site.objects.exchange.grant(stored.object_id, handles)
    return stored


def deliver(site: Site, wire: Wire) -> Delivery:
    made = Delivery(ORIGIN, site.access, wire.publish, lambda source, topic: True)
    made.serve(site.objects.keeper, site.objects.exchange)
    return made


async def quiet(made: Delivery) -> None:
    while made._tasks:
        await asyncio.sleep(0.005)


def test_what_is_signed_for_or_revoked_is_not_told_again(site: Site) -> None:
    async def run() -> None:
        wire = Wire()
        made, a = deliver(site, wire), await partner(site, "partner-a")
        site.access.add_plain("partner-a", SourceSettings(kinds=(), allow_plain=True))
        first, second, third = [await granted(site, bytes([n]), "partner-a") for n in range(3)]
        topic = topic_of("partner-a")
        said = DeliveryStatement(first.object_id, first.digest, "partner-a", Verdict.OPENED, "", 7).encode()
        await site.objects.exchange.receive(said, a.actor.key.sign(said, labels.DELIVERY_RECEIPT))
        await site.objects.exchange.revoke(second.object_id, "partner-a", "ended")
        made.subscribed("partner-a")
        await quiet(made)
        assert wire.sent == {topic: 1, f"{topic}/{third.object_id.hex()}": 1}

    asyncio.run(run())


def test_subscribing_a_thousand_times_is_one_run_and_one_more(site: Site) -> None:
    async def run() -> None:
        wire = Wire()
        made, _ = deliver(site, wire), await partner(site, "partner-a")
        site.access.add_plain("partner-a", SourceSettings(kinds=(), allow_plain=True))
        await granted(site, b"x", "partner-a")
        for _ in range(2):
            for _ in range(1000):
                made.subscribed("partner-a")
            assert len(made._tasks) == 1
            await asyncio.sleep(0)  # the run begins
        await quiet(made)
        assert wire.sent[topic_of("partner-a")] == 2

    asyncio.run(run())


def test_only_its_recipient_is_told_and_only_by_its_own_name(site: Site) -> None:
    """A device that happens to bear a partner's name is not the partner."""

    async def run() -> None:
        wire = Wire()
        made, _ = deliver(site, wire), await partner(site, "cold-1")
        await partner(site, "partner-b")
        stored = await granted(site, b"x", "cold-1", "partner-b")
        for handle in ("cold-1", "partner-b", f"{ORIGIN}#cold-1", "other.example/gw#cold-1"):
            made.granted(handle, stored)
        await quiet(made)
        assert set(wire.sent) == {topic_of("cold-1"), f"{topic_of('cold-1')}/{stored.object_id.hex()}"}
        assert wire.sent[topic_of("cold-1")] == 1  # as the source of this log that the third handle is

    asyncio.run(site.add_plain("cold-1", SourceSettings(allow_plain=True)))
    asyncio.run(run())


def test_who_does_not_read_is_not_sent_more(site: Site) -> None:
    async def run() -> None:
        wire = Wire()
        wire.reads = False
        made, _ = deliver(site, wire), await partner(site, "partner-a")
        site.access.add_plain("partner-a", SourceSettings(kinds=(), allow_plain=True))
        for n in range(3):
            await granted(site, bytes([n]), "partner-a")
        asked = Counter[str]()
        made._publish = lambda source, topic, payload: bool(asked.update([topic]))
        made.subscribed("partner-a")
        await quiet(made)
        assert asked == {topic_of("partner-a"): 1}

    asyncio.run(run())


def test_an_altered_object_keeps_no_other_from_being_told(site: Site) -> None:
    async def run() -> None:
        wire = Wire()
        made, _ = deliver(site, wire), await partner(site, "partner-a")
        site.access.add_plain("partner-a", SourceSettings(kinds=(), allow_plain=True))
        kept = sorted([await granted(site, bytes([n]), "partner-a") for n in range(3)], key=lambda s: s.object_id)
        name = kept[0].digest.hex()
        (site.folder.root / "objects" / name[:2] / name).write_bytes(b"altered")
        made.subscribed("partner-a")
        await quiet(made)
        topic = topic_of("partner-a")
        assert wire.sent == {topic: 3, **{f"{topic}/{one.object_id.hex()}": 1 for one in kept[1:]}}

    asyncio.run(run())


def test_what_is_pending_is_told_however_much_was_signed_for_before(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "MAX_PENDING", 2)
    monkeypatch.setattr(exchange_queries, "MAX_LISTED", 2)  # of the contract: pages

    async def run() -> None:
        wire = Wire()
        made, a = deliver(site, wire), await partner(site, "partner-a")
        site.access.add_plain("partner-a", SourceSettings(kinds=(), allow_plain=True))
        kept = sorted([await granted(site, bytes([n]), "partner-a") for n in range(7)], key=lambda s: s.object_id)
        for one in kept[:4]:
            said = DeliveryStatement(one.object_id, one.digest, "partner-a", Verdict.OPENED, "", 7).encode()
            await site.objects.exchange.receive(said, a.actor.key.sign(said, labels.DELIVERY_RECEIPT))
        made.subscribed("partner-a")
        await quiet(made)
        topic = topic_of("partner-a")
        assert wire.sent == {topic: 2, **{f"{topic}/{one.object_id.hex()}": 1 for one in kept[4:6]}}

    asyncio.run(run())
