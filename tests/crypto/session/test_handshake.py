"""The handshake under attack: each alteration, loss, repetition and mixture is performed on real messages."""

import pytest

from crypto.errors import FormatError, SealtrailError, SignatureError
from crypto.kem import KemPrivateKey, KemPublicKey, KemSuite
from crypto.keys import Algorithm, PrivateKey
from crypto.session import handshake, messages
from crypto.session.errors import HandshakeError
from crypto.session.frames import FrameType
from crypto.session.handshake import DeviceHandshake, GatewayHandshake, Session
from crypto.session.messages import ANNOUNCEMENT, ASK, M1, M2, REFUSAL, Hello, Terms
from crypto.session.static import StaticKey, open_announcement
from crypto.session.suites import Suite, first_mutual
from tests.crypto.session.ends import ALGORITHMS, DEVICE, KEYS, SOURCE, STATIC, Ends, flips
from tests.torture.scale import scaled

TOPIC = "st/1/fridge-7/frames/up"


def _speak(device: Session, gateway: Session) -> None:
    """Both directions work."""
    for number in range(3):
        _, up = device.sealer.seal(FrameType.MESSAGE, TOPIC, b"reading %d" % number, 0.0)
        assert gateway.opener.open(TOPIC, up).plaintext == b"reading %d" % number
        _, down = gateway.sealer.seal(FrameType.ACKNOWLEDGEMENT, "down", b"stored", 0.0)
        assert device.opener.open("down", down).plaintext == b"stored"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("suite", list(Suite))
def test_two_honest_ends_meet(algorithm: Algorithm, suite: Suite) -> None:
    terms = Terms(100, 20, 3600, 1_795_413_600_000_000, b"a note")
    ends = Ends(KEYS[algorithm], wanted=[suite], terms=terms)
    device, gateway = ends.both()
    assert device.suite is gateway.suite is suite
    assert (device.sid, device.source, device.terms) == (gateway.sid, SOURCE, terms)
    assert ends.gateway.hello == Hello(SOURCE, KEYS[algorithm].public.kid, 3)
    _speak(device, gateway)


def test_nothing_of_the_device_but_what_any_message_has_is_in_the_clear() -> None:
    ends = Ends()
    ends.both()
    for message in ends.messages.values():
        assert SOURCE.encode() not in message
        assert DEVICE.public.kid not in message
        assert DEVICE.public.raw not in message


def test_every_byte_of_the_first_message() -> None:
    for altered in flips(Ends().first(), scaled(3, 1)):
        with pytest.raises(HandshakeError):
            GatewayHandshake(STATIC, altered)


def test_every_byte_of_the_second_message() -> None:
    ends = Ends()
    welcome = ends.second()
    for altered in flips(welcome):
        with pytest.raises(HandshakeError):
            ends.device.answer(altered)
    proof = ends.device.answer(welcome)  # none of them disturbed the device
    assert ends.gateway.finish(proof, DEVICE.public)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_byte_of_the_third_message(algorithm: Algorithm) -> None:
    ends = Ends(KEYS[algorithm])
    proof = ends.third()
    for altered in flips(proof):
        with pytest.raises(HandshakeError):
            ends.gateway.finish(altered, KEYS[algorithm].public)
    assert ends.gateway.finish(proof, KEYS[algorithm].public)


def test_every_byte_of_the_fourth_message() -> None:
    ends = Ends()
    confirmation = ends.fourth()
    for altered in flips(confirmation):
        with pytest.raises(HandshakeError):
            ends.device.finish(altered)
    _speak(ends.device.finish(confirmation), ends.at_gateway)


def test_every_length_of_every_message() -> None:
    ends = Ends()
    ends.both()
    whole = Ends()
    whole.fourth()
    for length in range(0, 2500, 7):
        for number in (1, 2, 3, 4):
            for wrong in (whole.messages[number][:length], whole.messages[number] + bytes(length + 1)):
                if len(wrong) != len(whole.messages[number]):
                    with pytest.raises(SealtrailError):
                        messages.decode(wrong, number)


def test_messages_out_of_order_repeated_or_left_out() -> None:
    ends, fresh = Ends(), Ends()
    ends.fourth()
    # Left out: the fourth before the second, the third before the second was made.
    with pytest.raises(HandshakeError, match="before the second"):
        fresh.device.finish(ends.messages[4])
    early = GatewayHandshake(STATIC, fresh.first())
    with pytest.raises(HandshakeError, match="before the second"):
        early.finish(ends.messages[3], DEVICE.public)
    # Repeated.
    with pytest.raises(HandshakeError, match="came before"):
        ends.device.answer(ends.messages[2])
    with pytest.raises(HandshakeError, match="made before"):
        ends.gateway.welcome(Terms())
    # In another's place, also reflected to its sender.
    for number, message in ends.messages.items():
        if number != 2:
            with pytest.raises(HandshakeError):
                fresh.device.answer(message)
        if number != 4:
            with pytest.raises(HandshakeError):
                ends.device.finish(message)
        if number != 1:
            with pytest.raises(HandshakeError):
                GatewayHandshake(STATIC, message)
        if number != 3:
            other = Ends()
            other.second()
            with pytest.raises(HandshakeError):
                other.gateway.finish(message, DEVICE.public)


def test_messages_mixed_between_two_handshakes() -> None:
    one, two = Ends(), Ends()
    one.fourth()
    two.second()
    # The other's second and third message; both are of the same device and gateway.
    with pytest.raises(HandshakeError):
        two.device.answer(one.messages[2])
    with pytest.raises(HandshakeError, match="another session"):
        two.gateway.finish(one.messages[3], DEVICE.public)
    two.messages[3] = two.device.answer(two.messages[2])
    with pytest.raises(HandshakeError):
        two.device.finish(one.messages[4])
    # The other's sealed part in this one's frame, as somebody would who tries to splice them.
    mine, theirs = (messages.decode(ends.messages[3], 3) for ends in (two, one))
    spliced = messages.encode(3, {3: mine[3], 4: theirs[4]})
    with pytest.raises(HandshakeError, match="does not open"):
        two.gateway.finish(spliced, DEVICE.public)
    for key in (3, 4, 5, 6, 7):
        a, b = messages.decode(two.messages[1], M1), messages.decode(one.messages[1], M1)
        a[key] = b[key]
        if a != messages.decode(two.messages[1], M1):
            with pytest.raises(HandshakeError):
                GatewayHandshake(STATIC, messages.encode(M1, {k: v for k, v in a.items() if k > 2}))


def test_a_first_message_repeated_a_day_later_gives_no_session() -> None:
    """Anyone can do it: the gateway answers, and nobody but the device can go on."""
    ends = Ends()
    ends.both()
    again = GatewayHandshake(STATIC, ends.messages[1])
    answer = again.welcome(Terms())
    with pytest.raises(HandshakeError, match="another session"):
        again.finish(ends.messages[3], DEVICE.public)
    with pytest.raises(HandshakeError):  # the device itself has forgotten its half
        ends.device.answer(answer)


def test_the_wrong_static_key() -> None:
    other = KemPrivateKey.generate(KemSuite.X_WING)
    with pytest.raises(HandshakeError, match="does not open"):
        GatewayHandshake(other, Ends().first())


def test_a_false_gateway_that_only_knows_the_public_key_is_not_believed() -> None:
    """It cannot open the first message, so it can only guess the secret in it."""
    ends = Ends()
    false = object.__new__(GatewayHandshake)
    item = messages.decode(ends.first(), M1)
    false._draws, false._offered, false._key = handshake.Draws(), bytes([3, 1, 2]), STATIC.public
    false._transcript, false.suite, false._terms = handshake.Transcript(STATIC.public.kid), Suite(3), None
    false._ephemeral, false._secret = KemPublicKey(KemSuite.X_WING, item[6]), bytes(32)
    false._transcript.add(ends.first())
    with pytest.raises(HandshakeError, match="does not open"):
        ends.device.answer(false.welcome(Terms()))


def test_another_devices_key() -> None:
    """A device that is enrolled itself cannot speak as another one, in either way it might try."""
    thief = PrivateKey.generate(Algorithm.ED25519)
    # It names its own key under the other's name: the gateway looks for that source's key and finds another.
    posing = Ends(thief)
    proof = posing.third()
    with pytest.raises(HandshakeError, match="did not name"):
        posing.gateway.finish(proof, DEVICE.public)
    # It names the other's key and signs with its own.
    hello = Hello(SOURCE, DEVICE.public.kid, 3)
    device = DeviceHandshake(STATIC.public, thief, hello)
    gateway = GatewayHandshake(STATIC, device.hello)
    proof = device.answer(gateway.welcome(Terms()))
    with pytest.raises(HandshakeError, match="is not proved"):
        gateway.finish(proof, DEVICE.public)


def test_a_signature_for_one_gateway_is_not_good_for_another() -> None:
    """Two gateways, one of them false: what the device signs for it names its key."""
    false = KemPrivateKey.generate(KemSuite.X_WING)
    device = DeviceHandshake(false.public, DEVICE, Hello(SOURCE, DEVICE.public.kid, 3))
    relay = GatewayHandshake(false, device.hello)
    proof = device.answer(relay.welcome(Terms()))
    th2 = relay._transcript.hash
    key = handshake.expand(relay._secret, b"k3", th2)
    prefix = messages.encode(3, {3: relay.sid})
    signature = handshake._open(key, messages.decode(proof, 3)[4], th2 + prefix)
    with pytest.raises(SignatureError):
        DEVICE.public.verify(signature, th2 + DEVICE.public.kid + STATIC.public.kid + relay.sid,
                             b"sealtrail/device-auth/v1")  # fmt: skip


# Downgrade


def test_the_first_mutual_suite_is_taken_and_unknown_ones_are_passed_over() -> None:
    assert first_mutual(bytes([9, 2, 1]), bytes([1, 2, 3])) is Suite.AES_256_GCM
    assert Ends(wanted=[200, 3, 1], offered=[1, 3]).both()[0].suite is Suite.AES_256_GCM_SIV
    with pytest.raises(HandshakeError, match="no suite in common"):
        Ends(wanted=[2], offered=[1]).second()
    with pytest.raises(HandshakeError, match="no suite in common"):
        Ends(wanted=[77], offered=[77]).second()


@pytest.mark.parametrize("suites", [b"\2", b"\1\3\2", b"\3", b"\3\1\2\4", b"\3\2\1"])
def test_an_altered_list_of_suites_is_refused(suites: bytes) -> None:
    item = messages.decode(Ends().first(), M1)
    altered = messages.encode(M1, {key: suites if key == 3 else value for key, value in item.items() if key > 2})
    with pytest.raises(HandshakeError, match="does not open"):
        GatewayHandshake(STATIC, altered)


@pytest.mark.parametrize(("offered", "chosen"), [(b"\3\1\2", 1), (b"\3\1\2", 2), (b"\1\2", 2), (b"\2", 1), (b"\3", 9)])
def test_a_gateway_that_does_not_take_the_first_mutual_suite_is_refused(offered: bytes, chosen: int) -> None:
    """All else is right: keys, transcript and confirmation are a real gateway's."""
    ends = Ends(offered=list(offered))
    ends.gateway = GatewayHandshake(STATIC, ends.first(), list(offered))
    ends.gateway.suite = chosen  # type: ignore[assignment]
    with pytest.raises(HandshakeError, match="the first in common is"):
        ends.device.answer(ends.gateway.welcome(Terms()))


def test_a_suite_altered_on_the_way_is_refused() -> None:
    ends = Ends()
    item = messages.decode(ends.second(), M2)
    assert item[5] == 3
    for suite in (1, 2, 4):
        altered = messages.encode(M2, {key: suite if key == 5 else value for key, value in item.items() if key > 2})
        with pytest.raises(HandshakeError, match="does not open"):
            ends.device.answer(altered)


# Bad keys and forms


def test_an_ephemeral_key_that_is_none_is_refused() -> None:
    """Made by a device that is real in all else: coefficients over the modulus."""
    made = Ends().device
    bad = bytearray(made._ephemeral.public.raw)
    bad[0], bad[1] = 0xFF, bad[1] | 0x0F
    th0 = handshake.Transcript(STATIC.public.kid).hash
    encapsulation, secret = STATIC.public.encapsulate()
    fields = {3: b"\3", 4: bytes(32), 5: encapsulation, 6: bytes(bad)}
    key = handshake.expand(handshake.extract(th0, secret), b"k1", th0)
    hello = Hello(SOURCE, DEVICE.public.kid, 1).encode()
    sealed = handshake._seal(key, hello, th0 + messages.encode(M1, fields))
    with pytest.raises(HandshakeError, match="not a valid x-wing public key"):
        GatewayHandshake(STATIC, messages.encode(M1, fields | {7: sealed}))


def test_forms_are_strict() -> None:
    item = messages.decode(Ends().first(), M1)
    fields = {key: value for key, value in item.items() if key > 2}
    for wrong in ({3: b""}, {3: bytes(17)}, {3: b"\1\1"}, {4: bytes(31)}, {5: bytes(1119)}, {6: bytes(1217)},
                  {7: bytes(513)}, {8: b""}, {3: "text"}):  # fmt: skip
        with pytest.raises(FormatError):
            messages.decode(messages.encode(M1, dict(sorted((fields | wrong).items()))), M1)
    assert messages.kind_of(Ends().first()) == M1
    assert [messages.kind_of(bytes(n)) for n in range(8)] == [0] * 8
    for kind, more in ((REFUSAL, {3: bytes(16)}), (ASK, {}), (ANNOUNCEMENT, {3: b"b", 4: b"s"})):
        message = messages.encode(kind, more)
        assert messages.kind_of(message) == kind
        assert messages.decode(message, kind)[2] == kind


# A later static key


def test_a_later_static_key_is_believed_only_by_the_pinned_gateway_key_for_this_log_and_newer() -> None:
    gateway, other = PrivateKey.generate(Algorithm.ED25519), PrivateKey.generate(Algorithm.ED25519)
    later = StaticKey("gateway.example/log", 7, STATIC.public)
    message = later.announce(gateway)
    assert open_announcement(message, gateway.public, "gateway.example/log", 6) == later
    with pytest.raises(SignatureError):
        open_announcement(message, other.public, "gateway.example/log", 6)
    with pytest.raises(FormatError, match=r"of gateway\.example/other"):
        open_announcement(message, gateway.public, "gateway.example/other", 6)
    for pinned in (7, 8):  # the same again, and one of old
        with pytest.raises(FormatError, match="newer than serial"):
            open_announcement(message, gateway.public, "gateway.example/log", pinned)
    for altered in flips(message, 5):
        with pytest.raises(SealtrailError):
            open_announcement(altered, gateway.public, "gateway.example/log", 6)
