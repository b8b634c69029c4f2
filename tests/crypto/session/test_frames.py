"""Frames under attack: moved, repeated, reordered, of old epochs; copies of a sealer by fork and by snapshot."""

import copy
import os
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.session.copies import Original
from crypto.session.errors import FrameError, ReplayedError, SessionEndedError
from crypto.session.frames import (
    MAX_AHEAD,
    MAX_FRAMES,
    OVERHEAD,
    Direction,
    FrameOpener,
    FrameSealer,
    FrameType,
    sid_of,
)
from crypto.session.suites import Suite
from crypto.session.window import WINDOW, ReplayWindow
from tests.crypto.session.ends import Ends, flips

UP, DOWN, OTHER = "st/1/fridge-7/frames/up", "st/1/fridge-7/frames/down", "st/1/fridge-8/frames/up"
SID: Final = bytes(16)
SUITES = pytest.mark.parametrize("suite", list(Suite))


def _pair(suite: Suite = Suite.AES_256_GCM_SIV, frames: int = 1 << 20, seconds: int = 600
          ) -> tuple[FrameSealer, FrameOpener]:  # fmt: skip
    secret = bytes(range(32))
    return (
        FrameSealer(suite, SID, Direction.UP, secret, frames, seconds),
        FrameOpener(suite, SID, Direction.UP, secret),
    )


@SUITES
def test_every_byte_of_a_frame(suite: Suite) -> None:
    sealer, opener = _pair(suite)
    _, frame = sealer.seal(FrameType.MESSAGE, UP, b"a reading of 4.5 degrees", 0.0)
    assert len(frame) == len(b"a reading of 4.5 degrees") + OVERHEAD
    assert sid_of(frame) == SID
    assert b"reading" not in frame
    for altered in (*flips(frame), *(frame[:n] for n in range(len(frame))), frame + b"\0"):
        with pytest.raises(FrameError):
            opener.open(UP, altered)
    assert opener.open(UP, frame).plaintext == b"a reading of 4.5 degrees"  # none of them moved the window


@SUITES
def test_a_frame_moved_to_another_topic_direction_or_session(suite: Suite) -> None:
    one, two = Ends(wanted=[suite]).both(), Ends(wanted=[suite]).both()
    _, frame = one[0].sealer.seal(FrameType.MESSAGE, UP, b"x", 0.0)
    for topic in (DOWN, OTHER, ""):
        with pytest.raises(FrameError, match="does not open"):
            one[1].opener.open(topic, frame)
    with pytest.raises(FrameError, match="does not open"):  # reflected to its sender
        one[0].opener.open(UP, frame)
    with pytest.raises(FrameError, match="another version, session or type"):
        two[1].opener.open(UP, frame)
    dressed = frame[:2] + two[1].sid + frame[18:]
    with pytest.raises(FrameError, match="does not open"):
        two[1].opener.open(UP, dressed)
    assert one[1].opener.open(UP, frame).plaintext == b"x"


def test_a_frame_that_is_called_by_another_type() -> None:
    sealer, opener = _pair()
    _, frame = sealer.seal(FrameType.MESSAGE, UP, b"x", 0.0)
    for kind in range(256):
        if kind != FrameType.MESSAGE:
            with pytest.raises(FrameError):
                opener.open(UP, frame[:1] + bytes([kind]) + frame[2:])


def test_frames_reordered_within_the_window_open_once_each() -> None:
    sealer, opener = _pair()
    frames = [sealer.seal(FrameType.MESSAGE, UP, b"%d" % n, 0.0)[1] for n in range(WINDOW + 1)]
    assert opener.open(UP, frames[WINDOW]).seq == WINDOW
    with pytest.raises(ReplayedError):  # one more than the window remembers
        opener.open(UP, frames[0])
    for number in (1, WINDOW - 1, 500, 2):
        assert opener.open(UP, frames[number]).plaintext == b"%d" % number
        with pytest.raises(ReplayedError):
            opener.open(UP, frames[number])
    with pytest.raises(ReplayedError):
        opener.open(UP, frames[WINDOW])


def test_a_forged_number_does_not_move_the_window() -> None:
    sealer, opener = _pair()
    _, first = sealer.seal(FrameType.MESSAGE, UP, b"x", 0.0)
    far = first[:22] + (MAX_FRAMES - 1).to_bytes(8, "big") + first[30:]
    with pytest.raises(FrameError, match="does not open"):
        opener.open(UP, far)
    ahead = first[:18] + MAX_AHEAD.to_bytes(4, "big") + first[22:]
    with pytest.raises(FrameError, match="does not open"):
        opener.open(UP, ahead)
    assert opener.open(UP, first).plaintext == b"x"


@given(st.lists(st.integers(0, 4 * WINDOW), max_size=200))
def test_a_window_is_a_set_of_what_was_seen_above_its_lower_edge(numbers: list[int]) -> None:
    window, seen = ReplayWindow(), set[int]()
    for number in numbers:
        expected = number not in seen and number > max(seen, default=-1) - WINDOW
        try:
            window.check(number)
            window.mark(number)
            found = True
        except ReplayedError:
            found = False
        assert found == expected
        seen |= {number} if found else set()


@given(st.integers(0, 2**32), st.integers(-WINDOW - 2, WINDOW + 2))
def test_the_edges_of_the_window(top: int, step: int) -> None:
    window, number = ReplayWindow(), top + step
    window.mark(top)
    if number < 0:
        return
    if step > 0 or -WINDOW < step < 0:
        window.check(number)
    else:
        with pytest.raises(ReplayedError):
            window.check(number)


# Epochs


def test_epochs_end_by_frames_and_by_time_and_a_frame_of_an_old_one_never_opens() -> None:
    sealer, opener = _pair(frames=3, seconds=60)
    frames = [sealer.seal(FrameType.MESSAGE, UP, b"x", now)[1] for now in (0.0, 1.0, 2.0, 3.0, 62.9, 63.0, 500.0)]
    epochs = [int.from_bytes(frame[18:22], "big") for frame in frames]
    assert epochs == [0, 0, 0, 1, 1, 2, 3]  # by frames, then by seconds, then one at a time
    assert [int.from_bytes(frame[22:30], "big") for frame in frames] == list(range(7))
    late = frames[1]
    for frame in (frames[0], *frames[2:]):
        opener.open(UP, frame)
    with pytest.raises(FrameError, match="of epoch 0, expected 3 to"):
        opener.open(UP, late)


def test_lost_epochs_are_passed_over_up_to_a_bound() -> None:
    sealer, opener = _pair(frames=1)
    frames = [sealer.seal(FrameType.MESSAGE, UP, b"%d" % n, 0.0)[1] for n in range(2 * MAX_AHEAD + 2)]
    with pytest.raises(FrameError, match="expected 0 to"):
        opener.open(UP, frames[MAX_AHEAD + 1])
    assert opener.open(UP, frames[MAX_AHEAD]).plaintext == b"%d" % MAX_AHEAD
    assert opener.open(UP, frames[2 * MAX_AHEAD]).plaintext == b"%d" % (2 * MAX_AHEAD)


def test_what_is_in_memory_does_not_open_an_earlier_epoch() -> None:
    """Forward secrecy within a session: whoever takes a receiver's whole state has no key of a past epoch."""
    sealer, opener = _pair(frames=1)
    old, new = (sealer.seal(FrameType.MESSAGE, UP, b"secret", 0.0)[1] for _ in range(2))
    opener.open(UP, new)
    stolen = opener._epoch
    forged = FrameOpener(Suite.AES_256_GCM_SIV, SID, Direction.UP, stolen.secret)
    with pytest.raises(FrameError, match="does not open"):
        forged.open(UP, old)


def test_a_session_stops_hard_before_its_numbers_end() -> None:
    sealer, opener = _pair()
    sealer._seq = MAX_FRAMES - 1
    _, last = sealer.seal(FrameType.MESSAGE, UP, b"last", 0.0)
    assert opener.open(UP, last).seq == 2**32 - 2
    with pytest.raises(SessionEndedError, match="at most"):
        sealer.seal(FrameType.MESSAGE, UP, b"x", 0.0)
    beyond = last[:22] + MAX_FRAMES.to_bytes(8, "big") + last[30:]
    with pytest.raises(FrameError, match="beyond the last number"):
        FrameOpener(Suite.AES_256_GCM_SIV, SID, Direction.UP, bytes(range(32))).open(UP, beyond)


# Copies


def test_a_forked_process_seals_nothing() -> None:
    """A real fork in mid-session: the parent goes on, the child is refused before it uses a nonce."""
    device, gateway = Ends().both()
    device.sealer.seal(FrameType.MESSAGE, UP, b"before", 0.0)
    read, write = os.pipe()
    if not (child := os.fork()):
        try:
            device.sealer.seal(FrameType.MESSAGE, UP, b"from the copy", 0.0)
            os.write(write, b"sealed")
        except SessionEndedError as e:
            os.write(write, str(e).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert b"fork" in os.read(read, 1000)
    os.close(read)
    os.close(write)
    _, frame = device.sealer.seal(FrameType.MESSAGE, UP, b"after", 0.0)
    assert gateway.opener.open(UP, frame).plaintext == b"after"


def test_a_process_forked_in_mid_handshake_makes_no_session() -> None:
    """Both copies would have the keys of the one session."""
    ends, before = Ends(), Ends()
    confirmation, welcome = ends.fourth(), before.second()
    after = Ends()
    proof = after.third()
    steps: list[Callable[[], object]] = [
        lambda: before.device.answer(welcome),
        lambda: ends.device.finish(confirmation),
        lambda: after.gateway.finish(proof, after.device_key.public),
    ]
    read, write = os.pipe()
    if not (child := os.fork()):
        try:
            for step in steps:
                with pytest.raises(SessionEndedError):
                    step()
                os.write(write, b".")
        finally:
            os.write(write, b"!")
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1000) == b"...!"
    os.close(read)
    os.close(write)
    for step in steps:
        step()


def test_a_fork_that_python_does_not_see_or_that_got_an_old_number_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original, number = Original(), os.getpid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: number + 1)
        with pytest.raises(SessionEndedError):
            original.check()
    original.check()
    read, write = os.pipe()
    if not (child := os.fork()):
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: number)  # a grandchild whose grandparent ended
            try:
                original.check()
                os.write(write, b"taken for the original")
            except SessionEndedError:
                os.write(write, b"noticed")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100) == b"noticed"
    os.close(read)
    os.close(write)


@SUITES
def test_of_two_frames_by_a_restored_snapshot_one_counts(suite: Suite) -> None:
    """The whole state is copied, as a restored machine has it: the same keys and the same next number."""
    sealer, opener = _pair(suite)
    sealer.seal(FrameType.MESSAGE, UP, b"x", 0.0)
    restored = copy.deepcopy(sealer, {id(sealer._epoch): sealer._epoch})
    one, two = b"temperature 4.5", b"temperature 9.9"
    (seq, first), (again, second) = (s.seal(FrameType.MESSAGE, UP, p, 0.0) for s, p in ((sealer, one), (restored, two)))
    assert seq == again
    assert opener.open(UP, second).plaintext == two
    with pytest.raises(ReplayedError):
        opener.open(UP, first)
    # What someone sees who recorded both: the XOR of the texts, but not with the suite that is wanted first.
    seen = bytes(a ^ b for a, b in zip(first[30:-16], second[30:-16], strict=True))
    assert (seen == bytes(a ^ b for a, b in zip(one, two, strict=True))) is (suite is not Suite.AES_256_GCM_SIV)


def test_equal_frames_of_a_restored_snapshot_are_equal_and_no_more() -> None:
    sealer, _ = _pair()
    restored = copy.deepcopy(sealer, {id(sealer._epoch): sealer._epoch})
    assert sealer.seal(FrameType.MESSAGE, UP, b"x", 0.0) == restored.seal(FrameType.MESSAGE, UP, b"x", 0.0)
