"""A device: record events, and they reach the log, sealed, whenever there is a way to the gateway.

Everything here belongs to the device itself. `record` returns only when the event is on disk; it works
without a connection, and without `start`. One process at a time may use a device folder.
"""

import fcntl
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from chain.store.database import Database
from gateway.device.buffer import Buffer, Counts, Mark, read_counts
from gateway.device.draft import Draft
from gateway.device.errors import DeviceError
from gateway.device.identity import BUFFER_FILE, NEXT_FILE, load_identity, pin_session_key
from gateway.device.kept_checkpoint import KeptCheckpoint
from gateway.device.options import DeviceOptions
from gateway.device.sealer import Sealer
from gateway.device.sender import Sender
from gateway.device.session import DeviceSession
from gateway.device.storage import Rejection, Storage

LOCK_FILE: Final = "lock"
DRAIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """Since enrolment: events `recorded`, `acknowledged`, `sealed`; events and seals `rejected`. Since this start:
    events `sent`, repeats counted. Now: events `buffered`, because they or their seal are not settled yet.
    `tls_group` is the key exchange group of this start's newest connection; empty without TLS."""

    source: str
    boot: int
    connected: bool
    recorded: int
    sent: int
    acknowledged: int
    sealed: int
    buffered: int
    buffered_bytes: int
    waiting_seals: int
    rejected: int
    last_rejection: str | None
    tls_group: str = ""


class Device:
    """One start of an enrolled device. Opening it takes the next boot number and seals what a crash left."""

    def __init__(self, folder: Path, options: DeviceOptions | None = None) -> None:
        """Raises DeviceError: not enrolled, in use by another process, or a buffer that is not its own."""
        options = options or DeviceOptions()
        if (folder / NEXT_FILE).exists():
            raise DeviceError(f"{folder}: a change of key was asked for and not answered; run device rotate again")
        self._folder = folder
        self.identity = load_identity(folder)
        self._lock = lock_folder(folder)
        try:
            self._buffer = Buffer(folder / BUFFER_FILE, self.identity.source, options.max_events, options.max_bytes)
            self._sealer = Sealer(self._buffer, self.identity.key, options.seal_events, options.seal_seconds)
            self._sealer.seal_earlier_boots()
        except BaseException:
            os.close(self._lock)
            raise
        self._storage = Storage(self._buffer, options.max_rejected)
        self._options = options
        self._sender: Sender | None = None
        self.rejected_before = self._buffer.counts().rejected
        self._final: Counts | None = None  # once stopped

    @property
    def boot(self) -> int:
        return self._buffer.boot

    def record(
        self, kind: int, payload: bytes, sensed_us: int | None = None, *, schema: int = 1, urgent: bool = False
    ) -> tuple[int, int]:
        """Keep one event durably; its number (boot, seq).

        `sensed_us` is microseconds since the Unix epoch, now by default. `urgent` seals and sends at once.

        Raises:
            DeviceBufferFullError: the bound is reached; nothing was recorded.
            FormatError, LimitError: not an event that the format can carry.
        """
        sensed = time.time_ns() // 1000 if sensed_us is None else sensed_us
        return self.record_many([Draft(kind, payload, sensed, schema)], urgent=urgent)[0]

    def record_many(
        self, drafts: Sequence[Draft], *, urgent: bool = False, mark: bytes | None = None
    ) -> list[tuple[int, int]]:
        """Keep several events, all or none, with one sync of the disk; see `record`. `mark`: the caller's own bytes,
        kept in the same step in place of the mark before; `last_mark` gives them back after a crash."""
        first = self._buffer.record(drafts, mark)
        self._sealer.hurry |= urgent
        if self._sender is not None:
            self._sender.wake()
        return [(self.boot, first + offset) for offset in range(len(drafts))]

    def last_mark(self) -> Mark | None:
        """The newest mark that came with events, also of an earlier start."""
        return self._buffer.mark()

    def start(self) -> None:
        """Begin to seal and send in the background."""
        if self._sender is not None or self._final is not None:
            raise DeviceError("a device is started once; open it again")
        self._sender = Sender(self.identity, self._buffer, self._sealer, self._options, self._session())
        self._sender.start()

    def _session(self) -> DeviceSession | None:
        """Where the gateway's key for sessions is known, unless the options say otherwise; never a little of each."""
        wanted, identity = self._options.session, self.identity
        if wanted is False or (wanted is None and identity.session_key is None):
            return None
        kept = KeptCheckpoint(self._folder, identity.origin, identity.profile.log_vkeys)
        return DeviceSession(
            identity, self.boot, self._options, lambda key: pin_session_key(self._folder, key),
            lambda terms: kept.see(terms.checkpoint),
        )  # fmt: skip

    def stop(self, drain_timeout: float = DRAIN_S) -> DeviceStatus:
        """Seal everything, send for at most `drain_timeout` seconds, close. What is left is sent next time."""
        if self._final is None:
            if self._sender is not None:
                self._sender.stop(drain_timeout)
            self._sealer.seal_everything()
            self._final = self._buffer.counts()
            self._release()
        return self.status()

    def _release(self) -> None:
        self._buffer.close()
        os.close(self._lock)

    def status(self) -> DeviceStatus:
        counts = self._final or self._buffer.counts()
        connected, sent = (self._sender.connected, self._sender.sent) if self._sender else (False, 0)
        return _status(self.identity.source, counts, connected, sent, self._sender.tls_group if self._sender else "")

    def rejections(self) -> list[Rejection]:
        """What the gateway refused for good, newest first."""
        return self._storage.rejections()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()


def status_of(folder: Path) -> DeviceStatus:
    """The status of a device folder, also while another process runs the device (then not whether it is connected)."""
    source = load_identity(folder).source
    database = Database(folder / BUFFER_FILE, readonly=True)
    try:
        return _status(source, read_counts(database.connection), False, 0)
    finally:
        database.close()


def _status(source: str, counts: Counts, connected: bool, sent: int, tls_group: str = "") -> DeviceStatus:
    return DeviceStatus(
        source, counts.boot, connected, counts.recorded, sent, counts.acknowledged, counts.sealed,
        counts.buffered, counts.bytes, counts.waiting_seals, counts.rejected,
        counts.last_rejection, tls_group,
    )  # fmt: skip


def lock_folder(folder: Path) -> int:
    """Two processes in one folder would use one number twice."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as e:
        raise DeviceError(f"cannot write in {folder}: {e.strerror}; a device needs its folder to itself") from e
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        os.close(descriptor)
        raise DeviceError(f"the device in {folder} is in use by another process; stop that one first") from e
    return descriptor
