"""What logs.anchor accepts, and every attack on a log's history that it must refuse."""

import base64
from hashlib import sha256

import pytest

from chaincode.errors import Code
from chaincode.log_records import AnchoredCheckpoint, AnchorStatus
from crypto import cbor
from crypto.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from crypto.keys import Algorithm, PrivateKey
from crypto.merkle import EMPTY_ROOT
from crypto.note import NoteSigner, SignatureType, parse_note
from tests.contract_suite.actors import Actor, MemoryLog, log_signers
from tests.contract_suite.world import ORIGIN, OTHER, World, refusal


def test_head_moves_along_a_growing_log(world: World) -> None:
    assert (world.head().size, world.head().root, world.head().note) == (0, EMPTY_ROOT, "")
    for old, new in [(0, 1), (1, 3), (3, 4), (4, 7), (7, 300)]:
        answer = world.anchor(old, new)
        assert (answer.status, answer.size, answer.root) == (AnchorStatus.ANCHORED, new, world.log.checkpoint(new).root)
        assert world.head() == AnchoredCheckpoint.decode(
            world.evaluate("logs.checkpoint", ORIGIN.encode(), b"%d" % new)
        )
    assert open_checkpoint(world.head().note, [s.vkey for s in world.log.signers]).checkpoint.size == 300
    earlier = AnchoredCheckpoint.decode(world.evaluate("logs.checkpoint", ORIGIN.encode(), b"4"))
    assert earlier.root == world.log.checkpoint(4).root
    assert world.forks() == []


def test_anchor_names_its_transaction_and_emits_an_event(world: World) -> None:
    submitted = world.submit(world.gateway, "logs.anchor", *world.log.anchor(0, 5))
    assert world.head().tx_id == submitted.tx_id
    event = world.events(1, after=submitted.index - 1)[0]
    assert (event.index, event.tx_id, event.name) == (submitted.index, submitted.tx_id, "logs.anchored")
    assert cbor.decode(event.payload, 1000) == [ORIGIN, 5, world.log.checkpoint(5).root]


def test_the_same_checkpoint_again_changes_nothing(world: World) -> None:
    world.anchor(0, 5)
    before = world.head()
    world.log.time_s += 60  # signed anew: other bytes, same tree
    assert world.anchor(5, 5).status is AnchorStatus.UNCHANGED
    assert world.head() == before


def test_fork_of_the_head_is_refused_and_both_notes_are_kept(world: World) -> None:
    world.anchor(0, 5)
    honest, forged = world.log.note(5), world.log.fork().note(5)
    submitted = world.submit(world.gateway, "logs.anchor", forged)
    assert world.head().root == world.log.checkpoint(5).root
    fork = world.forks()[0]
    assert (fork.origin, fork.size, fork.tx_id) == (ORIGIN, 5, submitted.tx_id)
    keys = [signer.vkey for signer in world.log.signers]
    anchored, refused = open_checkpoint(fork.anchored_note, keys), open_checkpoint(fork.refused_note, keys)
    assert anchored.checkpoint.root != refused.checkpoint.root  # anyone can verify the contradiction
    assert (parse_note(honest).text, parse_note(forged).text) == (anchored.note.text, refused.note.text)
    event = world.events(1, after=submitted.index - 1)[0]
    roots = [world.log.checkpoint(5).root, world.log.fork().checkpoint(5).root]
    assert (event.name, cbor.decode(event.payload, 1000)) == ("logs.fork", [ORIGIN, 5, *roots])


def test_fork_answer_carries_the_head_and_honest_anchoring_goes_on(world: World) -> None:
    world.anchor(0, 5)
    answer = world.anchor(5, 5, world.log.fork())
    assert (answer.status, answer.size, answer.root) == (AnchorStatus.FORK, 5, world.log.checkpoint(5).root)
    assert world.anchor(5, 9).status is AnchorStatus.ANCHORED


def test_fork_of_an_older_checkpoint_is_kept_as_evidence(world: World) -> None:
    world.anchor(0, 5)
    world.anchor(5, 9)
    assert world.anchor(5, 5, world.log.fork()).status is AnchorStatus.FORK
    assert [fork.size for fork in world.forks()] == [5]
    assert world.head().size == 9


def test_the_first_proof_of_a_fork_stays(world: World) -> None:
    world.anchor(0, 5)
    world.anchor(5, 5, world.log.fork())
    first = world.forks()
    other = MemoryLog(ORIGIN, world.log.signers, b"third")
    assert world.anchor(5, 5, other).status is AnchorStatus.FORK
    assert world.forks() == first


def test_forks_are_listed_by_size_bounded_and_not_mixed_with_logs_below(world: World) -> None:
    below = ORIGIN + "/0"  # its keys sort among those of ORIGIN
    other, log = world.enrolled("below", "gateway", below), MemoryLog(below, log_signers(below))
    world.submit(other, "logs.register", below.encode(), *log.vkeys())
    world.anchor(0, 1, log, other)
    assert world.anchor(1, 1, log.fork(), other).status is AnchorStatus.FORK
    for size in range(1, 19):
        world.anchor(size - 1, size)
        world.anchor(size, size, world.log.fork())
    assert [fork.size for fork in world.forks()] == list(range(1, 17))
    assert [(fork.origin, fork.size) for fork in world.forks(below)] == [(below, 1)]


def test_smaller_size_is_refused(world: World) -> None:
    world.anchor(0, 9)
    world.refused(Code.SMALLER_SIZE, world.gateway, "logs.anchor", *world.log.anchor(0, 5))
    world.refused(Code.SMALLER_SIZE, world.gateway, "logs.anchor", world.log.note(0))


def test_a_rewritten_past_is_refused(world: World) -> None:
    """The gateway changed old leaves and builds the best proof there is for its new history."""
    world.anchor(0, 5)
    world.refused(Code.BAD_PROOF, world.gateway, "logs.anchor", *world.log.fork().anchor(5, 9))
    assert world.head().size == 5


def test_proofs_that_do_not_fit_are_refused(world: World) -> None:
    world.anchor(0, 5)
    note, *proof = world.log.anchor(5, 9)
    flipped = bytes([proof[0][0] ^ 1]) + proof[0][1:]
    for wrong in (
        [], proof[:-1], [*proof, proof[0]], proof[::-1], [flipped, *proof[1:]], [proof[0][:31], *proof[1:]],
        world.log.proof(4, 9), world.log.fork().proof(5, 9),
    ):  # fmt: skip
        world.refused(Code.BAD_PROOF, world.gateway, "logs.anchor", note, *wrong)
    world.refused(Code.BAD_PROOF, world.gateway, "logs.anchor", world.log.note(5), proof[0])  # none is due here
    world.refused(Code.ARGUMENT_COUNT, world.gateway, "logs.anchor", note, *[proof[0]] * 64)


def test_an_empty_tree_with_another_root_is_refused(world: World) -> None:
    lie = sign_checkpoint(Checkpoint(ORIGIN, 0, bytes(32)), world.log.signers, 1).marshal()
    world.refused(Code.BAD_PROOF, world.gateway, "logs.anchor", lie.encode())


def test_unknown_origin_is_refused(world: World) -> None:
    stranger = MemoryLog("nobody.example/log", log_signers("nobody.example/log"))
    world.refused(Code.UNKNOWN_LOG, world.gateway, "logs.anchor", *stranger.anchor(0, 3))


def test_one_signature_of_two_is_refused(world: World) -> None:
    for alone in world.log.signers:
        world.refused(Code.BAD_SIGNATURE, world.gateway, "logs.anchor", world.log.note(3, [alone]))


def test_signatures_of_other_keys_and_altered_notes_are_refused(world: World) -> None:
    impostor = log_signers(ORIGIN)
    world.refused(Code.BAD_SIGNATURE, world.gateway, "logs.anchor", world.log.note(3, impostor))
    mixed = (world.log.signers[0], impostor[1])
    world.refused(Code.BAD_SIGNATURE, world.gateway, "logs.anchor", world.log.note(3, mixed))
    grafted = world.log.note(4).split(b"\n\n")[0] + b"\n\n" + world.log.note(3).split(b"\n\n")[1]
    world.refused(Code.BAD_SIGNATURE, world.gateway, "logs.anchor", grafted)


def test_another_gateways_log_is_refused(world: World) -> None:
    other, log = world.other_gateway()
    world.refused(Code.NOT_OWNER, world.gateway, "logs.anchor", *log.anchor(0, 3))
    world.refused(Code.NOT_OWNER, other, "logs.anchor", *world.log.anchor(0, 3))
    assert world.anchor(0, 3, log, other).status is AnchorStatus.ANCHORED


def test_proof_of_another_log_is_refused(world: World) -> None:
    other, _ = world.other_gateway()
    log = MemoryLog(other.origin, log_signers(other.origin), b"other leaves")
    world.anchor(0, 5)
    world.refused(Code.BAD_PROOF, world.gateway, "logs.anchor", world.log.note(9), *log.proof(5, 9))


@pytest.mark.parametrize("role", ["source", "partner", "auditor"])
def test_callers_who_are_no_gateway_are_refused(world: World, role: str) -> None:
    caller = world.enrolled("someone", role)
    for function, args in (
        ("logs.anchor", world.log.anchor(0, 3)),
        ("logs.register", [ORIGIN.encode(), *world.log.vkeys()]),
        ("identities.enrol", Actor("friend", ORIGIN).enrolment("source")),
        ("identities.revoke", caller.revocation(5)),
    ):
        world.refused(Code.FORBIDDEN, caller, function, *args)


def test_callers_nobody_knows_are_refused(world: World) -> None:
    world.refused(Code.NOT_ENROLLED, Actor("ghost", ORIGIN), "logs.anchor", *world.log.anchor(0, 3))


def test_revoked_gateways_are_refused(world: World) -> None:
    other, log = world.other_gateway()
    world.anchor(0, 3, log, other)
    world.submit(world.gateway, "identities.revoke", *other.revocation(3))
    world.refused(Code.KEY_CLOSED, other, "logs.anchor", *log.anchor(3, 4))
    assert world.head(log.origin).size == 3


def test_a_log_is_registered_once_by_its_own_gateway(world: World) -> None:
    vkeys = world.log.vkeys()
    world.refused(Code.LOG_EXISTS, world.gateway, "logs.register", ORIGIN.encode(), *vkeys)
    other = world.enrolled("hospital/gateway", "gateway", OTHER)
    world.refused(Code.NOT_OWNER, other, "logs.register", ORIGIN.encode(), *vkeys)
    world.refused(Code.NOT_OWNER, world.gateway, "logs.register", b"plant.example/second", *vkeys)


def test_log_keys_that_must_not_be(world: World) -> None:
    origin = OTHER
    other, register = world.enrolled("hospital/gateway", "gateway", origin), "logs.register"
    first, second = MemoryLog(origin, log_signers(origin)).vkeys()
    old_type = NoteSigner(origin, SignatureType.ED25519_COSIGNATURE, PrivateKey.generate(Algorithm.ED25519))
    weak = _vkey_of_small_order(origin)
    for wrong in ([world.log.vkeys()[0]], [first, first], [str(old_type.vkey).encode()], [first[:-4]], [weak, second]):
        world.refused(Code.MALFORMED, other, register, origin.encode(), *wrong)
    reused = NoteSigner(origin, SignatureType.ED25519, other.key)
    world.refused(Code.KEY_IN_USE, other, register, origin.encode(), str(reused.vkey).encode(), second)
    world.refused(Code.ARGUMENT_COUNT, other, register, origin.encode())
    world.submit(other, register, origin.encode(), first, second)


def _vkey_of_small_order(origin: str) -> bytes:
    material = bytes([SignatureType.ED25519, 1]) + bytes(31)  # the identity point; no PublicKey will hold it
    key_id = sha256(origin.encode() + b"\n" + material).digest()[:4]
    return f"{origin}+{key_id.hex()}+{base64.b64encode(material).decode()}".encode()


def test_queries_say_what_is_not_there(world: World) -> None:
    for function, args, code in (
        ("logs.head", [b"nobody.example/log"], Code.UNKNOWN_LOG),
        ("logs.checkpoint", [ORIGIN.encode(), b"7"], Code.UNKNOWN_CHECKPOINT),
        ("logs.checkpoint", [ORIGIN.encode(), b"07"], Code.MALFORMED),
    ):
        with refusal(code):
            world.evaluate(function, *args)
