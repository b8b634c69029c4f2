"""Opaque cursors: where a list goes on. They name a leaf, so a list stays the same while the log grows.

Untrusted when they come back. Nothing is hidden in them and nothing is gained by making one up; the digest of the
question only keeps a cursor from being used with another one.
"""

import base64
import binascii
from hashlib import sha256

from crypto import cbor
from crypto.errors import FormatError
from crypto.flat import MAX_NUMBER
from gateway.query.errors import QueryError

VERSION = 1
MAX_CHARS = 64
_DIGEST_BYTES = 8


def encode_cursor(question: str, leaf: int) -> str:
    """A cursor for the list that answers `question` and goes on behind `leaf`."""
    packed = cbor.encode([VERSION, _digest(question), leaf])
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def decode_cursor(question: str, cursor: str) -> int:
    """The leaf. QueryError where the cursor is not one of this very list."""
    try:
        if len(cursor) > MAX_CHARS:
            raise FormatError("too long")
        packed = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        item = cbor.decode(packed, MAX_CHARS)
    except (FormatError, binascii.Error, UnicodeEncodeError) as e:
        raise QueryError("the cursor is damaged; start again without one") from e
    if type(item) is not list or len(item) != 3 or item[0] != VERSION or type(item[2]) is not int:
        raise QueryError("the cursor is damaged; start again without one")
    if item[1] != _digest(question) or not 0 <= item[2] <= MAX_NUMBER:
        raise QueryError("the cursor belongs to another question; start again without one")
    return item[2]


def _digest(question: str) -> bytes:
    return sha256(question.encode("utf-8", "surrogatepass")).digest()[:_DIGEST_BYTES]
