"""Recording from a stream of JSON lines, as the command `run` does.

Trust boundary: lines are untrusted; one that is too long or is not JSON is skipped, counted and reported.
"""

import contextlib
import json
import logging
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final, Protocol

from chain.event import MAX_PAYLOAD_BYTES
from gateway.device.device import Device
from gateway.device.draft import Draft
from gateway.device.errors import DeviceBufferFullError

READ_BYTES: Final = 64 * 1024
LINES_AT_ONCE: Final = 64  # recorded with one sync
FULL_PAUSE_S: Final = 0.1
_LOG = logging.getLogger(__name__)


class ByteStream(Protocol):
    """Standard input, or anything that gives what is there without waiting for more."""

    def read1(self, size: int = ..., /) -> bytes: ...


class Runner:
    """Reads until the end of input. `skipped` counts the lines that were not recorded."""

    def __init__(self, device: Device, drafts: Callable[[list[bytes]], list[Draft]], rate: float | None) -> None:
        self._device, self._drafts, self._rate = device, drafts, rate
        self._next = time.monotonic()
        self.skipped = 0

    def run(self, stream: ByteStream, *, forever: bool) -> None:
        """Record every line; with `forever` stay afterwards, until interrupted."""
        for lines in self._lines(stream):
            good = [line for line in lines if self._is_good(line)]
            step = LINES_AT_ONCE if self._rate is None else 1
            for start in range(0, len(good), step):
                self._keep_pace()
                self._record(good[start : start + step])
        while forever:
            time.sleep(3600)

    def _lines(self, stream: ByteStream) -> Iterator[list[bytes]]:
        """The lines that came together. Of an overlong line only the first bytes are held."""
        rest = b""
        while chunk := stream.read1(READ_BYTES):
            *lines, tail = (rest + chunk).split(b"\n")
            rest = tail[: MAX_PAYLOAD_BYTES + 1]
            yield lines
        yield [rest]

    def _is_good(self, line: bytes) -> bool:
        line = line.strip()
        if not line:
            return False
        if len(line) <= MAX_PAYLOAD_BYTES and is_json(line):
            return True
        self.skipped += 1
        _LOG.warning("a line of %d bytes is not a JSON payload of at most %d; skipped", len(line), MAX_PAYLOAD_BYTES)
        return False

    def _keep_pace(self) -> None:
        if self._rate is not None:
            time.sleep(max(0.0, self._next - time.monotonic()))
            self._next = max(self._next, time.monotonic() - 1.0) + 1.0 / self._rate

    def _record(self, lines: list[bytes]) -> None:
        drafts = self._drafts([line.strip() for line in lines])
        told = False
        while True:
            try:
                self._device.record_many(drafts)
                return
            except DeviceBufferFullError as e:
                if not told:
                    _LOG.warning("reading pauses: %s", e)
                told = True
                time.sleep(FULL_PAUSE_S)


def is_json(content: bytes) -> bool:
    """True for one JSON document."""
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the block quietly."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        _LOG.warning("interrupted; sealing and sending what is there")
    finally:
        signal.signal(signal.SIGTERM, before)
