"""nextPageToken: where an answer goes on. It names the last event of a page and the log's size at the first one, so
pages neither repeat nor skip while events are captured. Untrusted when it comes back; nothing is gained by making one.
"""

import base64
import binascii
from dataclasses import dataclass
from hashlib import sha256

from crypto import cbor
from crypto.errors import FormatError
from crypto.flat import MAX_NUMBER
from gateway.enquiry.errors import ParameterError

_VERSION = 1
_MAX_CHARS = 96
_DIGEST_BYTES = 8


@dataclass(frozen=True, slots=True)
class Place:
    """upto: the log's size at the first page. key, leaf: of the last event given (key: its time; 0 in log order).
    given: how many events were given so far."""

    upto: int
    key: int
    leaf: int
    given: int


def encode(question: str, place: Place) -> str:
    packed = cbor.encode([_VERSION, _digest(question), place.upto, place.key, place.leaf, place.given])
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def decode(question: str, token: str) -> Place:
    """ParameterError where it is not of this very question."""
    try:
        if len(token) > _MAX_CHARS:
            raise FormatError("too long")
        packed = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
        item = cbor.decode(packed, _MAX_CHARS)
    except (FormatError, binascii.Error, UnicodeEncodeError) as e:
        raise ParameterError("nextPageToken is damaged; start again without one") from e
    if type(item) is not list or len(item) != 6 or item[0] != _VERSION:
        raise ParameterError("nextPageToken is damaged; start again without one")
    numbers = [n for n in item[2:] if type(n) is int and 0 <= n <= MAX_NUMBER]
    if len(numbers) != 4 or item[1] != _digest(question):
        raise ParameterError("nextPageToken belongs to another question; start again without one")
    return Place(*numbers)


def _digest(question: str) -> bytes:
    return sha256(question.encode("utf-8", "surrogatepass")).digest()[:_DIGEST_BYTES]
