"""Keys that were lost or stolen: what recovers them, what cannot, and what is in doubt afterwards."""

import pytest

from chaincode import recovery
from chaincode.errors import Code
from chaincode.identity_records import Doubt
from chaincode.managing import MAX_KEYS, MAX_ROTATED_BYTES
from crypto import cbor, labels
from crypto.keys import Algorithm, PrivateKey
from tests.contract_suite.actors import Actor, number
from tests.contract_suite.world import ORIGIN, World

THING = f"{ORIGIN}#thing"
REGISTER, RECOVER = "identities.recovery", "identities.recover"
ROTATE, REVOKE = "identities.rotate", "identities.revoke"


def new_key(algorithm: Algorithm = Algorithm.ED25519) -> PrivateKey:
    return PrivateKey.generate(algorithm)


@pytest.fixture
def offline() -> PrivateKey:
    return new_key(Algorithm.ML_DSA_65)


@pytest.fixture
def thing(world: World, offline: PrivateKey) -> Actor:
    """A source with an offline key."""
    thing = world.enrolled("thing", "source")
    world.submit(world.gateway, REGISTER, *thing.recovery(offline))
    return thing


def ranges(world: World, name: str = THING) -> list[tuple[int, int | None, str]]:
    return [(key.from_index, key.until, key.reason) for key in world.identity(name).keys]


def test_the_offline_key_brings_a_new_one(world: World, thing: Actor, offline: PrivateKey) -> None:
    assert world.identity(THING).recovery == offline.public
    new = new_key(Algorithm.ML_DSA_44)
    done = world.submit(world.gateway, RECOVER, *thing.recovered(offline, new, 40))
    assert world.identity(THING).encode() == done.result
    assert ranges(world) == [(0, 40, "recovered"), (40, None, "")]
    assert world.identity(THING).current_key == new.public
    assert world.identity(THING).recovery == offline.public  # it stays for the next time
    assert not any(key.doubt for key in world.identity(THING).keys)  # lost, not stolen


def test_a_revoked_key_is_recovered_behind_its_end(world: World, thing: Actor, offline: PrivateKey) -> None:
    world.submit(world.gateway, REVOKE, *thing.revocation(30))
    world.refused(Code.KEY_CLOSED, world.gateway, ROTATE, *thing.rotation(new_key(), 31))
    world.refused(Code.BAD_RANGE, world.gateway, RECOVER, *thing.recovered(offline, new_key(), 29))
    world.submit(world.gateway, RECOVER, *thing.recovered(offline, new_key(), 30))
    assert ranges(world) == [(0, 30, "lost"), (30, None, "")]


def test_nothing_else_recovers(world: World, thing: Actor, offline: PrivateKey) -> None:
    new, thief = new_key(), new_key(Algorithm.ML_DSA_65)
    good = thing.recovered(offline, new, 40)
    record = thing._record()
    for signer in (thief, thing.key, world.gateway.key, new):  # not the online key, nor the gateway, nor anybody
        args = [*good[:4], signer.sign(recovery.recovering(record, new.public, 40, None), labels.KEY_RECOVERY), good[5]]
        world.refused(Code.BAD_SIGNATURE, world.gateway, RECOVER, *args)
    said = recovery.recovering(record, new.public, 40, None)
    for wrong in (
        offline.sign(said, labels.KEY_ROTATION), offline.sign(said, labels.RECOVERY_KEY), good[4][:-1], b"",
        offline.sign(recovery.recovering(record, new.public, 41, None), labels.KEY_RECOVERY),
        offline.sign(recovery.recovering(record, new.public, 40, 7), labels.KEY_RECOVERY),
        offline.sign(recovery.recovering(record, thief.public, 40, None), labels.KEY_RECOVERY),
        offline.sign(recovery.recovering(Actor("lamp", ORIGIN, thing.key)._record(), new.public, 40, None),
                     labels.KEY_RECOVERY),
    ):  # fmt: skip
        world.refused(Code.BAD_SIGNATURE, world.gateway, RECOVER, *good[:4], wrong, good[5])
    world.refused(Code.BAD_SIGNATURE, world.gateway, RECOVER, *good[:5], thief.sign(said, labels.KEY_RECOVERY))
    world.refused(Code.KEY_IN_USE, world.gateway, RECOVER, *thing.recovered(offline, offline, 40))
    plain = world.enrolled("plain", "source")
    world.refused(Code.NO_RECOVERY_KEY, world.gateway, RECOVER, *plain.recovered(offline, new, 40))


def test_a_recovery_works_once(world: World, thing: Actor, offline: PrivateKey) -> None:
    args, again = thing.recovered(offline, new_key(), 40), thing.recovered(offline, new_key(), 50)
    world.submit(world.gateway, RECOVER, *args)
    world.refused(Code.KEY_IN_USE, world.gateway, RECOVER, *args)
    world.refused(Code.BAD_SIGNATURE, world.gateway, RECOVER, *again)  # it named the key that was the newest then


def test_a_thief_of_the_online_key_cannot_take_the_recovery(world: World, thing: Actor, offline: PrivateKey) -> None:
    """Not by naming an offline key of his own, nor by rotating until nobody could add a key."""
    mine = new_key()
    world.refused(Code.BAD_SIGNATURE, world.gateway, REGISTER, *thing.recovery(mine))
    for index in range(1, MAX_KEYS):
        stolen = new_key()
        world.submit(world.gateway, ROTATE, *thing.rotation(stolen, index))
        thing.key = stolen
    world.refused(Code.TOO_MANY_KEYS, world.gateway, ROTATE, *thing.rotation(new_key(), MAX_KEYS))
    owner = new_key()
    done = world.submit(world.gateway, RECOVER, *thing.recovered(offline, owner, 100, 3))
    keys = world.identity(THING).keys
    assert world.identity(THING).current_key == owner.public
    assert [key.doubt for key in keys[:3]] == [None] * 3  # they ended before
    assert [key.doubt for key in keys[3:-1]] == [Doubt(max(3, i), done.tx_id) for i in range(3, MAX_KEYS)]
    assert keys[-1].doubt is None


def test_a_record_that_a_thief_filled_still_takes_the_recovery(world: World) -> None:
    """The largest keys that rotate, and the largest signature that recovers."""
    pytest.importorskip("pqcrypto", reason="needs the extra 'pqcrypto'")
    offline, thing = new_key(Algorithm.SLH_DSA_SHA2_128S), world.enrolled("thing", "source")
    world.submit(world.gateway, REGISTER, *thing.recovery(offline))
    for index in range(1, MAX_KEYS):
        stolen = new_key(Algorithm.ML_DSA_87)
        args = thing.rotation(stolen, index)
        if len(world.identity(THING).encode()) + 3000 > MAX_ROTATED_BYTES:
            world.refused(Code.TOO_MANY_KEYS, world.gateway, ROTATE, *args)
            break
        world.submit(world.gateway, ROTATE, *args)
        thing.key = stolen
    assert 10 < len(world.identity(THING).keys) < MAX_KEYS
    owner = new_key(Algorithm.ML_DSA_65_ED25519)
    world.submit(world.gateway, RECOVER, *thing.recovered(offline, owner, 100, 0))
    assert world.identity(THING).current_key == owner.public


def test_the_offline_key_itself_is_replaced_by_itself_only(world: World, thing: Actor, offline: PrivateKey) -> None:
    second = new_key(Algorithm.ML_DSA_44)
    good = thing.recovery(second, offline)
    world.refused(Code.BAD_SIGNATURE, world.gateway, REGISTER, *good[:4], thing.recovery(new_key(), offline)[4])
    world.refused(Code.KEY_IN_USE, world.gateway, REGISTER, *thing.recovery(thing.key, offline))
    world.submit(world.gateway, REGISTER, *good)
    assert world.identity(THING).recovery == second.public
    world.refused(Code.BAD_SIGNATURE, world.gateway, RECOVER, *thing.recovered(offline, new_key(), 9))
    world.submit(world.gateway, RECOVER, *thing.recovered(second, new_key(), 9))


def test_the_offline_key_acts_in_no_other_way(world: World, offline: PrivateKey) -> None:
    world.submit(world.gateway, REGISTER, *world.gateway.recovery(offline))
    impostor = Actor(world.gateway.name, ORIGIN, offline, "gateway")
    world.refused(Code.KEY_CLOSED, impostor, "logs.anchor", *world.log.anchor(0, 3))
    world.refused(Code.KEY_IN_USE, world.gateway, "identities.enrol", *Actor("x", ORIGIN, offline).enrolment("source"))
    world.refused(Code.BAD_SIGNATURE, world.gateway, ROTATE, *impostor.rotation(new_key(), 5))


def test_a_lone_gateway_recovers_itself(world: World, offline: PrivateKey) -> None:
    """Its key is stolen, and there is nobody else to call the ledger: the new key brings the call."""
    world.submit(world.gateway, REGISTER, *world.gateway.recovery(offline))
    new, thief = new_key(Algorithm.ML_DSA_65), world.gateway
    world.gateway = Actor(thief.name, ORIGIN, new, "gateway")
    world.submit(world.gateway, RECOVER, *thief.recovered(offline, new, 0, 0))
    world.refused(Code.KEY_CLOSED, thief, "logs.anchor", *world.log.anchor(0, 3))
    assert world.anchor(0, 3).size == 3


def test_what_was_signed_after_a_compromise_is_in_doubt(world: World) -> None:
    thing = world.enrolled("thing", "source")
    done = world.submit(world.gateway, REVOKE, *thing.revocation(50, b"stolen", 30))
    key = world.identity(THING).keys[0]
    assert (key.until, key.reason, key.doubt) == (50, "stolen", Doubt(30, done.tx_id))
    assert [key.doubt_at(i) is not None for i in (0, 29, 30, 49, 50)] == [False, False, True, True, False]
    assert world.identity(THING).record_at(49) == key


def test_doubt_grows_and_is_never_taken_back(world: World) -> None:
    thing = world.enrolled("thing", "source")
    world.refused(Code.BAD_RANGE, world.gateway, REVOKE, *thing.revocation(50, b"stolen", 51))
    first = world.submit(world.gateway, REVOKE, *thing.revocation(50, b"stolen", 30))
    for later in ((50, b"not so bad", 45), (50, b"never mind")):
        world.submit(world.gateway, REVOKE, *thing.revocation(*later))
        assert world.identity(THING).keys[0].doubt == Doubt(30, first.tx_id)
    earlier = world.submit(world.gateway, REVOKE, *thing.revocation(50, b"since May", 20))
    assert world.identity(THING).keys[0].doubt == Doubt(20, earlier.tx_id)


def test_a_key_that_was_rotated_out_can_be_in_doubt(world: World) -> None:
    thing, new = world.enrolled("thing", "source"), new_key()
    world.submit(world.gateway, ROTATE, *thing.rotation(new, 40))
    world.submit(world.gateway, REVOKE, *thing.revocation(40, b"stolen", 10))
    old, present = world.identity(THING).keys
    assert old.doubt_at(39) == old.doubt
    assert old.doubt_at(40) is None
    assert present.doubt is None
    assert world.identity(THING).current_key == new.public


def test_events_tell_of_recoveries(world: World, offline: PrivateKey) -> None:
    thing, new = world.enrolled("thing", "source"), new_key()
    world.submit(world.gateway, REGISTER, *thing.recovery(offline))
    world.submit(world.gateway, RECOVER, *thing.recovered(offline, new, 4))
    told = {event.name: cbor.decode(event.payload, 4096) for event in world.events(5)}
    assert told["identities.recovery-key"] == ["thing", ORIGIN, offline.public.kid]
    assert told["identities.recovered"] == ["thing", ORIGIN, thing.key.public.kid, new.public.kid, 4]


def test_spoilt_numbers_are_refused(world: World, thing: Actor, offline: PrivateKey) -> None:
    good = thing.recovered(offline, new_key(), 40, 3)
    for place, wrong in ((3, b"-1"), (3, b"040"), (6, b"x"), (6, number(2**63))):
        args = list(good)
        args[place] = wrong
        world.refused(Code.MALFORMED, world.gateway, RECOVER, *args)
    world.refused(Code.BAD_RANGE, world.gateway, RECOVER, *thing.recovered(offline, new_key(), 40, 41))
