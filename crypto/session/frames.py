"""Frames: what travels in a session once it stands, in either direction.

version (1) ‖ type (1) ‖ sid (16) ‖ epoch u32 ‖ seq u64 ‖ ciphertext ‖ tag (16). The nonce is iv XOR seq; additional
data is version ‖ sid ‖ epoch ‖ direction ‖ u16 length ‖ topic ‖ seq ‖ type. Each direction has a secret of its own that
is ratcheted forward at each epoch; what it was before is gone then. Input to `open` is untrusted.
"""

import struct
from enum import IntEnum
from typing import Final

from cryptography.exceptions import InvalidTag
from msgspec import Struct

from crypto.session import schedule
from crypto.session.copies import Original
from crypto.session.errors import FrameError, SessionEndedError
from crypto.session.schedule import expand
from crypto.session.suites import NONCE_BYTES, TAG_BYTES, Aead, Suite, aead
from crypto.session.window import ReplayWindow

VERSION: Final = 1
_HEADER: Final = struct.Struct(">BB16sIQ")
OVERHEAD: Final = _HEADER.size + TAG_BYTES  # bytes of a frame beyond its plaintext
MAX_FRAMES: Final = 2**32 - 1  # of one direction of a session
MAX_AHEAD: Final = 16  # epochs that may have been lost as a whole
MAX_FRAME_BYTES: Final = 256 * 1024


class Direction(IntEnum):
    """Which way a frame goes."""

    UP = 1  # device → gateway
    DOWN = 2


class FrameType(IntEnum):
    """What a frame holds."""

    MESSAGE = 1  # up: chain.event.Message
    ACKNOWLEDGEMENT = 2  # down: chain.acknowledgement
    REFUSED = 3  # down: CBOR [seq of the frame, MQTT reason code]


class Frame(Struct, frozen=True):
    """An opened frame."""

    type: FrameType
    seq: int
    plaintext: bytes


class _Epoch:
    """The keys of one direction in one epoch."""

    __slots__ = ("aead", "iv", "number", "secret", "suite")

    def __init__(self, suite: Suite, secret: bytes, number: int) -> None:
        self.suite, self.secret, self.number = suite, secret, number
        self.aead: Aead = aead(suite, expand(secret, schedule.KEY))
        self.iv = int.from_bytes(expand(secret, schedule.IV, length=NONCE_BYTES), "big")

    def nonce(self, seq: int) -> bytes:
        return (self.iv ^ seq).to_bytes(NONCE_BYTES, "big")

    def later(self, epochs: int) -> "_Epoch":
        """The keys so many epochs from here on."""
        secret = self.secret
        for _ in range(epochs):
            secret = expand(secret, schedule.RATCHET)
        return _Epoch(self.suite, secret, self.number + epochs)


class FrameSealer:
    """Makes the frames of one direction. Never twice under one nonce, also not in a forked process."""

    def __init__(self, suite: Suite, sid: bytes, direction: Direction, secret: bytes, epoch_frames: int, epoch_s: int
                 ) -> None:  # fmt: skip
        self._epoch, self._sid, self._direction = _Epoch(suite, secret, 0), sid, direction
        self._epoch_frames, self._epoch_s = epoch_frames, epoch_s
        self._original = Original()
        self._seq = self._first = 0  # of the next frame, and of this epoch
        self._since: float | None = None  # when this epoch's first frame was made

    def seal(self, kind: FrameType, topic: str, plaintext: bytes, now_s: float) -> tuple[int, bytes]:
        """The number of a new frame, and the frame, for this topic. `now_s` by any clock that does not go back.

        Raises:
            SessionEndedError: the bound of the session is reached, or this is not the process that made it.
        """
        self._original.check()
        if self._seq >= MAX_FRAMES:
            raise SessionEndedError(f"a session has at most {MAX_FRAMES} frames in a direction; make a new one")
        if self._since is not None and self._is_over(now_s):
            self._epoch, self._first, self._since = self._epoch.later(1), self._seq, None
        self._since = now_s if self._since is None else self._since
        seq, epoch = self._seq, self._epoch
        self._seq += 1
        header = _HEADER.pack(VERSION, kind, self._sid, epoch.number, seq)
        data = associated(self._sid, epoch.number, self._direction, topic) + header[22:30] + header[1:2]
        return seq, header + epoch.aead.encrypt(epoch.nonce(seq), plaintext, data)

    def _is_over(self, now_s: float) -> bool:
        assert self._since is not None
        return self._seq - self._first >= self._epoch_frames or now_s - self._since >= self._epoch_s


class FrameOpener:
    """Opens the frames of the other direction, each once."""

    def __init__(self, suite: Suite, sid: bytes, direction: Direction, secret: bytes) -> None:
        self._epoch, self._sid, self._direction = _Epoch(suite, secret, 0), sid, direction
        self._window = ReplayWindow()
        self._place: tuple[str, int] | None = None  # topic and epoch of the last frame,
        self._start = b""  # and how its additional data began

    def open(self, topic: str, frame: bytes) -> Frame:
        """What is in a frame that came by this topic.

        Raises:
            ReplayedError: it was opened before; drop it in silence.
            FrameError: it is not one of this session, in this place.
        """
        # 1. Form and bounds.
        if not OVERHEAD <= len(frame) <= MAX_FRAME_BYTES:
            raise FrameError(f"a frame has {OVERHEAD} to {MAX_FRAME_BYTES} bytes, got {len(frame)}")
        version, kind, sid, number, seq = _HEADER.unpack_from(frame)
        if version != VERSION or sid != self._sid or seq >= MAX_FRAMES or kind not in _TYPES:
            raise FrameError("a frame of another version, session or type, or beyond the last number")
        # 2. Not seen before. The window moves only by what was opened.
        self._window.check(seq)
        # 3. The keys of its epoch: this one, or one a little ahead. Those of the past are gone.
        keys = self._epoch if number == self._epoch.number else self._later(number)
        # 4. Open, with all that says where it belongs.
        if self._place != (topic, number):
            self._place, self._start = (topic, number), associated(sid, number, self._direction, topic)
        data = self._start + frame[22:30] + frame[1:2]  # seq and type
        try:
            plaintext = keys.aead.decrypt(keys.nonce(seq), frame[_HEADER.size :], data)
        except InvalidTag as e:
            raise FrameError(f"frame {seq} does not open: altered, moved, or of other keys") from e
        # 5. Now it counts.
        self._epoch = keys
        self._window.mark(seq)
        return Frame(_TYPES[kind], seq, plaintext)

    def _later(self, number: int) -> _Epoch:
        epoch = self._epoch
        if not epoch.number <= number <= epoch.number + MAX_AHEAD:
            raise FrameError(f"a frame of epoch {number}, expected {epoch.number} to {epoch.number + MAX_AHEAD}")
        return epoch.later(number - epoch.number)


_TYPES: Final = {int(kind): kind for kind in FrameType}


def sid_of(frame: bytes) -> bytes | None:
    """Which session a frame says it is of; None where it cannot be a frame."""
    return frame[2:18] if OVERHEAD <= len(frame) <= MAX_FRAME_BYTES and frame[0] == VERSION else None


def associated(sid: bytes, epoch: int, direction: int, topic: str) -> bytes:
    """The additional data of a frame up to its topic; seq and type follow."""
    name = topic.encode()
    return b"".join((
        bytes((VERSION,)), sid, epoch.to_bytes(4, "big"), bytes((direction,)), len(name).to_bytes(2, "big"), name,
    ))  # fmt: skip
