"""Content in chunks: C2SP chunked-encryption as Cobblestone-256 (c2sp.org/chunked-encryption): AES-256-GCM, SHA-512.

HKDF-Expand turns content key, salt and context into a key, a base nonce and a 32-byte commitment to all three. AES-GCM
alone commits to nothing: one ciphertext can be made to open under two keys. So the commitment is compared before any
chunk is touched. Chunks are 16 KiB and numbered in the nonce; the last is always shorter, maybe empty, so an end that
was cut off shows. Nothing is believed of a chunk until its tag holds.
"""

import hmac
import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from crypto.errors import DecryptionError, FileError, FormatError, LimitError

ALGORITHM: Final = "cobblestone-256"
KEY_BYTES, SALT_BYTES, COMMITMENT_BYTES = 32, 24, 32
CHUNK_BYTES, TAG_BYTES = 16 * 1024, 16
MAX_CHUNKS: Final = 2**38
BLOCK: Final = 64  # chunks that are read, worked on and written at once
_NONCE_BYTES: Final = 12
_SEALED_CHUNK: Final = CHUNK_BYTES + TAG_BYTES
_INFO: Final = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00"

Write = Callable[[memoryview], object]


class Source(Protocol):
    """What is read from: a file opened as binary, standard input's buffer, a BytesIO."""

    def readinto(self, buffer: memoryview, /) -> int | None: ...


@dataclass(frozen=True, slots=True)
class ContentCipher:
    """What one object's chunks are sealed under, and the commitment (32 bytes) to it."""

    commitment: bytes
    _aead: AESGCM = field(repr=False)
    _base: int = field(repr=False)

    @classmethod
    def derive(cls, content_key: bytes, salt: bytes, context: bytes) -> "ContentCipher":
        """From a uniformly random 32-byte key, a 24-byte salt that it never meets twice, and what is to be bound."""
        length = KEY_BYTES + _NONCE_BYTES + COMMITMENT_BYTES
        derived = HKDFExpand(SHA512(), length, _INFO + salt + context).derive(content_key)
        base = int.from_bytes(derived[KEY_BYTES : KEY_BYTES + _NONCE_BYTES], "big")
        return cls(derived[-COMMITMENT_BYTES:], AESGCM(derived[:KEY_BYTES]), base)

    def require(self, commitment: bytes) -> None:
        """DecryptionError unless it is the one to this key, salt and context."""
        if not hmac.compare_digest(self.commitment, commitment):
            raise DecryptionError("the key does not match the object's commitment: another key, or an altered header")

    def nonce(self, chunk: int) -> bytes:
        return (self._base ^ chunk).to_bytes(_NONCE_BYTES, "big")

    def seal_into(self, chunk: int, plaintext: memoryview, out: memoryview) -> None:
        self._aead.encrypt_into(self.nonce(chunk), plaintext, None, out)

    def open_into(self, chunk: int, sealed: memoryview, out: memoryview) -> None:
        try:
            self._aead.decrypt_into(self.nonce(chunk), sealed, None, out)
        except (InvalidTag, ValueError) as e:
            raise DecryptionError(f"chunk {chunk} does not open: altered, cut off, moved, or of another object") from e


def sealed_bytes(size: int) -> int:
    """How long the chunks of `size` bytes of content are."""
    return size + (size // CHUNK_BYTES + 1) * TAG_BYTES


def measure(sealed: int) -> tuple[int, int]:
    """Bytes of content, and how many chunks, where the chunks are `sealed` bytes long; FormatError for an impossible
    length."""
    whole, rest = divmod(sealed, _SEALED_CHUNK)
    if rest < TAG_BYTES:
        raise FormatError(f"the object is cut off: after {whole} whole chunks a shorter last one must follow")
    return sealed - (whole + 1) * TAG_BYTES, whole + 1


def encrypt(cipher: ContentCipher, source: Source, write: Write) -> int:
    """Seal all that `source` holds; gives its length. A view that `write` gets stays as it is until `write` was called
    once more, so one piece can be hashed while the next is made."""
    plain, outs = _buffer(BLOCK * CHUNK_BYTES), [_buffer(BLOCK * _SEALED_CHUNK) for _ in range(2)]
    for number in count():
        got, out = fill(source, plain), outs[number % 2]
        ends = got < len(plain)
        length = _seal_block(cipher, number * BLOCK, plain[:got], out, ends)
        write(out[:length])
        if ends:
            return number * BLOCK * CHUNK_BYTES + got
    raise AssertionError("unreachable")


def _seal_block(cipher: ContentCipher, first: int, plain: memoryview, out: memoryview, ends: bool) -> int:
    """Seal whole chunks, and where the content ends there the last one; gives the length of what is in `out`."""
    _check_count(first)
    chunks = len(plain) // CHUNK_BYTES + ends
    length = len(plain) + chunks * TAG_BYTES
    for n in range(chunks):
        piece = plain[n * CHUNK_BYTES : (n + 1) * CHUNK_BYTES]
        cipher.seal_into(first + n, piece, out[n * _SEALED_CHUNK : n * _SEALED_CHUNK + len(piece) + TAG_BYTES])
    return length


def decrypt(cipher: ContentCipher, source: Source, tail: int, seen: Write, write: Write) -> tuple[int, bytes]:
    """Open all chunks of `source`, whose last `tail` bytes are none. Each piece of ciphertext goes to `seen`, each
    piece of content whose chunks hold to `write`; gives the content's length and the tail. Views as for `encrypt`.

    Raises:
        DecryptionError, FormatError: at the first chunk that does not hold. What was written before it is true, but not
            whole.
    """
    outs = [_buffer(BLOCK * CHUNK_BYTES) for _ in range(2)]
    total = first = 0
    for piece, rest in pieces(source, tail, "the object"):
        seen(piece)
        length = _open_block(cipher, first, piece, outs[0], rest is not None)
        write(outs[0][:length])
        outs.reverse()
        total, first = total + length, first + BLOCK
        if rest is not None:
            return total, rest
    raise AssertionError("unreachable")


def _open_block(cipher: ContentCipher, first: int, piece: memoryview, out: memoryview, ends: bool) -> int:
    _check_count(first)
    length, chunks = measure(len(piece)) if ends else (BLOCK * CHUNK_BYTES, BLOCK)
    for n in range(chunks):
        sealed = piece[n * _SEALED_CHUNK : (n + 1) * _SEALED_CHUNK]
        cipher.open_into(first + n, sealed, out[n * CHUNK_BYTES : n * CHUNK_BYTES + len(sealed) - TAG_BYTES])
    return length


def pieces(source: Source, tail: int, what: str) -> Iterator[tuple[memoryview, bytes | None]]:
    """All of `source` but its last `tail` bytes, in pieces of whole blocks of chunks: (piece, None), and for the last
    piece, which may be empty, (piece, tail). FormatError where it is too short for its tail."""
    buffers, size = [_buffer(BLOCK * _SEALED_CHUNK + tail) for _ in range(2)], BLOCK * _SEALED_CHUNK
    held = 0
    while True:
        buffer, following = buffers
        got = held + fill(source, buffer[held:])
        if got < len(buffer):
            break
        yield buffer[:size], None
        following[:tail] = buffer[size:]
        held = tail
        buffers.reverse()
    if got < tail:
        raise FormatError(f"{what} is cut off: its last {tail} bytes are not all there")
    yield buffer[: got - tail], bytes(buffer[got - tail : got])


def fill(source: Source, view: memoryview) -> int:
    """Read until `view` is full or nothing more comes; gives how many bytes."""
    done = 0
    while done < len(view):
        got = source.readinto(view[done:])
        if got is None:
            raise FileError("the input has nothing yet and does not wait for it; give one that does")
        if not got:
            break
        done += got
    return done


def _buffer(size: int) -> memoryview:
    """Pages that are never touched cost nothing, so a small object does not pay for a large one."""
    return memoryview(mmap.mmap(-1, size))


def _check_count(first: int) -> None:
    if first >= MAX_CHUNKS:
        raise LimitError(f"content is over the bound of {MAX_CHUNKS} chunks")
