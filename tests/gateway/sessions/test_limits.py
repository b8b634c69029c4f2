"""What a stranger or a source can make the gateway do before it has proved anything, and what it may keep."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from chaincode.identity_records import KeyRecord
from crypto.kem import KemPrivateKey, KemSuite
from crypto.keys import Algorithm, PrivateKey
from crypto.session import messages
from crypto.session.frames import FrameType
from crypto.session.handshake import DeviceHandshake, Session
from crypto.session.messages import M2, M4, REFUSAL, Hello
from crypto.session.static import StaticKey
from gateway.access import SourceSettings
from gateway.device.identity import DeviceIdentity, Endpoint, GatewayKey, Profile, SessionKey
from gateway.device.options import DeviceOptions
from gateway.device.session import DeviceSession
from gateway.ingest.inbound import Channel, Inbound, Verdict
from gateway.ingest.mqtt.topics import frames_down, frames_up
from gateway.pipeline.sources import SourceBook
from gateway.sessions import handshakes as handshakes_module
from gateway.sessions.hub import Sessions
from gateway.sessions.limits import Bucket, Budget, SessionLimits
from tests.gateway.ingest.mqtt_support import RecordingSink

STATIC = KemPrivateKey.generate(KemSuite.X_WING)


class Hub:
    """Sessions with a clock that the test moves, a pipeline that records, and a carrier that keeps what it got."""

    def __init__(self, limits: SessionLimits | None = None) -> None:
        self.now_s, self.log_size = 1000.0, 0
        self.book, self.sink = SourceBook(), RecordingSink()
        self.posted: list[tuple[str, str, str, bytes]] = []
        self.verdicts: list[Verdict] = []
        self.keys: dict[str, PrivateKey] = {}
        announcement = StaticKey("test/log", 1, STATIC.public).announce(PrivateKey.generate(Algorithm.ED25519))
        self.sessions = Sessions(
            self.sink,
            self.book,
            STATIC,
            announcement,
            self._post,
            limits=limits,
            clock=lambda: self.now_s,
            log_size=lambda: self.log_size,
        )

    def _post(self, source: str, door: str, topic: str, payload: bytes) -> bool:
        self.posted.append((source, door, topic, payload))
        return True

    def enrol(self, name: str) -> None:
        key = self.keys[name] = PrivateKey.generate(Algorithm.ED25519)
        self.book.put(name, (KeyRecord(key.public, 0),), SourceSettings())

    def say(self, source: str, channel: Channel, *payloads: bytes, door: str = "side") -> list[bytes]:
        """Hand payloads in; what was posted in answer."""
        before = len(self.posted)
        self.sessions.submit(Inbound(
            source, door == "front", channel, "", list(payloads), sum(map(len, payloads)), 0, door,
            self.verdicts.extend,
        ))  # fmt: skip
        return [payload for _, _, _, payload in self.posted[before:]]

    def first(self, name: str) -> DeviceHandshake:
        key = self.keys[name]
        return DeviceHandshake(STATIC.public, key, Hello(name, key.public.kid, 1))

    def session(self, name: str) -> Session:
        device = self.first(name)
        (welcome,) = self.say(name, Channel.HANDSHAKE, device.hello)
        (confirmation,) = self.say(name, Channel.HANDSHAKE, device.answer(welcome))
        return device.finish(confirmation)

    def frame(self, name: str, session: Session, text: bytes = b"x") -> bytes:
        return session.sealer.seal(FrameType.MESSAGE, frames_up(name), text, self.now_s)[1]


def _kinds(answers: list[bytes]) -> list[int]:
    return [messages.kind_of(answer) for answer in answers]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many handshakes were begun with the static key."""
    begun: list[Any] = []
    real = handshakes_module.GatewayHandshake

    def counting(*args: Any) -> Any:
        begun.append(args)
        return real(*args)

    monkeypatch.setattr(handshakes_module, "GatewayHandshake", counting)
    return lambda: len(begun)


def test_a_source_has_a_budget_of_handshakes_and_nobody_else_pays(counted: Callable[[], int]) -> None:
    hub = Hub(SessionLimits(source_burst=4, source_every_s=10))
    hub.enrol("greedy")
    hub.enrol("modest")
    answers = hub.say("greedy", Channel.HANDSHAKE, *[hub.first("greedy").hello for _ in range(100)])
    assert _kinds(answers) == [M2] * 4
    assert counted() == 4  # the others cost no cryptography
    assert hub.sessions.counters.limited == 96
    assert _kinds(hub.say("modest", Channel.HANDSHAKE, hub.first("modest").hello)) == [M2]
    hub.now_s += 25
    answers = hub.say("greedy", Channel.HANDSHAKE, *[hub.first("greedy").hello for _ in range(10)])
    assert len(answers) == 2
    assert hub.verdicts == [Verdict.STORED] * 111  # the carrier is rid of all


def test_the_gateway_has_a_budget_too(counted: Callable[[], int]) -> None:
    hub = Hub(SessionLimits(per_second=2))
    for number in range(20):
        hub.enrol(f"s{number}")
        hub.say(f"s{number}", Channel.HANDSHAKE, hub.first(f"s{number}").hello)
    assert counted() == 5
    hub.now_s += 1
    for number in range(20):
        hub.say(f"s{number}", Channel.HANDSHAKE, hub.first(f"s{number}").hello)
    assert counted() == 7


def test_who_is_not_enrolled_or_has_no_key_or_was_revoked_gets_no_answer(counted: Callable[[], int]) -> None:
    hub = Hub()
    for name in ("stranger", "plain", "revoked", "blocked"):
        hub.enrol(name)
    hub.book.put("plain", (), SourceSettings(allow_plain=True))
    hub.book.put("revoked", (KeyRecord(hub.keys["revoked"].public, 0, 5),), SourceSettings())
    hub.book.block("blocked")
    for name in ("plain", "revoked", "blocked"):
        assert not hub.say(name, Channel.HANDSHAKE, hub.first(name).hello)
    assert not hub.say("nobody", Channel.HANDSHAKE, hub.first("stranger").hello)
    assert counted() == 0


def test_every_failure_has_the_same_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    hub = Hub(SessionLimits(source_burst=50))
    hub.enrol("cold-1")
    hub.enrol("cold-2")
    other, stale = KemPrivateKey.generate(KemSuite.X_WING), PrivateKey.generate(Algorithm.ED25519)
    mine = hub.keys["cold-1"]
    firsts = [
        DeviceHandshake(other.public, mine, Hello("cold-1", mine.public.kid, 1)),  # another gateway's key
        DeviceHandshake(STATIC.public, mine, Hello("cold-2", mine.public.kid, 1)),  # another source inside
        DeviceHandshake(STATIC.public, stale, Hello("cold-1", stale.public.kid, 1)),  # a key that is not its own
        DeviceHandshake(STATIC.public, mine, Hello("cold-1", mine.public.kid, 1), suites=[77]),  # no suite
    ]
    for device in firsts:
        assert hub.say("cold-1", Channel.HANDSHAKE, device.hello) == [messages.encode(REFUSAL, {3: device.nonce})]
    # A third message by the wrong topic, by the wrong key, and to a handshake that is over.
    device = DeviceHandshake(STATIC.public, stale, Hello("cold-1", mine.public.kid, 1))
    (welcome,) = hub.say("cold-1", Channel.HANDSHAKE, device.hello)
    proof = device.answer(welcome)
    refusal = [messages.encode(REFUSAL, {3: device.sid})]
    assert hub.say("cold-2", Channel.HANDSHAKE, proof) == refusal
    assert not hub.say("cold-1", Channel.HANDSHAKE, *[proof] * 4)
    assert hub.say("cold-1", Channel.HANDSHAKE, proof) == refusal
    assert len(hub.sessions.table) == 0
    reasons = " ".join(record.message for record in caplog.records)
    for words in (
        "does not open",
        "is of 'cold-2'",
        "not its present one",
        "no suite",
        "is not proved",
        "no handshake waits",
    ):
        assert words in reasons  # for the operator only


def test_wrong_third_messages_do_not_end_a_handshake() -> None:
    """Whoever sees the second message on a broker knows the session's name."""
    hub = Hub(SessionLimits(tries=4))
    hub.enrol("a")
    device = hub.first("a")
    (welcome,) = hub.say("a", Channel.HANDSHAKE, device.hello)
    proof = device.answer(welcome)
    wrong = proof[:-1] + bytes([proof[-1] ^ 1])
    assert not hub.say("a", Channel.HANDSHAKE, wrong, wrong, wrong)
    (confirmation,) = hub.say("a", Channel.HANDSHAKE, proof)
    session = device.finish(confirmation)
    assert len(hub.sessions._handshakes._waiting) == 0
    assert not hub.say("a", Channel.HANDSHAKE, proof)  # a carrier's repeat: the session stands, which is no failure
    hub.say("a", Channel.FRAMES, hub.frame("a", session))
    assert (hub.sessions.counters.opened, hub.sessions.counters.refused) == (1, 3)
    # But they cost something, so there is a bound.
    device = hub.first("a")
    (welcome,) = hub.say("a", Channel.HANDSHAKE, device.hello)
    proof = device.answer(welcome)
    wrong = proof[:-1] + bytes([proof[-1] ^ 1])
    assert not hub.say("a", Channel.HANDSHAKE, *[wrong] * 4)
    assert _kinds(hub.say("a", Channel.HANDSHAKE, proof)) == [REFUSAL]


def test_names_in_first_messages_make_no_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    hub = Hub()
    hub.enrol("a")
    hello = Hello("a\nCRITICAL the log is forked", hub.keys["a"].public.kid, 1)
    assert _kinds(hub.say("a", Channel.HANDSHAKE, DeviceHandshake(STATIC.public, hub.keys["a"], hello).hello)) == [
        REFUSAL
    ]
    assert "the log is forked" in caplog.text
    assert not any("\n" in record.getMessage() for record in caplog.records)


def test_a_device_whose_follower_session_fails_rests() -> None:
    """It must not turn without a pause until its back-off is over."""
    hub = Hub()
    hub.enrol("a")
    key = GatewayKey("ed25519", hub.keys["a"].public.raw)  # of the gateway: any
    pinned = SessionKey("x-wing", STATIC.public.raw, 1)
    profile = Profile("a", "test/log", Endpoint("127.0.0.1", 1, False), key, (), pinned)
    options = DeviceOptions(session_seconds=10.0, backoff_first=8.0)
    device = DeviceSession(DeviceIdentity(profile, hub.keys["a"], ""), 1, options, lambda key: None)
    hello = device.due(0.0)
    assert hello is not None
    (welcome,) = hub.say("a", Channel.HANDSHAKE, hello)
    proof = device.take(welcome, 0.0)
    assert proof is not None
    device.take(hub.say("a", Channel.HANDSHAKE, proof)[0], 0.0)
    assert device.ready
    assert device.next_due() == 10.0
    assert device.due(10.0) is not None
    assert device.due(10.0 + options.ack_timeout) is None  # nobody answered
    due = device.next_due()
    assert due is not None
    assert due >= 10.0 + options.ack_timeout + 4.0
    assert device.due(due) is not None


def test_a_key_counts_as_long_as_the_log_says() -> None:
    hub = Hub(SessionLimits(source_burst=50))
    hub.enrol("a")
    old, new = hub.keys["a"], PrivateKey.generate(Algorithm.ED25519)
    hub.book.put("a", (KeyRecord(old.public, 0, 10), KeyRecord(new.public, 10)), SourceSettings())
    hub.session("a")
    hub.keys["a"] = new
    hub.session("a")
    hub.log_size = 10
    hub.session("a")
    hub.keys["a"] = old
    assert _kinds(hub.say("a", Channel.HANDSHAKE, hub.first("a").hello)) == [REFUSAL]


def test_half_open_handshakes_are_bounded_in_number_and_time() -> None:
    hub = Hub(SessionLimits(half_open=3, half_open_s=30, source_burst=50))
    hub.enrol("cold-1")
    devices = [hub.first("cold-1") for _ in range(5)]
    proofs = [d.answer(hub.say("cold-1", Channel.HANDSHAKE, d.hello)[0]) for d in devices]
    assert len(hub.sessions._handshakes._waiting) == 3
    assert _kinds(hub.say("cold-1", Channel.HANDSHAKE, *proofs[:2])) == [REFUSAL] * 2
    assert _kinds(hub.say("cold-1", Channel.HANDSHAKE, proofs[2])) == [M4]
    assert len(hub.sessions._handshakes._waiting) == 2
    hub.now_s += 31
    hub.sessions.tidy()
    assert len(hub.sessions._handshakes._waiting) == 0
    assert _kinds(hub.say("cold-1", Channel.HANDSHAKE, proofs[3])) == [REFUSAL]


def test_sessions_are_bounded_by_source_in_number_and_in_time() -> None:
    hub = Hub(SessionLimits(session_s=100, sessions=3, source_burst=50))
    for name in ("a", "b", "c"):
        hub.enrol(name)
    of_a = [hub.session("a") for _ in range(3)]
    assert len(hub.sessions.table) == 2  # the one in use and the one that follows
    assert not hub.sink.messages
    hub.say("a", Channel.FRAMES, hub.frame("a", of_a[1]))
    hub.say("a", Channel.FRAMES, hub.frame("a", of_a[2]))
    assert len(hub.sessions.table) == 1  # the newer one was heard
    b, _ = hub.session("b"), hub.session("c")
    hub.say("a", Channel.FRAMES, hub.frame("a", of_a[2]))
    hub.session("c")
    assert len(hub.sessions.table) == 3
    assert _kinds(hub.say("b", Channel.FRAMES, hub.frame("b", b))) == [REFUSAL]  # it was quiet longest
    assert not hub.say("a", Channel.FRAMES, hub.frame("a", of_a[2]))
    hub.now_s += 124
    hub.sessions.tidy()
    assert len(hub.sessions.table) == 3
    hub.now_s += 2
    hub.sessions.tidy()
    assert len(hub.sessions.table) == 0
    assert _kinds(hub.say("a", Channel.FRAMES, hub.frame("a", of_a[2]))) == [REFUSAL]
    assert hub.sessions.counters.opened == 4


def test_a_session_in_use_stays_until_another_is_used() -> None:
    """Whoever withholds fourth messages makes a device begin again and again; what it has must go on."""
    hub = Hub(SessionLimits(source_burst=50))
    hub.enrol("a")
    in_use = hub.session("a")
    hub.say("a", Channel.FRAMES, hub.frame("a", in_use))
    followers = [hub.session("a") for _ in range(3)]
    assert not hub.say("a", Channel.FRAMES, hub.frame("a", in_use))
    assert len(hub.sessions.table) == 2
    assert not hub.say("a", Channel.FRAMES, hub.frame("a", followers[-1]))
    assert _kinds(hub.say("a", Channel.FRAMES, hub.frame("a", in_use))) == [REFUSAL]
    assert hub.sessions.counters.opened == 3


def test_frames_of_a_session_and_of_its_follower_in_one_read() -> None:
    hub = Hub()
    hub.enrol("a")
    old, new = hub.session("a"), hub.session("a")
    frames = [hub.frame("a", session, b"%d" % n) for n, session in enumerate((old, new, old, new))]
    assert not hub.say("a", Channel.FRAMES, *frames)
    assert [message.payload for message in hub.sink.messages] == [b"0", b"1", b"2", b"3"]
    assert len(hub.sessions.table) == 1
    assert _kinds(hub.say("a", Channel.FRAMES, hub.frame("a", old))) == [REFUSAL]
    backwards = Hub()
    backwards.enrol("a")
    old, new = backwards.session("a"), backwards.session("a")
    assert not backwards.say("a", Channel.FRAMES, backwards.frame("a", new), backwards.frame("a", old))
    assert len(backwards.sink.messages) == 2


def test_frames_of_unknown_sessions_are_hinted_at_rarely() -> None:
    hub = Hub(SessionLimits(hints_every_s=1))
    hub.enrol("a")
    session = hub.session("a")
    hub.sessions.drop("a")
    frames = [hub.frame("a", session) for _ in range(100)]
    assert _kinds(hub.say("a", Channel.FRAMES, *frames)) == [REFUSAL]
    hub.now_s += 1.1
    assert _kinds(hub.say("a", Channel.FRAMES, *frames)) == [REFUSAL]
    assert hub.sessions.counters.unknown == 200
    assert not hub.sink.messages


def test_false_frames_get_no_answer_at_all() -> None:
    hub = Hub()
    hub.enrol("a")
    hub.enrol("b")
    session = hub.session("a")
    frame = hub.frame("a", session)
    down = session.sealer.seal(FrameType.ACKNOWLEDGEMENT, frames_up("a"), b"x", 0.0)[1]
    altered = frame[:-1] + bytes([frame[-1] ^ 1])
    assert not hub.say("a", Channel.FRAMES, altered, frame, frame, down, b"", b"\1" * 40)
    assert [message.payload for message in hub.sink.messages] == [b"x"]
    counters = hub.sessions.counters
    assert (counters.false, counters.opened, counters.repeated, counters.unknown) == (2, 1, 1, 2)
    assert _kinds(hub.say("b", Channel.FRAMES, hub.frame("a", session))) == [REFUSAL]  # as if it knew none


def test_what_the_pipeline_says_of_each_frame() -> None:
    """Not now may be a PUBACK, for it only puts off; never is said in the session; else nothing is."""
    hub = Hub()
    hub.enrol("a")
    session = hub.session("a")
    hub.verdicts.clear()
    hub.sink.verdict = None
    assert not hub.say("a", Channel.FRAMES, *[hub.frame("a", session) for _ in range(4)], b"not a frame")
    assert not hub.verdicts
    said = [Verdict.STORED, Verdict.QUOTA_EXCEEDED, Verdict.REJECTED, Verdict.NOT_AUTHORIZED]
    for message, verdict in zip(list(hub.sink.waiting), said, strict=True):
        hub.sink._tell(message, verdict)
    assert hub.verdicts == [Verdict.STORED, Verdict.QUOTA_EXCEEDED, *[Verdict.STORED] * 3]
    frames = [session.opener.open(topic, frame) for _, _, topic, frame in hub.posted[-2:]]
    assert [f.type for f in frames] == [FrameType.REFUSED] * 2
    assert [messages.open_refused(f.plaintext) for f in frames] == [(2, 0x99), (3, 0x87)]


def test_a_frame_authenticates_its_source_behind_any_broker_and_answers_go_the_same_way() -> None:
    hub = Hub()
    hub.enrol("a")
    session = hub.session("a")
    assert not hub.sessions.answer("a", b"nothing came yet")
    hub.say("a", Channel.FRAMES, hub.frame("a", session))
    (message,) = hub.sink.messages
    assert (message.source, message.authenticated, message.channel) == ("a", True, Channel.EVENTS)
    assert hub.sessions.answer("a", b"stored")
    source, door, topic, frame = hub.posted[-1]
    assert (source, door, topic) == ("a", "side", frames_down("a"))
    assert session.opener.open(topic, frame).plaintext == b"stored"
    hub.say("a", Channel.FRAMES, hub.frame("a", session), door="front")  # the device moved
    assert hub.sessions.answer("a", b"stored")
    assert hub.posted[-1][1] == "front"


def test_what_is_in_no_session_passes_untouched() -> None:
    hub = Hub()
    hub.say("a", Channel.EVENTS, b"one")
    hub.say("b", Channel.PLAIN, b"two")
    assert [message.payload for message in hub.sink.messages] == [b"one", b"two"]
    assert not hub.posted


def test_buckets() -> None:
    bucket = Bucket(3, 2.0, 0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(1.9)
    assert bucket.take(2.0)
    assert not bucket.take(2.0)
    assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]  # never more than a burst
    budget = Budget(1, 1.0, Bucket(1, 1e9, 0.0))
    assert budget.take("a", 0.0)
    assert not budget.take("b", 0.0)  # the whole is used up
