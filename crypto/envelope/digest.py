"""SHA-256 beside the work: one thread hashes a piece while its owner makes the next. Trusts its owner not to change a
piece before it has handed in the one after it."""

from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from types import TracebackType
from typing import Self


class Digest:
    """A hash over pieces in their order. Leave it as a context, so that its thread ends."""

    def __init__(self) -> None:
        self._hash = sha256()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="digest")
        self._pending: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.shutdown()

    def update(self, piece: bytes | memoryview) -> None:
        self._wait()
        self._pending = self._thread.submit(self._hash.update, piece)

    def value(self) -> bytes:
        """The digest of all pieces so far, 32 bytes."""
        self._wait()
        return self._hash.digest()

    def _wait(self) -> None:
        if self._pending:
            self._pending.result()
            self._pending = None
