"""Sealed objects between partners: who may grant, pass on, sign for and revoke, and every way to lie about it."""

import secrets
from dataclasses import replace
from hashlib import sha256

import pytest

from chaincode.errors import Code
from chaincode.exchange import MAX_GRANTED, To
from chaincode.exchange_records import DeliveryRecord, GrantRecord, ObjectRecord, Verdict
from crypto import cbor, labels
from crypto.kem import KemPrivateKey, KemSuite
from tests.contract_suite.actors import Actor, number
from tests.contract_suite.parties import Partner, Thing, keys_of, partner
from tests.contract_suite.world import ORIGIN, OTHER, World, refusal

GRANT, REGRANT, RECEIVE, REVOKE = "exchange.grant", "exchange.regrant", "exchange.receive", "exchange.revoke"


@pytest.fixture
def anchored(world: World) -> World:
    """A world whose log is anchored with five entries."""
    world.anchor(0, 5)
    return world


def grants(world: World, object_id: bytes, *after: bytes) -> dict[str, tuple[GrantRecord, list[DeliveryRecord]]]:
    listed = cbor.decode(world.evaluate("exchange.grants", object_id, *after), 2**20)
    read = [(GrantRecord.decode(one), list(map(DeliveryRecord.decode, said))) for one, said in listed]
    assert [record.recipient for record, _ in read] == sorted(record.recipient for record, _ in read)
    return {record.recipient: (record, said) for record, said in read}


def listed(world: World, side: bytes, name: str, *after: bytes) -> list[bytes]:
    ids: list[bytes] = cbor.decode(world.evaluate("exchange.list", side, name.encode(), *after), 2**20)
    return ids


def test_the_whole_round(anchored: World) -> None:
    """Grant, sign for, pass on, sign for, revoke; everything is there to be seen afterwards."""
    world, thing = anchored, Thing()
    a, b = partner(world, "partner-a"), partner(world, "partner-b")
    done = world.submit(world.gateway, GRANT, *thing.grant(a.to))
    record = ObjectRecord.decode(done.result)
    assert (record.digest, record.size, record.origin, record.index) == (thing.digest, 10, ORIGIN, 3)
    assert world.evaluate("exchange.get", thing.object_id) == done.result
    world.submit(world.gateway, RECEIVE, *a.receipt(thing.said("partner-a")))
    to_b = replace(b.to, grant_digest=secrets.token_bytes(32))
    world.submit(world.gateway, REGRANT, *a.passes_on(thing, to_b))
    world.submit(world.gateway, RECEIVE, *b.receipt(thing.said("partner-b", Verdict.REFUSED, "digest differs")))
    world.submit(world.gateway, RECEIVE, *b.receipt(thing.said("partner-b")))  # it came whole the second time
    revoked = world.submit(world.gateway, REVOKE, thing.object_id, b"partner-a", b"contract ended")
    found = grants(world, thing.object_id)
    assert list(found) == ["partner-a", "partner-b"]
    ended = found["partner-a"][0].revoked
    assert ended is not None
    assert (ended.reason, ended.tx_id) == ("contract ended", revoked.tx_id)
    assert found["partner-b"][0].by == "partner-a"
    assert found["partner-b"][0].grant_digest == to_b.grant_digest
    assert [len(said) for _, said in found.values()] == [1, 2]
    encoded, said = cbor.decode(world.evaluate("exchange.granted", thing.object_id, b"partner-b"), 2**16)
    assert (GrantRecord.decode(encoded), len(said)) == (found["partner-b"][0], 2)
    with refusal(Code.NOT_GRANTED):
        world.evaluate("exchange.granted", thing.object_id, b"partner-c")
    opened = found["partner-a"][1][0]
    a.actor.key.public.verify(opened.signature, opened.statement, labels.DELIVERY_RECEIPT)
    assert listed(world, b"recipient", "partner-b") == listed(world, b"origin", ORIGIN) == [thing.object_id]
    names = [event.name for event in world.events(13)][7:]
    expected = ["granted", "received", "granted", "received", "received", "revoked"]
    assert names == [f"exchange.{name}" for name in expected]


def test_only_the_logs_owner_grants(anchored: World) -> None:
    world, thing = anchored, Thing()
    a, (other, log) = partner(world, "partner-a"), world.other_gateway()
    world.anchor(0, 5, log, other)
    world.refused(Code.NOT_OWNER, other, GRANT, *thing.grant(a.to))
    world.refused(Code.NOT_OWNER, world.gateway, GRANT, *thing.but(origin=OTHER).grant(a.to))
    world.refused(Code.UNKNOWN_LOG, world.gateway, GRANT, *thing.but(origin="nowhere.example/x").grant(a.to))
    world.refused(Code.FORBIDDEN, a.actor, GRANT, *thing.grant(a.to))
    world.refused(Code.NOT_ENROLLED, Actor("stranger", ORIGIN), GRANT, *thing.grant(a.to))
    world.submit(other, GRANT, *Thing(origin=OTHER).grant(a.to))


def test_a_record_that_is_not_anchored_names_nothing(anchored: World) -> None:
    world, a = anchored, partner(anchored, "partner-a")
    world.refused(Code.NOT_ANCHORED, world.gateway, GRANT, *Thing(index=5).grant(a.to))
    world.refused(Code.UNKNOWN_CHECKPOINT, world.gateway, GRANT, *Thing(index=5, anchored_size=6).grant(a.to))
    world.refused(Code.NOT_ANCHORED, world.gateway, GRANT, *Thing(index=2**63 - 1).grant(a.to))
    world.anchor(5, 6)
    world.submit(world.gateway, GRANT, *Thing(index=5, anchored_size=6).grant(a.to))
    world.submit(world.gateway, GRANT, *Thing(index=4).grant(a.to))  # an older checkpoint covers it too


def test_an_object_keeps_its_facts(anchored: World) -> None:
    world, thing = anchored, Thing()
    a, b = partner(world, "partner-a"), partner(world, "partner-b")
    first = world.submit(world.gateway, GRANT, *thing.grant(a.to))
    for other in (thing.but(content=b"ciphertexu"), thing.but(content=b"longer than that"), thing.but(index=2)):
        world.refused(Code.OBJECT_EXISTS, world.gateway, GRANT, *other.grant(b.to))
    again = world.submit(world.gateway, GRANT, *thing.grant(a.to, b.to))  # one is new
    assert again.result == first.result
    assert list(grants(world, thing.object_id)) == ["partner-a", "partner-b"]


def test_a_grant_goes_to_the_present_key_of_a_present_identity(anchored: World) -> None:
    world, thing = anchored, Thing()
    a, c = partner(world, "partner-a"), partner(world, "partner-c")
    keyless = Partner(world.enrolled("partner-b", "partner"))
    world.refused(Code.NO_KEM_KEY, world.gateway, GRANT, *thing.grant(keyless.to))
    world.refused(Code.UNKNOWN_IDENTITY, world.gateway, GRANT, *thing.grant(To("nobody", bytes(32))))
    world.refused(Code.KEY_CLOSED, world.gateway, GRANT, *thing.grant(a.to, To("partner-c", a.to.kid)))
    old, a.kem = a.to, KemPrivateKey.generate(KemSuite.ML_KEM_768)
    world.submit(world.gateway, "kem.publish", *a.publication(1))
    world.refused(Code.KEY_CLOSED, world.gateway, GRANT, *thing.grant(old))
    world.submit(world.gateway, "kem.withdraw", *a.withdrawal())
    world.refused(Code.KEY_CLOSED, world.gateway, GRANT, *thing.grant(a.to))
    world.submit(world.gateway, "identities.revoke", *c.actor.revocation(0))
    world.refused(Code.KEY_CLOSED, world.gateway, GRANT, *thing.grant(c.to))
    with refusal(Code.UNKNOWN_OBJECT):
        world.evaluate("exchange.get", thing.object_id)


def test_sources_and_gateways_can_be_recipients_too(anchored: World) -> None:
    world, thing = anchored, Thing()
    device, gateway = Partner(world.enrolled("fridge-7", "source")), Partner(world.gateway)
    for one in (device, gateway):
        world.submit(world.gateway, "kem.publish", *one.publication())
    world.submit(world.gateway, GRANT, *thing.grant(device.to, gateway.to))
    world.submit(world.gateway, RECEIVE, *device.receipt(thing.said(device.handle)))
    assert list(grants(world, thing.object_id)) == sorted([f"{ORIGIN}#fridge-7", "plant/gateway"])


def test_receipts_that_lie(anchored: World) -> None:
    world, thing = anchored, Thing()
    a, b = partner(world, "partner-a"), partner(world, "partner-b")
    world.submit(world.gateway, GRANT, *thing.grant(a.to))
    statement, signature = a.receipt(thing.said("partner-a"))
    # Another partner signs for it, or for something that it was not granted.
    world.refused(Code.BAD_SIGNATURE, world.gateway, RECEIVE, statement, b.receipt(thing.said("partner-a"))[1])
    world.refused(Code.NOT_GRANTED, world.gateway, RECEIVE, *b.receipt(thing.said("partner-b")))
    world.refused(Code.UNKNOWN_OBJECT, world.gateway, RECEIVE, *a.receipt(Thing().said("partner-a")))
    # Other bytes than those that were granted, truly signed; and altered after it was signed.
    altered = replace(thing.said("partner-a"), digest=sha256(b"other").digest())
    world.refused(Code.OTHER_OBJECT, world.gateway, RECEIVE, *a.receipt(altered))
    world.refused(Code.OTHER_OBJECT, world.gateway, RECEIVE, altered.encode(), signature)
    later = replace(thing.said("partner-a"), said_us=1)
    world.refused(Code.BAD_SIGNATURE, world.gateway, RECEIVE, later.encode(), signature)
    refused = thing.said("partner-a", Verdict.REFUSED, "damaged")
    world.refused(Code.BAD_SIGNATURE, world.gateway, RECEIVE, refused.encode(), signature)
    # A signature for another purpose, and what is no statement.
    for wrong in (b"", bytes(64), a.actor.key.sign(statement, labels.ENROL), a.actor.key.sign_raw(statement)):
        world.refused(Code.BAD_SIGNATURE, world.gateway, RECEIVE, statement, wrong)
    for malformed in (b"", statement[:-1], statement + b"\0", bytes(5000), cbor.encode([1])):
        world.refused(Code.MALFORMED, world.gateway, RECEIVE, malformed, signature)
    for said in (replace(refused, reason=""), replace(refused, reason="x" * 201), replace(later, reason="why")):
        world.refused(Code.MALFORMED, world.gateway, RECEIVE, *a.receipt(said))
    assert grants(world, thing.object_id)["partner-a"][1] == []


def test_a_receipt_is_kept_once_and_replayed_in_vain(anchored: World) -> None:
    world, thing = anchored, Thing()
    a = partner(world, "partner-a")
    world.submit(world.gateway, GRANT, *thing.grant(a.to))
    receipt = a.receipt(thing.said("partner-a"))
    first = world.submit(world.gateway, RECEIVE, *receipt)
    assert world.submit(world.gateway, RECEIVE, *receipt).result == first.result
    world.submit(world.gateway, "identities.revoke", *a.actor.revocation(0))
    assert world.submit(world.gateway, RECEIVE, *receipt).result == first.result  # its key counted when it came
    b = partner(world, "partner-b")
    world.submit(world.gateway, GRANT, *thing.grant(b.to))
    world.submit(world.gateway, RECEIVE, *b.receipt(thing.said("partner-b")))
    second = b.receipt(replace(thing.said("partner-b"), said_us=7))
    world.refused(Code.RECEIPT_EXISTS, world.gateway, RECEIVE, *second)


def test_a_partners_own_gateway_may_carry_its_receipt(anchored: World) -> None:
    world, thing = anchored, Thing()
    a, (other, _) = partner(world, "partner-a"), world.other_gateway()
    world.submit(world.gateway, GRANT, *thing.grant(a.to))
    world.submit(other, RECEIVE, *a.receipt(thing.said("partner-a")))
    world.refused(Code.FORBIDDEN, a.actor, RECEIVE, *a.receipt(thing.said("partner-a")))


def test_who_passes_on_holds_it_and_signs(anchored: World) -> None:
    world, thing = anchored, Thing()
    a, b, c = (partner(world, f"partner-{x}") for x in "abc")
    world.submit(world.gateway, GRANT, *thing.grant(a.to))
    to_b = replace(b.to, grant_digest=secrets.token_bytes(32))
    good = a.passes_on(thing, to_b)
    world.refused(Code.NOT_GRANTED, world.gateway, REGRANT, *c.passes_on(thing, to_b))
    world.refused(Code.BAD_SIGNATURE, world.gateway, REGRANT, *c.passes_on(thing, to_b, "partner-a"))
    other_file = replace(to_b, grant_digest=bytes(32))
    world.refused(Code.BAD_SIGNATURE, world.gateway, REGRANT, good[0], other_file.encode(), *good[2:])
    to_c = replace(c.to, grant_digest=to_b.grant_digest)
    world.refused(Code.BAD_SIGNATURE, world.gateway, REGRANT, good[0], to_c.encode(), *good[2:])
    world.refused(Code.MALFORMED, world.gateway, REGRANT, *a.passes_on(thing, b.to))
    world.submit(world.gateway, REGRANT, *good)
    world.refused(Code.GRANT_EXISTS, world.gateway, REGRANT, *good)
    # Whom it was taken from passes nothing on, and nobody passes it to whom it was taken from.
    world.submit(world.gateway, REVOKE, thing.object_id, b"partner-a", b"ended")
    world.refused(Code.NOT_GRANTED, world.gateway, REGRANT, *a.passes_on(thing, to_c))
    back = replace(a.to, grant_digest=bytes(32))
    world.refused(Code.GRANT_EXISTS, world.gateway, REGRANT, *b.passes_on(thing, back))
    world.submit(world.gateway, REGRANT, *b.passes_on(thing, to_c))  # who was given it on may go on


def test_revocations(anchored: World) -> None:
    world, thing = anchored, Thing()
    a, (other, _) = partner(world, "partner-a"), world.other_gateway()
    world.submit(world.gateway, GRANT, *thing.grant(a.to))
    world.refused(Code.NOT_OWNER, other, REVOKE, thing.object_id, b"partner-a", b"why")
    world.refused(Code.NOT_GRANTED, world.gateway, REVOKE, thing.object_id, b"partner-b", b"why")
    world.refused(Code.UNKNOWN_OBJECT, world.gateway, REVOKE, bytes(32), b"partner-a", b"why")
    world.refused(Code.MALFORMED, world.gateway, REVOKE, thing.object_id, b"partner-a", b"")
    first = world.submit(world.gateway, REVOKE, thing.object_id, b"partner-a", b"why")
    again = world.submit(world.gateway, REVOKE, thing.object_id, b"partner-a", b"another reason")
    assert again.result == first.result
    world.submit(world.gateway, RECEIVE, *a.receipt(thing.said("partner-a")))  # it may have been opened before
    world.submit(world.gateway, GRANT, *thing.grant(a.to))  # only its owner gives it again
    record, said = grants(world, thing.object_id)["partner-a"]
    assert (record.revoked, len(said)) == (None, 1)
    changes = cbor.decode(world.evaluate("exchange.history", thing.object_id, b"partner-a"), 2**20)
    assert len(changes) == 3
    assert changes[0][2] == sha256(record.encode()).digest()
    assert [tx_id for tx_id, _, _ in changes][1] == first.tx_id


def test_a_live_grant_does_not_change_its_key(anchored: World) -> None:
    world, thing = anchored, Thing()
    a = partner(world, "partner-a")
    world.submit(world.gateway, GRANT, *thing.grant(a.to))
    a.kem = KemPrivateKey.generate(KemSuite.X_WING)
    world.submit(world.gateway, "kem.publish", *a.publication(1))
    world.refused(Code.GRANT_EXISTS, world.gateway, GRANT, *thing.grant(a.to))
    assert keys_of(world, "partner-a").current == a.kem.public


def test_many_recipients_and_pages(anchored: World) -> None:
    world, thing = anchored, Thing()
    kem = KemPrivateKey.generate(KemSuite.X_WING)
    everyone = [Partner(world.enrolled(f"partner-{n:02}", "partner"), kem) for n in range(MAX_GRANTED)]
    for one in everyone:
        world.submit(world.gateway, "kem.publish", *one.publication())
    first, others = everyone[:16], everyone[16:]
    world.submit(world.gateway, GRANT, *thing.grant(*(one.to for one in first)))
    assert len(grants(world, thing.object_id)) == 16
    spoilt = [*thing.grant(*(one.to for one in others))[:-1], cbor.encode(["partner-31", bytes(31), None])]
    world.refused(Code.MALFORMED, world.gateway, GRANT, *spoilt)  # one is malformed: nobody gets it
    world.refused(Code.MALFORMED, world.gateway, GRANT, *thing.grant(others[0].to, others[0].to))
    world.refused(Code.ARGUMENT_COUNT, world.gateway, GRANT, *thing.grant())
    world.refused(Code.ARGUMENT_COUNT, world.gateway, GRANT, *thing.grant(*[first[0].to] * (MAX_GRANTED + 1)))
    assert len(grants(world, thing.object_id)) == 16
    world.submit(world.gateway, GRANT, *thing.grant(*(one.to for one in everyone)))
    assert list(grants(world, thing.object_id, b"partner-29")) == ["partner-30", "partner-31"]


def test_listings_keep_names_apart(anchored: World) -> None:
    world = anchored
    a, below = partner(world, "a"), partner(world, "a/b")
    things = sorted((Thing(index=n) for n in range(4)), key=lambda thing: thing.object_id)
    for thing in things:
        world.submit(world.gateway, GRANT, *thing.grant(a.to))
    only = Thing()
    world.submit(world.gateway, GRANT, *only.grant(below.to))
    ids = [thing.object_id for thing in things]
    assert listed(world, b"recipient", "a") == ids
    assert listed(world, b"recipient", "a", ids[1]) == ids[2:]
    assert listed(world, b"recipient", "a/b") == [only.object_id]
    assert listed(world, b"recipient", "nobody") == []
    assert listed(world, b"origin", ORIGIN) == sorted([*ids, only.object_id])
    for wrong in ((b"sender", b"a"), (b"recipient", b"a b"), (b"recipient", b"a", bytes(31))):
        with refusal(Code.MALFORMED):
            world.evaluate("exchange.list", *wrong)


def test_limits_come_first(anchored: World) -> None:
    world, thing, a = anchored, Thing(), partner(anchored, "partner-a")
    args = thing.grant(a.to)
    stranger = Actor("stranger", ORIGIN)
    world.refused(Code.ARGUMENT_SIZE, stranger, GRANT, *args[:6], bytes(513))
    world.refused(Code.ARGUMENT_SIZE, stranger, RECEIVE, bytes(8193), b"")
    for place, wrong in ((0, bytes(31)), (1, b""), (2, b"-1"), (2, number(2**63)), (4, b"05"), (6, b"\xff")):
        world.refused(Code.MALFORMED, world.gateway, GRANT, *args[:place], wrong, *args[place + 1 :])
