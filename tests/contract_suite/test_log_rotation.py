"""A log changes its keys: both sets sign, old checkpoints stay anchored, and nothing but the new keys counts then."""

import pytest

from chaincode.errors import Code
from chaincode.log_records import FormerKeys, LogRecord
from chaincode.log_rotation import KeyChange
from crypto import cbor, labels
from crypto.checkpoint import open_checkpoint
from crypto.keys import Algorithm, PrivateKey
from crypto.note import NoteSigner, SignatureType
from tests.contract_suite.actors import MemoryLog, log_signers
from tests.contract_suite.world import ORIGIN, OTHER, World

ROTATE = "logs.rotate"


def lone(origin: str = ORIGIN) -> tuple[NoteSigner]:
    """A log's only key: ML-DSA-44."""
    key = PrivateKey.generate(Algorithm.ML_DSA_44)
    return (NoteSigner(origin, SignatureType.ML_DSA_44_COSIGNATURE, key),)


def record(world: World, origin: str = ORIGIN) -> LogRecord:
    return LogRecord.decode(world.evaluate("logs.get", origin.encode()))


@pytest.fixture
def anchored(world: World) -> World:
    world.anchor(0, 3)
    world.anchor(3, 7)
    return world


def test_a_log_goes_on_under_new_keys(anchored: World) -> None:
    world, new = anchored, lone()
    old = world.log
    done = world.submit(world.gateway, ROTATE, *old.rotation(7, new))
    assert done.result == record(world).encode()
    kids = tuple(signer.vkey.key.kid for signer in old.signers)
    assert record(world) == LogRecord(ORIGIN, world.gateway.name, (new[0].vkey,), (FormerKeys(7, kids),))
    # The head is under the new key alone: size and root as they were.
    head = world.head()
    assert (head.size, head.root, head.tx_id) == (7, old.checkpoint(7).root, done.tx_id)
    assert open_checkpoint(head.note, [new[0].vkey]).checkpoint == old.checkpoint(7)
    # It goes on, and the old keys do not count any longer.
    log = MemoryLog(ORIGIN, new)
    world.refused(Code.BAD_SIGNATURE, world.gateway, "logs.anchor", *old.anchor(7, 9))
    assert world.anchor(7, 9, log).size == 9


def test_a_log_may_change_its_keys_again(anchored: World) -> None:
    world, second, third = anchored, lone(), log_signers(ORIGIN)
    world.submit(world.gateway, ROTATE, *world.log.rotation(7, second))
    log = MemoryLog(ORIGIN, second)
    world.anchor(7, 8, log)
    world.submit(world.gateway, ROTATE, *log.rotation(8, third))
    assert [before.until for before in record(world).former] == [7, 8]
    assert world.anchor(8, 12, MemoryLog(ORIGIN, third)).size == 12


def test_a_log_that_was_never_anchored_changes_its_keys(world: World) -> None:
    new = lone()
    world.submit(world.gateway, ROTATE, *world.log.rotation(0, new))
    assert (world.head().size, world.head().note) == (0, "")
    world.refused(Code.BAD_SIGNATURE, world.gateway, "logs.anchor", *world.log.anchor(0, 3))
    assert world.anchor(0, 3, MemoryLog(ORIGIN, new)).size == 3


def test_every_old_and_every_new_key_signs(anchored: World) -> None:
    world, new = anchored, log_signers(ORIGIN)
    good = world.log.rotation(7, new)
    thief = lone()[0].private
    for place in range(2, 6):
        signer = (*world.log.signers, *new)[place - 2].private
        for wrong in (
            b"", good[place][:-1], bytes(len(good[place])), signer.sign_raw(good[0]),
            signer.sign(good[0], labels.KEY_ROTATION), signer.sign(good[0] + b"\x00", labels.LOG_KEY_ROTATION),
            thief.sign(good[0], labels.LOG_KEY_ROTATION),
        ):  # fmt: skip
            args = [*good[:place], wrong, *good[place + 1 :]]
            world.refused(Code.BAD_SIGNATURE, world.gateway, ROTATE, *args)
    world.refused(Code.BAD_SIGNATURE, world.gateway, ROTATE, *good[:-1])
    world.refused(Code.BAD_SIGNATURE, world.gateway, ROTATE, *good, good[-1])
    world.refused(Code.BAD_SIGNATURE, world.gateway, ROTATE, *good[:2], *good[4:], *good[2:4])


def test_the_new_keys_sign_the_head_and_no_other(anchored: World) -> None:
    world, new = anchored, log_signers(ORIGIN)
    good = world.log.rotation(7, new)
    for note in (world.log.note(7), world.log.note(7, new[:1]), world.log.note(7, new[1:])):
        world.refused(Code.BAD_SIGNATURE, world.gateway, ROTATE, good[0], note, *good[2:])
    for note in (world.log.note(6, new), world.log.note(8, new), world.log.fork().note(7, new)):
        world.refused(Code.STALE_CHANGE, world.gateway, ROTATE, good[0], note, *good[2:])


def test_a_change_works_once_and_at_its_head_only(anchored: World) -> None:
    world, new = anchored, lone()
    for log, size in ((world.log, 3), (world.log, 8), (world.log.fork(), 7)):
        world.refused(Code.STALE_CHANGE, world.gateway, ROTATE, *log.rotation(size, lone()))
    args = world.log.rotation(7, new)
    world.submit(world.gateway, ROTATE, *args)
    world.refused(Code.STALE_CHANGE, world.gateway, ROTATE, *args)  # replayed
    back = MemoryLog(ORIGIN, new).rotation(7, world.log.signers)
    world.refused(Code.KEY_IN_USE, world.gateway, ROTATE, *back)  # keys that were left never come again


def test_a_change_of_another_log_is_refused(anchored: World) -> None:
    world = anchored
    other, log = world.other_gateway()
    world.anchor(0, 7, log, other)
    world.refused(Code.NOT_OWNER, world.gateway, ROTATE, *log.rotation(7, lone(OTHER)))
    world.refused(Code.NOT_OWNER, other, ROTATE, *world.log.rotation(7, lone()))
    # The other log's keys say so under this log's name, and this log's statement is brought for the other.
    renamed = MemoryLog(ORIGIN, log.signers).rotation(7, lone())
    world.refused(Code.STALE_CHANGE, world.gateway, ROTATE, *renamed)
    world.refused(Code.MALFORMED, world.gateway, ROTATE, *world.log.rotation(7, lone(OTHER)))
    stranger = MemoryLog("nobody.example/log", log_signers("nobody.example/log"))
    world.refused(Code.UNKNOWN_LOG, world.gateway, ROTATE, *stranger.rotation(7, lone("nobody.example/log")))


def test_new_keys_are_new(anchored: World) -> None:
    world, new = anchored, lone()
    world.refused(Code.KEY_IN_USE, world.gateway, ROTATE, *world.log.rotation(7, (*new, world.log.signers[0])))
    world.refused(Code.KEY_IN_USE, world.gateway, ROTATE, *world.log.rotation(7, ()))
    twice = (new[0], new[0])
    world.refused(Code.MALFORMED, world.gateway, ROTATE, *world.log.rotation(7, twice))
    gateways = NoteSigner(ORIGIN, SignatureType.ED25519, world.gateway.key)
    world.refused(Code.KEY_IN_USE, world.gateway, ROTATE, *world.log.rotation(7, (gateways,)))


def test_a_fork_across_the_change_is_kept(anchored: World) -> None:
    world, new = anchored, lone()
    world.submit(world.gateway, ROTATE, *world.log.rotation(7, new))
    forged = MemoryLog(ORIGIN, new, b"forged")
    assert world.anchor(7, 7, forged).status == "fork"
    assert world.anchor(3, 3, forged).status == "fork"  # of a checkpoint that the old keys signed
    assert [fork.size for fork in world.forks()] == [3, 7]


def test_the_change_is_told_and_names_the_ledgers_keys(anchored: World) -> None:
    world, new = anchored, lone()
    ledgers = str(lone("plant.example/ledger")[0].vkey)
    args = world.log.rotation(7, new, ledgers)
    world.submit(world.gateway, ROTATE, *args)
    assert KeyChange.decode(args[0]).ledger == (ledgers,)
    event = world.events(5)[-1]
    assert (event.name, cbor.decode(event.payload, 4096)) == ("logs.rotated", [ORIGIN, 7, world.head().root])


def test_what_is_no_change_is_malformed(anchored: World) -> None:
    world = anchored
    good = world.log.rotation(7, lone())
    items = cbor.decode(good[0], 2**15, number_keys=False)
    for place, wrong in ((0, 2), (0, "1"), (2, ["x", 1]), (4, -1), (5, bytes(31)), (6, [""] * 5), (6, ["x"])):
        spoilt = cbor.encode([*items[:place], wrong, *items[place + 1 :]])
        with pytest.raises(Exception, match=r"malformed|stale-change"):
            world.submit(world.gateway, ROTATE, spoilt, *good[1:])
    world.refused(Code.MALFORMED, world.gateway, ROTATE, b"\xff", *good[1:])
    world.refused(
        Code.UNKNOWN_LOG, world.gateway, ROTATE, cbor.encode([*items[:1], "a.example/b", *items[2:]]), *good[1:]
    )
