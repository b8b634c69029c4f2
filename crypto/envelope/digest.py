"""SHA-256 beside the work: one thread hashes a piece while its owner makes the next. Trusts its owner not to change a
piece before it has handed in the one after it."""

from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from types import TracebackType
from typing import Final, Self

_AT_ONCE: Final = 64 * 1024  # less than this is hashed sooner than a thread takes it over


class Digest:
    """A hash over pieces in their order. Leave it as a context, so that its thread ends. One that is not wanted hashes
    nothing."""

    def __init__(self, wanted: bool = True) -> None:
        self._hash = sha256() if wanted else None
        self._thread: ThreadPoolExecutor | None = None
        self._pending: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._thread:
            self._thread.shutdown()

    def update(self, piece: bytes | memoryview) -> None:
        self._wait()
        if self._hash is None:
            return
        if len(piece) < _AT_ONCE:
            self._hash.update(piece)
        else:
            self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="digest")
            self._pending = self._thread.submit(self._hash.update, piece)

    def value(self) -> bytes:
        """The digest of all pieces so far, 32 bytes; none where it is not wanted."""
        self._wait()
        return self._hash.digest() if self._hash else b""

    def _wait(self) -> None:
        if self._pending:
            self._pending.result()
            self._pending = None
