"""Takes ciphertexts in, has each named by a record of the log, and gives them out again.

Order: the file is whole and synced, the catalogue knows it, the store has it, the log names it. A crash anywhere leaves
an object that the same upload completes; nothing is given out before the log names it.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from hashlib import sha256
from pathlib import Path

from crypto import cbor
from crypto.envelope.objects import SealedObject, inspect
from gateway.objects.catalogue import Catalogue, StoredObject
from gateway.objects.errors import AlteredObjectError, ObjectError, UnknownObjectError
from gateway.objects.store import Incoming, IncomingFile, Store

GATHER_BYTES = 1 << 20  # written to the disk at once
UPLOADS = 4  # at the same time
STALLED_S = 60.0


class Keeper:
    """Objects in and out."""

    def __init__(
        self, store: Store, catalogue: Catalogue, incoming: Incoming, log: Callable[[bytes], Awaitable[int]]
    ) -> None:
        """`log` makes a record of a payload of the kind `object`; returns its index when it is durable."""
        self._store, self._catalogue, self._incoming, self._log = store, catalogue, incoming, log
        self._uploads, self._logging = asyncio.Semaphore(UPLOADS), asyncio.Lock()

    @property
    def most_bytes(self) -> int:
        """Bound of one object."""
        return self._incoming.most_bytes

    @property
    def held_bytes(self) -> int:
        """Of all ciphertexts together."""
        return self._catalogue.used_bytes

    async def take(self, chunks: AsyncIterator[bytes]) -> StoredObject:
        """Keep and log an uploaded object; the same again is what is kept already.

        Raises:
            FormatError, LimitError: it is not a whole sealed object.
            ObjectError, ObjectRoomError: too large, no room, other bytes under its id, or the upload stalls.
        """
        if self._uploads.locked():
            raise ObjectError(f"{UPLOADS} objects are being uploaded; try again in a while")
        async with self._uploads:
            with self._incoming.file() as file:
                await _spool(chunks, file)
                found = await asyncio.to_thread(_inspected, file.path)
                new = StoredObject(
                    found.object_id, found.digest, found.length, tuple(s.kid for s in found.header.stanzas),
                    time.time_ns() // 1000, None,
                )  # fmt: skip
                stored = await asyncio.to_thread(self._catalogue.add, new)
                await self._put(stored, file.path)
            return await self._logged(stored.object_id)

    async def _put(self, stored: StoredObject, path: Path) -> None:
        """Also where it is known: an upload again mends what was lost or altered."""
        try:
            await asyncio.to_thread(self._store.put, stored.digest, path)
        except BaseException:
            await asyncio.to_thread(self._catalogue.forget, stored.object_id)
            raise

    async def _logged(self, object_id: bytes) -> StoredObject:
        async with self._logging:
            stored = await asyncio.to_thread(self._catalogue.get, object_id)
            if stored.leaf is None:
                leaf = await self._log(payload_of(stored))
                await asyncio.to_thread(self._catalogue.logged, object_id, leaf)
            return await asyncio.to_thread(self._catalogue.get, object_id)

    async def get(self, object_id: bytes) -> StoredObject:
        return await asyncio.to_thread(self._catalogue.get, object_id)

    async def page(self, after: bytes, limit: int) -> list[StoredObject]:
        return await asyncio.to_thread(self._catalogue.page, after, limit)

    def read(self, stored: StoredObject, start: int, stop: int) -> Iterator[bytes]:
        """The bytes start … stop-1. Of a whole object the last piece is given only when the digest is right, so that an
        altered one never arrives whole. Blocks: read it in a thread."""
        pieces = self._store.read(stored.digest, start, stop)
        return whole(pieces, stored) if (start, stop) == (0, stored.size) else pieces

    def check(self, stored: StoredObject) -> None:
        """AlteredObjectError or UnknownObjectError unless the store still has exactly these bytes. Blocks."""
        for _ in self.read(stored, 0, stored.size):
            pass

    def close(self) -> None:
        self._catalogue.close()


def payload_of(stored: StoredObject) -> bytes:
    """The payload of the kind `object` that names it in the log."""
    kids: list[cbor.CborValue] = list(stored.kids)
    return json.dumps({
        "object": stored.object_id.hex(), "digest": stored.digest.hex(), "size": stored.size,
        "recipients": sha256(cbor.encode(kids)).hexdigest(),
    }).encode()  # fmt: skip


def whole(pieces: Iterator[bytes], stored: StoredObject) -> Iterator[bytes]:
    """The pieces of an object, the last one only where length and digest are those that were stored."""
    hashed, size, last = sha256(), 0, b""
    for piece in pieces:
        if last:
            yield last
        hashed.update(piece)
        size, last = size + len(piece), piece
    if size != stored.size or hashed.digest() != stored.digest:
        raise AlteredObjectError(
            f"the ciphertext of {stored.object_id.hex()[:16]}… is not what was stored: expected {stored.size:,} bytes"
            f" with digest {stored.digest.hex()[:16]}…, got {size:,} with {hashed.hexdigest()[:16]}…; upload it again"
        )
    if last:
        yield last


async def _spool(chunks: AsyncIterator[bytes], file: IncomingFile) -> None:
    """The body into the file, some at a time, so that a slow sender takes no thread."""
    waiting = bytearray()
    while (chunk := await _next(chunks)) is not None:
        waiting += chunk
        if len(waiting) >= GATHER_BYTES:
            await asyncio.to_thread(file.write, bytes(waiting))
            waiting.clear()
    await asyncio.to_thread(file.write, bytes(waiting))
    await asyncio.to_thread(file.finish)


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    try:
        async with asyncio.timeout(STALLED_S):
            return await anext(chunks)
    except StopAsyncIteration:
        return None
    except TimeoutError as e:
        raise ObjectError(f"no byte of the upload came for {STALLED_S:.0f} s; send it again") from e


def _inspected(path: Path) -> SealedObject:
    with path.open("rb", buffering=0) as file:
        return inspect(file)


async def in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """A blocking iterator as an asynchronous one."""
    try:
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece
    finally:
        with contextlib.suppress(AttributeError):
            pieces.close()  # type: ignore[attr-defined]  # a generator's


def require_known(stored: StoredObject) -> int:
    """The record's index; UnknownObjectError for an object that is not logged yet."""
    if stored.leaf is None:
        raise UnknownObjectError(f"the object {stored.object_id.hex()[:16]}… is not logged yet; upload it again")
    return stored.leaf
