"""The witness client and the publisher against real witnesses on loopback, honest and lying."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from chain.errors import ForkError, LogError, PolicyError, WitnessError
from chain.log.checkpoints import Checkpoints, StoredCheckpoint
from chain.log.publish import Publisher, check_history
from chain.log.quorum import WitnessQuorum
from chain.log.witness import (
    BadSignatureError,
    InconsistentError,
    StaleSizeError,
    Submission,
    UnknownLogError,
    Witness,
    parse_size,
)
from chain.policy import parse_policy
from chain.store.database import Database
from crypto.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from crypto.note import Note, NoteSigner, SignatureType, VerifierKey
from tests.chain.log.logs import OpenLog, log_signers, open_log, signer
from tests.simulator.witness import Answer, Place, SimulatedWitness, serving

ORIGIN = "log.example/a"
SIGNERS = log_signers(ORIGIN)
LOG_KEYS = [key.vkey for key in SIGNERS]
KINDS = (SignatureType.ED25519_COSIGNATURE, SignatureType.ML_DSA_44_COSIGNATURE, SignatureType.ED25519_COSIGNATURE)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[OpenLog]:
    opened = open_log(tmp_path / "log.db")
    yield opened
    opened.db.close()


@pytest.fixture(scope="module")
def places() -> Iterator[list[tuple[Place, str]]]:
    """Three served addresses, kept for all tests here because starting and stopping servers takes time."""
    with ExitStack() as stack:
        made = [Place() for _ in KINDS]
        yield [(place, stack.enter_context(serving(place))) for place in made]


@pytest.fixture
def witnesses(tmp_path: Path, places: list[tuple[Place, str]]) -> Iterator[list[SimulatedWitness]]:
    made = []
    for number, (kind, (place, url)) in enumerate(zip(KINDS, places, strict=True)):
        folder = tmp_path / f"witness{number}"
        folder.mkdir()
        place.application = SimulatedWitness(folder, [signer(f"w{number}.example", kind)], LOG_KEYS)
        place.application.url = url
        made.append(place.application)
    yield made
    for witness in made:
        witness.close()


def policy_text(witnesses: list[SimulatedWitness], rule: str = "2") -> str:
    lines = [f"witness w{n} {w.signers[0].vkey} {w.url}" for n, w in enumerate(witnesses)]
    names = " ".join(f"w{n}" for n in range(len(witnesses)))
    return "\n".join([*lines, f"group all-of-them {rule} {names}", "quorum all-of-them", ""])


def sign_with(log: OpenLog, text: str, *, times: int = 1, grow: int = 0, deadline_s: float = 5.0) -> Note:
    """The publisher's note, on a fresh event loop, asked for `times` with `grow` new entries between."""

    async def run() -> Note:
        quorum = WitnessQuorum(parse_policy(text), deadline_s=deadline_s, grace_s=2.0)
        publisher = Publisher(log.reader, log.checkpoints, SIGNERS, quorum)
        try:
            for _ in range(times - 1):
                await publisher.sign()
                log.grow(grow)
            return await publisher.sign()
        finally:
            await quorum.close()

    return asyncio.run(run())


def witness_keys(witnesses: list[SimulatedWitness]) -> list[VerifierKey]:
    return [witness.signers[0].vkey for witness in witnesses]


def cosigners(note: Note, witnesses: list[SimulatedWitness]) -> set[str]:
    found = open_checkpoint(note.marshal(), LOG_KEYS, witness_keys(witnesses))
    return {verified.key.name for verified in found.signers if verified.key.name != ORIGIN}


def submission_of(log: OpenLog, signers: list[NoteSigner] = SIGNERS) -> Submission:
    checkpoint = Checkpoint(signers[0].name, log.log.size, log.log.root())
    keys = tuple(key.vkey for key in signers)
    return Submission(sign_checkpoint(checkpoint, signers, 1), checkpoint, log.reader, keys)


def ask(witness: SimulatedWitness, submission: Submission, old: int = 0) -> set[str]:
    """One call to one witness; gives the names that cosigned."""

    async def run() -> set[str]:
        import httpx

        async with httpx.AsyncClient() as http:
            client = Witness(witness.url, [key.vkey for key in witness.signers])
            return {found.key.name for found in await client.cosign(http, submission, old)}

    return asyncio.run(run())


def answering(*answer: object) -> Callable[[Answer], Answer]:
    return lambda _: answer  # type: ignore[return-value]


def test_every_witness_cosigns_a_growing_log(log: OpenLog, witnesses: list[SimulatedWitness]) -> None:
    for size in (0, 1, 255, 256, 257, 1000):
        log.grow(size - log.log.size)
        note = sign_with(log, policy_text(witnesses, "all"))
        assert cosigners(note, witnesses) == {"w0.example", "w1.example", "w2.example"}
        stored = log.checkpoints.latest()
        assert stored
        assert (stored.size, stored.note) == (size, note.marshal())
        assert set(log.checkpoints.witness_sizes().values()) == {size}
    assert [witness.requests for witness in witnesses] == [[200] * 6] * 3  # sizes are remembered: no 409


def test_the_same_size_gives_the_same_note_and_asks_nobody(log: OpenLog, witnesses: list[SimulatedWitness]) -> None:
    log.grow(3)
    assert sign_with(log, policy_text(witnesses)) == sign_with(log, policy_text(witnesses))
    assert witnesses[0].requests == [200]


def test_a_lost_memory_of_sizes_is_mended_by_one_retry(log: OpenLog, witnesses: list[SimulatedWitness]) -> None:
    log.grow(10)
    sign_with(log, policy_text(witnesses, "all"))
    log.grow(5)
    with log.db.transaction() as tx:
        tx.execute("DELETE FROM log_witness")
    assert len(cosigners(sign_with(log, policy_text(witnesses, "all")), witnesses)) == 3
    assert witnesses[0].requests == [200, 409, 200]


def test_quorum_two_of_three_with_one_down(log: OpenLog, witnesses: list[SimulatedWitness]) -> None:
    log.grow(4)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}"
    text = policy_text(witnesses).replace(witnesses[1].url, dead)
    assert cosigners(sign_with(log, text, times=3, grow=9), witnesses) == {"w0.example", "w2.example"}


def test_without_its_quorum_nothing_is_published_and_the_next_try_goes_on(
    log: OpenLog, witnesses: list[SimulatedWitness]
) -> None:
    log.grow(4)
    for witness in witnesses[1:]:
        witness.misbehave = answering(503, "text/plain", b"out of order")
    with pytest.raises(WitnessError, match=r"size 4 waits.*503: out of order"):
        sign_with(log, policy_text(witnesses))
    assert log.checkpoints.latest() is None
    waiting = log.checkpoints.newest_signed()
    assert waiting
    witnesses[2].misbehave = lambda answer: answer
    note = sign_with(log, policy_text(witnesses))
    assert note.marshal().startswith(waiting.note)  # the very note that waited, now with cosignatures
    assert cosigners(note, witnesses) == {"w0.example", "w2.example"}
    assert witnesses[0].requests == [200, 200]


def test_the_note_is_on_disk_before_a_witness_sees_it(log: OpenLog, witnesses: list[SimulatedWitness]) -> None:
    stored: list[StoredCheckpoint | None] = []

    def look(answer: Answer) -> Answer:
        """Runs inside the witness while it handles the request, on a connection of its own."""
        own = Database(log.db.path, readonly=True)
        stored.append(Checkpoints(own).newest_signed())
        own.close()
        return answer

    log.grow(6)
    witnesses[0].misbehave = look
    note = sign_with(log, policy_text(witnesses, "all"))
    assert stored[0]
    assert (stored[0].size, stored[0].published) == (6, False)
    assert note.marshal().startswith(stored[0].note)


def test_a_slow_witness_is_cut_off(log: OpenLog, witnesses: list[SimulatedWitness]) -> None:
    log.grow(1)
    witnesses[0].delay_s = 5
    assert cosigners(sign_with(log, policy_text(witnesses), deadline_s=0.5), witnesses) == {"w1.example", "w2.example"}
    log.grow(1)
    with pytest.raises(WitnessError, match=r"did not answer within 0\.5 s"):
        sign_with(log, policy_text(witnesses, "all"), deadline_s=0.5)


def test_a_log_that_was_rolled_back_is_stopped_with_both_notes(
    log: OpenLog, witnesses: list[SimulatedWitness], tmp_path: Path
) -> None:
    log.grow(20)
    published = sign_with(log, policy_text(witnesses))
    backup = open_log(tmp_path / "backup.db")
    backup.grow(15)
    with pytest.raises(ForkError) as caught:
        sign_with(backup, policy_text(witnesses))
    assert "has cosigned size 20, we are at 15" in str(caught.value)
    assert published.text in str(caught.value)  # the witness's evidence
    waiting = backup.checkpoints.newest_signed()
    assert waiting
    assert waiting.note in str(caught.value)  # ours
    assert backup.checkpoints.latest() is None
    backup.db.close()


@pytest.mark.parametrize("size", [20, 25])
def test_a_log_that_was_rewritten_is_stopped(
    log: OpenLog, witnesses: list[SimulatedWitness], tmp_path: Path, size: int
) -> None:
    log.grow(20)
    published = sign_with(log, policy_text(witnesses))
    rewritten = open_log(tmp_path / "rewritten.db")
    rewritten.grow(size, "another entry")
    with pytest.raises(ForkError, match="another root") as caught:
        sign_with(rewritten, policy_text(witnesses))
    assert published.text in str(caught.value)
    assert [200, 409, 422] in [witness.requests for witness in witnesses]  # the first that is sure stops all
    rewritten.db.close()


def test_the_log_itself_notices_that_it_was_rewritten_or_cut(log: OpenLog, tmp_path: Path) -> None:
    log.grow(20)
    note = asyncio.run(Publisher(log.reader, log.checkpoints, SIGNERS).sign())
    for count, text, reason in ((15, "entry", "rolled back"), (25, "another entry", "contradicts")):
        other = open_log(tmp_path / f"{count}.db")
        other.grow(count, text)
        with other.db.transaction() as tx:
            other.checkpoints.save(tx, note, 20, 1)
        with pytest.raises(ForkError, match=reason) as caught:
            asyncio.run(Publisher(other.reader, other.checkpoints, SIGNERS).sign())
        assert note.marshal() in str(caught.value)
        with pytest.raises(ForkError, match="the ledger"):
            check_history(other.reader, Checkpoint.parse(note.text), "the ledger", note.marshal())
        other.db.close()
    check_history(log.reader, Checkpoint.parse(note.text), "the ledger", note.marshal())


def test_statuses_are_typed(log: OpenLog, witnesses: list[SimulatedWitness]) -> None:
    log.grow(8)
    stranger = log_signers("log.example/unknown")
    with pytest.raises(UnknownLogError, match="404"):
        ask(witnesses[0], submission_of(log, stranger))
    with pytest.raises(BadSignatureError, match="403"):
        ask(witnesses[0], submission_of(log, log_signers(ORIGIN)))
    assert ask(witnesses[0], submission_of(log)) == {"w0.example"}
    assert witnesses[0].requests == [404, 403, 200]
    assert ask(witnesses[0], submission_of(log)) == {"w0.example"}
    assert witnesses[0].requests[3:] == [409, 200]


def test_a_proof_that_a_witness_cannot_follow(log: OpenLog, witnesses: list[SimulatedWitness]) -> None:
    log.grow(8)
    witnesses[0].misbehave = lambda answer: answer
    ask(witnesses[0], submission_of(log))
    log.grow(8)
    with log.db.transaction() as tx:  # damaged tiles make false proofs, the history itself agrees
        tx.execute("UPDATE log_tail SET hashes = CAST(substr(hashes, 1, 64) || randomblob(192) AS BLOB) WHERE first")
    with pytest.raises(InconsistentError, match="422"):
        ask(witnesses[0], submission_of(log), 8)


def test_a_witness_that_always_moves_on(log: OpenLog, witnesses: list[SimulatedWitness]) -> None:
    log.grow(8)
    witnesses[0].misbehave = answering(409, "text/x.tlog.size", b"3\n")
    with pytest.raises(StaleSizeError, match="409"):
        ask(witnesses[0], submission_of(log))
    assert len(witnesses[0].requests) == 2


def test_a_witness_that_claims_more_without_evidence_still_stops_us(
    log: OpenLog, witnesses: list[SimulatedWitness]
) -> None:
    log.grow(8)
    witnesses[0].misbehave = answering(409, "text/x.tlog.size", b"9\n")
    with pytest.raises(ForkError, match="shows no checkpoint of ours"):
        ask(witnesses[0], submission_of(log))
    witnesses[0].misbehave = lambda answer: answer
    with pytest.raises(ForkError, match="cosigned size 9, we are at 8"):
        ask(witnesses[0], submission_of(log), 9)


OTHER = signer("w0.example", SignatureType.ED25519_COSIGNATURE)


@pytest.mark.parametrize(
    "body",
    [b"", b"\n", b"nonsense\n", "— w0.example AAAA\n".encode(), b"\xff\n", OTHER.sign("x", 1).line().encode()],
)
def test_answers_without_a_true_cosignature(log: OpenLog, witnesses: list[SimulatedWitness], body: bytes) -> None:
    log.grow(2)
    witnesses[0].misbehave = answering(200, "text/plain", body)
    with pytest.raises(WitnessError):
        ask(witnesses[0], submission_of(log))


def test_cosignatures_that_lie(log: OpenLog, witnesses: list[SimulatedWitness]) -> None:
    log.grow(2)
    submission, key = submission_of(log), witnesses[0].signers[0]
    elsewhere = key.sign(submission.note.text.replace("\n2\n", "\n3\n"), 1).line().encode()
    timeless = key.sign(submission.note.text, 0).line().encode()
    unfinished = key.sign(submission.note.text, 1).line().encode()[:-1]
    for body, reason in ((elsewhere, "does not verify"), (timeless, "timestamp 0"), (unfinished, "newline")):
        witnesses[0].misbehave = answering(200, "text/plain", body)
        with pytest.raises(WitnessError, match=reason):
            ask(witnesses[0], submission)
    strangers = OTHER.sign(submission.note.text, 1).line().encode()
    witnesses[0].misbehave = answering(200, "text/plain", strangers + key.sign(submission.note.text, 1).line().encode())
    assert ask(witnesses[0], submission) == {"w0.example"}


def test_an_endless_answer_is_cut_off(log: OpenLog, witnesses: list[SimulatedWitness]) -> None:
    log.grow(2)
    witnesses[0].misbehave = answering(200, "text/plain", b"x" * 1_000_000)
    with pytest.raises(WitnessError, match="more than 65536 bytes"):
        ask(witnesses[0], submission_of(log))


@pytest.mark.parametrize("answer", [b"", b"\n", b"5", b"05\n", b"-1\n", b"5\n\n", "٣\n".encode(), b"9" * 20 + b"\n"])
def test_sizes_that_are_none(answer: bytes) -> None:
    with pytest.raises(WitnessError):
        parse_size(answer, "text/x.tlog.size")


def test_a_size_needs_its_media_type() -> None:
    assert parse_size(b"0\n", "text/x.tlog.size") == 0
    with pytest.raises(WitnessError, match=r"text/x\.tlog\.size"):
        parse_size(b"0\n", "text/plain")


def test_one_address_with_two_keys_is_asked_once(log: OpenLog, witnesses: list[SimulatedWitness]) -> None:
    log.grow(2)
    second = signer("w0.example", SignatureType.ML_DSA_44_COSIGNATURE)
    witnesses[0].signers = [*witnesses[0].signers, second]
    text = f"witness a {witnesses[0].signers[0].vkey} {witnesses[0].url}\n"
    text += f"witness b {second.vkey} {witnesses[0].url}/\ngroup g all a b\nquorum g\n"
    note = sign_with(log, text)
    assert len(open_checkpoint(note.marshal(), LOG_KEYS, [key.vkey for key in witnesses[0].signers]).signers) == 4
    assert witnesses[0].requests == [200]


def test_a_quorum_that_nobody_can_be_asked_for() -> None:
    vkey = signer("w.example", SignatureType.ED25519_COSIGNATURE).vkey
    with pytest.raises(PolicyError, match="cannot reach the quorum"):
        WitnessQuorum(parse_policy(f"witness a {vkey}\nquorum a\n"))


def test_publishing_without_witnesses(log: OpenLog) -> None:
    publisher = Publisher(log.reader, log.checkpoints, SIGNERS)
    log.grow(2)

    async def together() -> tuple[Note, Note, Note]:
        return await asyncio.gather(publisher.sign(), publisher.sign(), publisher.sign())

    notes = asyncio.run(together())
    assert notes[0] == notes[1] == notes[2]
    opened = open_checkpoint(notes[0].marshal(), LOG_KEYS)
    assert (opened.checkpoint.size, opened.checkpoint.root) == (2, log.log.root())
    (count,) = log.db.connection.execute("SELECT count(*) FROM log_checkpoint").fetchone()
    assert count == 1


def test_a_waiting_note_is_published_when_witnesses_are_no_longer_demanded(log: OpenLog) -> None:
    log.grow(2)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}"
    vkey = signer("w.example", SignatureType.ED25519_COSIGNATURE).vkey
    with pytest.raises(WitnessError, match="cannot be reached"):
        sign_with(log, f"witness a {vkey} {dead}\nquorum a\n")
    note = asyncio.run(Publisher(log.reader, log.checkpoints, SIGNERS).sign())
    latest = log.checkpoints.latest()
    assert latest
    assert latest.note == note.marshal()


def test_signers_must_agree_and_a_log_keeps_its_name(log: OpenLog) -> None:
    with pytest.raises(LogError, match="named after"):
        Publisher(log.reader, log.checkpoints, [*SIGNERS, signer("b", SignatureType.ED25519)])
    with pytest.raises(LogError, match="named after"):
        Publisher(log.reader, log.checkpoints, [])
    asyncio.run(Publisher(log.reader, log.checkpoints, SIGNERS).sign())
    with pytest.raises(LogError, match="cannot go on as"):
        asyncio.run(Publisher(log.reader, log.checkpoints, log_signers("log.example/b")).sign())
