"""What stands before the content of a sealed object: who opens it, who sealed it, and the content key for each of them.

The bytes are untrusted: bounded and canonical, and every length is checked before any cryptography. They show who can
open the object; they say so truly only to whoever holds the content key, since the commitment binds the header.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final

from crypto import cbor, hpke, labels
from crypto.envelope.content import ALGORITHM, KEY_BYTES, SALT_BYTES, Source, fill
from crypto.errors import DecryptionError, FormatError, KeyMaterialError, LimitError, SignatureError
from crypto.kem import KemPrivateKey, KemPublicKey, KemSuite

MAGIC: Final = b"sealtrail-sealed"
VERSION: Final = 1
FIELDS: Final = 5
MAX_RECIPIENTS: Final = 256
MAX_HEADER_BYTES: Final = 512 * 1024
MAX_SIGNATURE_BYTES: Final = 16 * 1024
ID_BYTES = KID_BYTES = 32
START_BYTES: Final = len(MAGIC) + 4

KeyFinder = Callable[[bytes], KemPrivateKey | None]  # the private key of a kid, where one is there


def finder(keys: Iterable[KemPrivateKey]) -> KeyFinder:
    """A finder over keys that are in memory."""
    return {key.public.kid: key for key in keys}.get


@dataclass(frozen=True, slots=True)
class Stanza:
    """The content key, sealed for one recipient."""

    suite: KemSuite
    kid: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Sender:
    """Who says to have sealed it: the kid of a signature key, and how long the signature at the object's end is."""

    kid: bytes
    signature_bytes: int


@dataclass(frozen=True, slots=True)
class Header:
    """A parsed header, with the bytes that came."""

    object_id: bytes
    stanzas: tuple[Stanza, ...]
    sender: Sender | None
    salt: bytes
    raw: bytes

    @property
    def context(self) -> bytes:
        """What the content's commitment binds: SHA-256 of everything up to the salt."""
        return sha256(self.raw).digest()

    @property
    def tail(self) -> int:
        """Bytes at the object's end that are its signature."""
        return self.sender.signature_bytes if self.sender else 0

    def require_sender(self, kid: bytes) -> None:
        """SignatureError unless this sender is named; whether it signed is another question."""
        if self.sender is None:
            raise SignatureError("the object is not signed; ask its sender to seal it with --sign")
        if self.sender.kid != kid:
            raise SignatureError(
                f"the object names {self.sender.kid.hex()[:16]}… as its sender, expected {kid.hex()[:16]}…"
            )

    def content_key(self, find: KeyFinder) -> bytes:
        """The content key, by the first recipient's key that is found; DecryptionError where there is none."""
        for stanza in self.stanzas:
            if key := find(stanza.kid):
                return open_key(key, stanza.suite, stanza.sealed, self._info(stanza))
        kids = ", ".join(f"{stanza.kid.hex()[:16]}…" for stanza in self.stanzas[:8])
        more = f" and {len(self.stanzas) - 8} more" if len(self.stanzas) > 8 else ""
        raise DecryptionError(f"none of the keys here is a recipient's; it is sealed to {kids}{more}")

    def _info(self, stanza: Stanza) -> bytes:
        named = [(each.suite, each.kid) for each in self.stanzas]
        return _info(stanza.suite, stanza.kid, self.object_id, _named(named))


def make_header(
    object_id: bytes, content_key: bytes, salt: bytes, to: Sequence[KemPublicKey], sender: Sender | None
) -> Header:
    """Seal the content key to each recipient. KeyMaterialError for none, too many, or one twice."""
    # 1. The recipients, each once, in the order of their kids.
    to = sorted(to, key=lambda key: key.kid)
    if not 1 <= len(to) <= MAX_RECIPIENTS:
        raise KeyMaterialError(f"an object has 1 to {MAX_RECIPIENTS} recipients, got {len(to)}")
    for one, following in pairwise(to):
        if one.kid == following.kid:
            raise KeyMaterialError(f"the key {one.kid.hex()[:16]}… is named twice as a recipient; name it once")
    # 2. A stanza for each, bound to the object and to all the others.
    named = _named([(key.suite, key.kid) for key in to])
    stanzas = tuple(
        Stanza(key.suite, key.kid, hpke.seal(key, content_key, _info(key.suite, key.kid, object_id, named)))
        for key in to
    )
    # 3. One list, before it its length.
    body = cbor.encode([
        VERSION, object_id, ALGORITHM, [[str(stanza.suite), stanza.kid, stanza.sealed] for stanza in stanzas],
        [sender.kid, sender.signature_bytes] if sender else None,
    ])  # fmt: skip
    return Header(object_id, stanzas, sender, salt, MAGIC + len(body).to_bytes(4, "big") + body)


def read_header(source: Source) -> Header:
    """Read up to and with the salt.

    Raises:
        LimitError, FormatError: not a sealed object, of another version, too large, or not in its one encoding.
    """
    # 1. The magic, and a length within its bound.
    start = exactly(source, START_BYTES)
    if not start.startswith(MAGIC):
        raise FormatError("not a sealed object: it does not begin with 'sealtrail-sealed'")
    length = int.from_bytes(start[len(MAGIC) :], "big")
    if length > MAX_HEADER_BYTES:
        raise LimitError(f"a header of {length} bytes is over the bound of {MAX_HEADER_BYTES}")
    # 2. One canonical list, whose first item is the version.
    body = exactly(source, length)
    item = cbor.decode(body, MAX_HEADER_BYTES, number_keys=False)
    if type(item) is not list or not item or type(item[0]) is not int:
        raise FormatError("a header must be a list that begins with its version")
    if item[0] != VERSION or len(item) != FIELDS:
        raise FormatError(f"expected version {VERSION} with {FIELDS} fields, got version {item[0]} with {len(item)}")
    # 3. Its fields, and the salt behind it.
    _, object_id, algorithm, stanzas, sender = item
    if algorithm != ALGORITHM:
        raise FormatError(f"content algorithm must be {ALGORITHM}, got {algorithm!r:.60}")
    return Header(
        sized(object_id, ID_BYTES, "object id"), _stanzas(stanzas), _sender(sender), exactly(source, SALT_BYTES),
        start + body,
    )  # fmt: skip


def _stanzas(items: Any) -> tuple[Stanza, ...]:
    if type(items) is not list or not 1 <= len(items) <= MAX_RECIPIENTS:
        raise FormatError(f"an object must have a list of 1 to {MAX_RECIPIENTS} recipients")
    stanzas = tuple(map(_stanza, items))
    kids = [stanza.kid for stanza in stanzas]
    if any(a >= b for a, b in pairwise(kids)):
        raise FormatError("recipients must be sorted by kid, each once")
    return stanzas


def _stanza(item: Any) -> Stanza:
    if type(item) is not list or len(item) != 3:
        raise FormatError("a recipient must be a list of suite, kid and sealed key")
    suite = suite_of(item[0])
    return Stanza(suite, sized(item[1], KID_BYTES, "kid"), sealed_key_of(suite, item[2]))


def suite_of(name: Any) -> KemSuite:
    """The suite in untrusted bytes."""
    if type(name) is not str or name not in set(KemSuite):
        raise FormatError(f"a recipient's suite must be one of {', '.join(KemSuite)}, got {name!r:.60}")
    return KemSuite(name)


def sealed_key_of(suite: KemSuite, value: Any) -> bytes:
    """A sealed content key in untrusted bytes: of its suite's one length."""
    return sized(value, hpke.sealed_bytes(suite, KEY_BYTES), f"key sealed under {suite}")


def _sender(item: Any) -> Sender | None:
    if item is None:
        return None
    if type(item) is not list or len(item) != 2 or type(item[1]) is not int:
        raise FormatError("the sender must be a list of kid and signature length, or null")
    if not 1 <= item[1] <= MAX_SIGNATURE_BYTES:
        raise LimitError(f"signatures have 1 to {MAX_SIGNATURE_BYTES} bytes, got {item[1]}")
    return Sender(sized(item[0], KID_BYTES, "sender's kid"), item[1])


def sized(value: Any, length: int, what: str) -> bytes:
    """A byte string of this length in untrusted bytes."""
    if type(value) is not bytes or len(value) != length:
        got = f"{len(value)} bytes" if type(value) is bytes else type(value).__name__
        raise FormatError(f"{what} must be {length} bytes, got {got}")
    return value


def exactly(source: Source, length: int) -> bytes:
    """So many bytes of the header; FormatError where there are fewer."""
    data = bytearray(length)
    if fill(source, memoryview(data)) < length:
        raise FormatError("the object is cut off within its header")
    return bytes(data)


def _named(recipients: Sequence[tuple[KemSuite, bytes]]) -> bytes:
    """SHA-256 over who all the recipients are."""
    return sha256(cbor.encode([[str(suite), kid] for suite, kid in recipients])).digest()


def _info(suite: KemSuite, kid: bytes, object_id: bytes, named: bytes) -> bytes:
    return cbor.encode([labels.SEALED_STANZA, str(suite), ALGORITHM, kid, object_id, named])


def open_key(key: KemPrivateKey, suite: KemSuite, sealed: bytes, info: bytes) -> bytes:
    """The content key in a stanza or a grant that names `suite`. DecryptionError where it is not for this key, or not
    for this place."""
    if key.suite is not suite:
        raise DecryptionError(f"the key {key.public.kid.hex()[:16]}… is of {key.suite}, but is named as one of {suite}")
    content_key = hpke.open_sealed(key, sealed, info)
    if len(content_key) != KEY_BYTES:
        raise DecryptionError(f"content keys are {KEY_BYTES} bytes, got {len(content_key)}")
    return content_key
