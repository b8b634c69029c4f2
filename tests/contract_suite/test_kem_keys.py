"""KEM keys on the ledger: the identity's own signature, one key at a time, and nothing old comes back."""

from chaincode import kem_keys
from chaincode.errors import Code
from chaincode.kem_records import MAX_KEM_KEYS
from crypto import labels
from crypto.kem import KemPrivateKey, KemSuite
from crypto.keys import Algorithm, PrivateKey
from tests.contract_suite.actors import Actor
from tests.contract_suite.parties import Partner, keys_of, partner
from tests.contract_suite.world import ORIGIN, World

PUBLISH, WITHDRAW, GET = "kem.publish", "kem.withdraw", "kem.get"


def new_key(suite: KemSuite = KemSuite.X_WING) -> KemPrivateKey:
    return KemPrivateKey.generate(suite)


def test_a_partner_publishes_replaces_and_withdraws_its_key(world: World) -> None:
    hospital = partner(world, "hospital")
    assert keys_of(world, "hospital").current == hospital.kem.public
    for count, suite in enumerate(KemSuite, 1):
        hospital.kem = new_key(suite)
        world.submit(world.gateway, PUBLISH, *hospital.publication(count))
        assert keys_of(world, "hospital").current == hospital.kem.public
    world.submit(world.gateway, WITHDRAW, *hospital.withdrawal())
    found = keys_of(world, "hospital")
    assert found.current is None
    assert [key.reason for key in found.keys] == ["", "", "", "", "laptop lost"]
    assert all(key.until_us is not None and key.since_us <= key.until_us for key in found.keys)
    names = [event.name for event in world.events(9)][2:]
    assert names == ["identities.enrolled", *["kem.published"] * 5, "kem.withdrawn"]


def test_any_gateway_carries_a_key_and_none_can_make_one(world: World) -> None:
    other, _ = world.other_gateway()
    hospital = Partner(world.enrolled("hospital", "partner"))
    world.submit(other, PUBLISH, *hospital.publication())
    forged = Partner(Actor("hospital", ORIGIN, other.key, role="partner"))
    world.refused(Code.BAD_SIGNATURE, other, PUBLISH, *forged.publication(1))
    forged.kem = hospital.kem
    world.refused(Code.BAD_SIGNATURE, other, WITHDRAW, *forged.withdrawal())
    world.refused(Code.NOT_ENROLLED, Actor("stranger", ORIGIN), PUBLISH, *hospital.publication(1))
    world.refused(Code.FORBIDDEN, hospital.actor, PUBLISH, *hospital.publication(1))


def test_statements_of_before_bring_no_key_back(world: World) -> None:
    hospital, second = partner(world, "hospital"), new_key()
    first = hospital.publication()
    world.submit(world.gateway, PUBLISH, *hospital.publication(1, second))
    world.refused(Code.KEY_IN_USE, world.gateway, PUBLISH, *first)
    stale = hospital.publication(1, new_key())  # signed when the second was not known
    world.refused(Code.BAD_SIGNATURE, world.gateway, PUBLISH, *stale)
    world.refused(Code.UNKNOWN_KEY, world.gateway, WITHDRAW, *hospital.withdrawal())


def test_statements_for_another_purpose_or_name_are_refused(world: World) -> None:
    hospital, public = Partner(world.enrolled("hospital", "partner")), new_key().public
    world.enrolled("clinic", "partner")
    message = kem_keys.publication("hospital", public, 0)
    args = [b"hospital", str(public.suite).encode(), public.raw]
    for wrong in (
        b"", bytes(64), hospital.actor.key.sign(message, labels.ENROL),
        hospital.actor.key.sign(kem_keys.publication("clinic", public, 0), labels.KEM_KEY),
        PrivateKey.generate(Algorithm.ED25519).sign(message, labels.KEM_KEY),
    ):  # fmt: skip
        world.refused(Code.BAD_SIGNATURE, world.gateway, PUBLISH, *args, wrong)
    world.refused(Code.BAD_SIGNATURE, world.gateway, PUBLISH, b"clinic", *hospital.publication()[1:])
    world.refused(Code.UNKNOWN_IDENTITY, world.gateway, PUBLISH, b"nobody", *hospital.publication()[1:])


def test_bad_keys_are_refused_before_anybody_seals_to_them(world: World) -> None:
    hospital = Partner(world.enrolled("hospital", "partner"))
    handle, suite, raw, signature = hospital.publication()
    for bad_suite, bad_raw in (
        (suite, raw[:-1]), (suite, raw + b"\0"), (b"ml-kem-768", raw), (b"x25519", raw[:32]), (b"", raw),
        (b"ml-kem-768", b"\xff" * 1184),  # coefficients that are not below the modulus (FIPS 203 section 7.2)
        (b"ml-kem-1024-p384", new_key(KemSuite.ML_KEM_1024_P384).public.raw[:-97] + bytes(97)),
    ):  # fmt: skip
        world.refused(Code.MALFORMED, world.gateway, PUBLISH, handle, bad_suite, bad_raw, signature)


def test_a_revoked_identity_publishes_nothing(world: World) -> None:
    hospital = partner(world, "hospital")
    world.submit(world.gateway, "identities.revoke", *hospital.actor.revocation(0))
    world.refused(Code.KEY_CLOSED, world.gateway, PUBLISH, *hospital.publication(1, new_key()))


def test_an_identity_has_a_bounded_number_of_kem_keys(world: World) -> None:
    hospital = partner(world, "hospital")
    for count in range(1, MAX_KEM_KEYS):
        world.submit(world.gateway, PUBLISH, *hospital.publication(count, new_key(KemSuite.ML_KEM_1024_P384)))
    args = hospital.publication(MAX_KEM_KEYS, new_key())
    world.refused(Code.TOO_MANY_KEYS, world.gateway, PUBLISH, *args)
    assert len(keys_of(world, "hospital").keys) == MAX_KEM_KEYS
