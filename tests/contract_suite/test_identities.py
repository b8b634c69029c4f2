"""Enrolment, rotation and revocation: what is accepted, what is refused, and where each key counts."""

from hashlib import sha256

import pytest

from chain.errors import LedgerError
from chaincode import identities
from chaincode.errors import Code
from chaincode.identity_records import Role
from crypto import labels
from crypto.errors import KeyMaterialError
from crypto.keys import Algorithm, PrivateKey
from tests.contract_suite.actors import Actor, number
from tests.contract_suite.world import ORIGIN, OTHER, World, refusal

THING = f"{ORIGIN}#thing"
ENROL, ROTATE, REVOKE = "identities.enrol", "identities.rotate", "identities.revoke"


def ranges(world: World, name: str) -> list[tuple[int, int | None]]:
    return [(key.from_index, key.until) for key in world.identity(name).keys]


def test_the_first_gateway_enrols_itself_once(empty_world: World) -> None:
    world = empty_world
    gateway, second = world.gateway, Actor("second", OTHER)
    with refusal(Code.FORBIDDEN):  # somebody else's transaction
        world.submit(second, "identities.bootstrap", *gateway.bootstrap())
    with refusal(Code.NOT_ENROLLED):  # nobody may do anything before
        world.submit(gateway, ENROL, *second.enrolment("source"))
    world.start()
    assert world.identity(gateway.name).role is Role.GATEWAY
    world.refused(Code.BOOTSTRAPPED, second, "identities.bootstrap", *second.bootstrap())
    world.refused(Code.BOOTSTRAPPED, gateway, "identities.bootstrap", *gateway.bootstrap())


def test_bootstrap_without_possession_is_refused(empty_world: World) -> None:
    args = empty_world.gateway.bootstrap()
    args[4] = Actor("x", ORIGIN).possession()
    with refusal(Code.BAD_SIGNATURE):
        empty_world.submit(empty_world.gateway, "identities.bootstrap", *args)


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("role", list(Role))
def test_enrolled_identities_are_found(world: World, role: Role, algorithm: Algorithm) -> None:
    actor = Actor("line-3/camera@hall:2", ORIGIN, PrivateKey.generate(algorithm))
    world.submit(world.gateway, ENROL, *actor.enrolment(role, 17))
    record = world.identity(actor.handle)
    assert (record.role, record.origin, record.keys[0].key) == (role, ORIGIN, actor.key.public)
    assert ranges(world, actor.handle) == [(17, None)]
    assert actor.handle in world.names(role)


def test_names_are_listed_by_role_in_order_and_in_pages(world: World) -> None:
    for name in ("b", "a/1", "a"):
        world.enrolled(name, "source")
    world.enrolled("z", "auditor")
    a, slash, b = (f"{ORIGIN}#{name}" for name in ("a", "a/1", "b"))
    assert world.names("source") == [a, slash, b]
    assert world.names("source", a.encode()) == [slash, b]
    assert world.names("source", b.encode()) == []
    assert world.names("gateway") == [world.gateway.name]
    assert (world.names("auditor"), world.names("partner")) == (["z"], [])


def test_enrolment_without_possession_is_refused(world: World) -> None:
    thing = Actor("thing", ORIGIN)
    args, public = thing.enrolment("source"), thing.key.public
    message = identities.enrolment("thing", ORIGIN, public)
    thief = PrivateKey.generate(Algorithm.ED25519)
    for wrong in (
        bytes(64), b"", args[6][:-1], thief.sign(message, labels.ENROL),
        thing.key.sign(message, labels.KEY_ROTATION), thing.key.sign_raw(message),
        thing.key.sign(identities.enrolment("another", ORIGIN, public), labels.ENROL),
        thing.key.sign(identities.enrolment("thing", OTHER, public), labels.ENROL),
    ):  # fmt: skip
        world.refused(Code.BAD_SIGNATURE, world.gateway, ENROL, *args[:6], wrong)


def test_keys_under_which_anybody_signs_are_refused(world: World) -> None:
    """For the identity point, R = identity and s = 0 verifies over every message: possession of nothing."""
    args = Actor("thing", ORIGIN).enrolment("source")
    forged = bytes([1]) + bytes(63)
    p = 2**255 - 19
    for y in (0, 1, p - 1, p, p + 1, 1 + 2**255, 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826):
        weak = y.to_bytes(32, "little")
        world.refused(Code.MALFORMED, world.gateway, ENROL, *args[:3], weak, *args[4:6], forged)


def test_names_and_keys_are_taken_once(world: World) -> None:
    first = world.enrolled("thing", "source")
    world.refused(Code.IDENTITY_EXISTS, world.gateway, ENROL, *Actor("thing", ORIGIN).enrolment("source"))
    world.refused(Code.KEY_IN_USE, world.gateway, ENROL, *Actor("twin", ORIGIN, first.key).enrolment("source"))


def test_two_gateways_may_each_have_a_source_of_the_same_name(world: World) -> None:
    """Names of sources are their log's own: nobody can take them away, by accident or on purpose."""
    other, _ = world.other_gateway()
    ours, theirs = world.enrolled("fridge-7", "source"), world.enrolled("fridge-7", "source", OTHER, other)
    assert world.identity(f"{ORIGIN}#fridge-7").keys[0].key == ours.key.public
    assert world.identity(f"{OTHER}#fridge-7").keys[0].key == theirs.key.public
    world.submit(other, REVOKE, *theirs.revocation(0))
    assert world.identity(ours.handle).current_key == ours.key.public
    world.refused(Code.NOT_OWNER, other, REVOKE, *ours.revocation(0))


def test_sources_belong_to_their_gateways_log(world: World) -> None:
    other, _ = world.other_gateway()
    world.refused(Code.NOT_OWNER, other, ENROL, *Actor("thing", ORIGIN).enrolment("source"))
    thing = world.enrolled("thing", "source")
    new = PrivateKey.generate(Algorithm.ED25519)
    world.refused(Code.NOT_OWNER, other, ROTATE, *thing.rotation(new, 5))
    world.refused(Code.NOT_OWNER, other, REVOKE, *thing.revocation(5))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, b""), (0, b"a b"), (0, b"/a"), (0, b"a//b"), (0, b"a/"), (0, "ä".encode()), (0, b"a" * 129), (0, b"a\n"),
        (1, b"admin"), (1, b"Source"), (2, b"rsa"), (2, b"ml-dsa-44"), (3, bytes(31)), (4, b"a+b"),
        (5, b"-1"), (5, b"01"), (5, b"1e3"), (5, b""), (5, number(2**63)), (5, "١".encode()),
    ],
)  # fmt: skip
def test_malformed_enrolments_are_refused(world: World, place: int, value: bytes) -> None:
    args = Actor("thing", ORIGIN).enrolment("source")
    world.refused(Code.MALFORMED, world.gateway, ENROL, *args[:place], value, *args[place + 1 :])


def test_limits_come_before_everything(world: World) -> None:
    stranger = Actor("stranger", ORIGIN)
    args = stranger.enrolment("source")
    world.refused(Code.ARGUMENT_COUNT, stranger, ENROL, *args[:6])
    world.refused(Code.ARGUMENT_COUNT, stranger, ENROL, *args, b"")
    world.refused(Code.ARGUMENT_SIZE, stranger, ENROL, *args[:6], bytes(8193))
    world.refused(Code.ARGUMENT_SIZE, stranger, "logs.anchor", bytes(32 * 1024 + 1))
    world.refused(Code.UNKNOWN_FUNCTION, stranger, "identities.erase")
    world.refused(Code.UNKNOWN_FUNCTION, stranger, "")


def test_rotation_hands_over_at_an_index(world: World) -> None:
    thing, new = world.enrolled("thing", "source"), PrivateKey.generate(Algorithm.ML_DSA_44)
    world.submit(world.gateway, ROTATE, *thing.rotation(new, 100))
    record = world.identity(THING)
    assert ranges(world, THING) == [(0, 100), (100, None)]
    assert (record.key_at(99), record.key_at(100)) == (thing.key.public, new.public)


def test_rotation_signed_by_one_key_only_is_refused(world: World) -> None:
    thing, new = world.enrolled("thing", "source"), PrivateKey.generate(Algorithm.ED25519)
    good = thing.rotation(new, 100)
    thief = Actor("thing", ORIGIN).rotation(new, 100)
    for old_signature, new_signature in ((thief[4], good[5]), (good[4], thief[4]), (good[5], good[4]), (b"", good[5])):
        world.refused(Code.BAD_SIGNATURE, world.gateway, ROTATE, *good[:4], old_signature, new_signature)
    world.refused(Code.BAD_SIGNATURE, world.gateway, ROTATE, *good[:3], number(101), *good[4:])
    assert ranges(world, THING) == [(0, None)]


def test_rotation_is_not_replayed(world: World) -> None:
    thing, new = world.enrolled("thing", "source"), PrivateKey.generate(Algorithm.ED25519)
    rotation = thing.rotation(new, 100)
    world.submit(world.gateway, ROTATE, *rotation)
    world.refused(Code.KEY_IN_USE, world.gateway, ROTATE, *rotation)
    back = Actor("thing", ORIGIN, new).rotation(thing.key, 200)  # an old key never returns
    world.refused(Code.KEY_IN_USE, world.gateway, ROTATE, *back)


def test_ranges_do_not_overlap(world: World) -> None:
    thing = Actor("thing", ORIGIN)
    world.submit(world.gateway, ENROL, *thing.enrolment("source", 50))
    new = PrivateKey.generate(Algorithm.ED25519)
    world.refused(Code.BAD_RANGE, world.gateway, ROTATE, *thing.rotation(new, 49))
    world.refused(Code.BAD_RANGE, world.gateway, REVOKE, *thing.revocation(49))
    world.submit(world.gateway, ROTATE, *thing.rotation(new, 80))
    world.refused(Code.BAD_RANGE, world.gateway, REVOKE, *thing.revocation(81))  # would reach into the next range
    world.refused(Code.BAD_RANGE, world.gateway, REVOKE, *Actor("thing", ORIGIN, new).revocation(79))
    world.submit(world.gateway, REVOKE, *thing.revocation(60))
    world.submit(world.gateway, REVOKE, *Actor("thing", ORIGIN, new).revocation(90, b"stolen"))
    assert ranges(world, THING) == [(50, 60), (80, 90)]
    assert [key.reason for key in world.identity(THING).keys] == ["lost", "stolen"]
    for index in (49, 60, 79, 90):
        with pytest.raises(KeyMaterialError):
            world.identity(THING).key_at(index)


def test_a_revocation_only_ever_shortens(world: World) -> None:
    thing = world.enrolled("thing", "source")
    world.submit(world.gateway, REVOKE, *thing.revocation(60))
    world.refused(Code.BAD_RANGE, world.gateway, REVOKE, *thing.revocation(61))
    world.submit(world.gateway, REVOKE, *thing.revocation(0))
    assert ranges(world, THING) == [(0, 0)]


def test_revoked_identities_stay_revoked(world: World) -> None:
    thing, new = world.enrolled("thing", "source"), PrivateKey.generate(Algorithm.ED25519)
    world.submit(world.gateway, REVOKE, *thing.revocation(60))
    world.refused(Code.KEY_CLOSED, world.gateway, ROTATE, *thing.rotation(new, 60))
    world.refused(Code.IDENTITY_EXISTS, world.gateway, ENROL, *Actor("thing", ORIGIN, new).enrolment("source"))


def test_revocations_that_are_refused(world: World) -> None:
    thing = world.enrolled("thing", "source")
    name, kid, index, reason = thing.revocation(5)
    world.refused(Code.UNKNOWN_IDENTITY, world.gateway, REVOKE, b"nobody", kid, index, reason)
    world.refused(Code.UNKNOWN_KEY, world.gateway, REVOKE, name, bytes(32), index, reason)
    world.refused(Code.MALFORMED, world.gateway, REVOKE, name, kid, index, b"")
    world.refused(Code.MALFORMED, world.gateway, REVOKE, name, kid, index, b"x" * 201)
    world.refused(Code.SELF_REVOCATION, world.gateway, REVOKE, *world.gateway.revocation(5))


def test_a_gateway_rotates_its_own_key(world: World) -> None:
    new = PrivateKey.generate(Algorithm.ML_DSA_44)
    old, world.gateway = world.gateway, Actor(world.gateway.name, ORIGIN, new)
    world.submit(old, ROTATE, *old.rotation(new, 0))
    world.refused(Code.KEY_CLOSED, old, "logs.anchor", *world.log.anchor(0, 3))
    assert world.anchor(0, 3).size == 3
    world.submit(world.gateway, REVOKE, *old.revocation(0))  # its old key it may revoke itself


def test_an_identity_has_a_bounded_number_of_keys(world: World) -> None:
    thing = world.enrolled("thing", "source")
    for index in range(1, identities.MAX_KEYS):
        new = PrivateKey.generate(Algorithm.ED25519)
        world.submit(world.gateway, ROTATE, *thing.rotation(new, index))
        thing.key = new
    new = PrivateKey.generate(Algorithm.ED25519)
    world.refused(Code.TOO_MANY_KEYS, world.gateway, ROTATE, *thing.rotation(new, identities.MAX_KEYS))


def test_queries_are_not_submitted_and_evaluating_changes_nothing(world: World) -> None:
    with pytest.raises(LedgerError, match="query"):
        world.submit(world.gateway, "logs.head", ORIGIN.encode())
    thing = Actor("thing", ORIGIN)
    world.evaluate(ENROL, *thing.enrolment("source"))
    world.submit(world.gateway, ENROL, *thing.enrolment("source"))


def test_every_change_of_an_identity_is_in_its_history(world: World) -> None:
    thing, new = Actor("thing", ORIGIN), PrivateKey.generate(Algorithm.ED25519)
    changes = [
        world.submit(world.gateway, ENROL, *thing.enrolment("source")),
        world.submit(world.gateway, ROTATE, *thing.rotation(new, 100)),
        world.submit(world.gateway, REVOKE, *Actor("thing", ORIGIN, new).revocation(200)),
        world.submit(world.gateway, REVOKE, *Actor("thing", ORIGIN, new).revocation(150, b"stolen")),
    ]
    world.enrolled("thing/2", "source")  # another name, and a key of the state behind this one's
    world.refused(Code.BAD_RANGE, world.gateway, REVOKE, *Actor("thing", ORIGIN, new).revocation(151))
    found = world.history(THING)
    expected = [(done.tx_id, sha256(done.result).digest()) for done in reversed(changes)]  # all return the record
    assert [(tx_id, digest) for tx_id, _, digest in found] == expected
    assert found[0][2] == sha256(world.identity(THING).encode()).digest()
    times = [time_us for _, time_us, _ in found]
    assert times == sorted(times, reverse=True)
    assert abs(times[-1] - world.head().anchored_us) < 600_000_000  # µs since 1970, as everywhere


def test_a_history_goes_on_before_a_transaction(world: World) -> None:
    thing = world.enrolled("thing", "source")
    for index in (9, 7, 5):
        world.submit(world.gateway, REVOKE, *thing.revocation(index))
    found = world.history(THING)
    for place, (tx_id, _, _) in enumerate(found):
        assert world.history(THING, tx_id) == found[place + 1 :]
    other = world.history(world.gateway.name)[0][0]
    for before in (other, "", "0" * 64):
        with refusal(Code.MALFORMED):
            world.history(THING, before)
    with refusal(Code.UNKNOWN_IDENTITY):
        world.history("nobody")
