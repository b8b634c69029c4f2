"""The gateway's own receipt to a source: these numbers, with these bytes, are on disk and in the log.

A source keeps an event until such a receipt covers it, because a broker's PUBACK promises nothing about the
gateway. Signed, so a device can later show that the gateway had taken an event. Formats: docs/formats/device.md.
"""

from msgspec import Struct

from chain.event import source_name
from crypto import cbor, flat, labels
from crypto.errors import FormatError
from crypto.flat import MAX_NUMBER
from crypto.keys import PrivateKey, PublicKey
from crypto.merkle import HASH_BYTES

VERSION = 1
MAX_RANGES = 256
MAX_BYTES = 64 * 1024


class StoredRange(Struct, frozen=True):
    """Events first … first+count-1 of a boot are stored; `digest` is the RFC 9162 root of their content hashes."""

    boot: int
    first: int
    count: int
    digest: bytes


class Acknowledgement(Struct, frozen=True):
    """`sealed` is the hash of the last of the source's seals that is stored (32 zero bytes: none)."""

    source: str
    origin: str
    log_size: int
    logged_us: int
    sealed: bytes
    ranges: tuple[StoredRange, ...]

    def sign(self, key: PrivateKey) -> bytes:
        """Canonical CBOR [body, signature]."""
        ranges = [[r.boot, r.first, r.count, r.digest] for r in self.ranges]
        body = flat.encode({
            1: VERSION, 2: self.source, 3: self.origin, 4: self.log_size,
            5: self.logged_us, 6: self.sealed, 7: ranges,
        })  # fmt: skip
        return cbor.encode([body, key.sign(body, labels.GATEWAY_RECEIPT)])


def open_acknowledgement(data: bytes, key: PublicKey) -> Acknowledgement:
    """Verify and parse what arrived on a source's receipts topic under the gateway's pinned key.

    Raises:
        FormatError, LimitError: not an acknowledgement.
        SignatureError: not by this gateway.
    """
    # 1. Outer form.
    outer = cbor.decode(data, MAX_BYTES, number_keys=False)
    if type(outer) is not list or len(outer) != 2 or any(type(part) is not bytes for part in outer):
        raise FormatError("an acknowledgement is [body, signature]")
    # 2. Signature before the content is believed.
    key.verify(outer[1], outer[0], labels.GATEWAY_RECEIPT)
    # 3. Content.
    item = cbor.decode(outer[0], MAX_BYTES)
    cbor.exact_keys(item, frozenset(range(1, 8)), "an acknowledgement")
    ranges, sealed = cbor.field(item, 7, list, "ranges"), cbor.field(item, 6, bytes, "sealed")
    if _number(item, 1, "version") != VERSION or len(ranges) > MAX_RANGES or len(sealed) != HASH_BYTES:
        raise FormatError(f"expected acknowledgement version {VERSION} with at most {MAX_RANGES} ranges")
    return Acknowledgement(
        source_name(item[2]), cbor.field(item, 3, str, "origin"), _number(item, 4, "log size"),
        _number(item, 5, "logged time"), sealed, tuple(_stored_range(r) for r in ranges),
    )  # fmt: skip


def _number(item: object, key: int, what: str) -> int:
    number: int = cbor.field(item, key, int, what)
    if not 0 <= number <= MAX_NUMBER:
        raise FormatError(f"{what} (key {key}) must be from 0 to 2^63-1, got {number}")
    return number


def _stored_range(item: object) -> StoredRange:
    if type(item) is not list or [type(part) for part in item] != [int, int, int, bytes]:
        raise FormatError("a stored range is [boot, first, count, digest]")
    boot, first, count, digest = item
    if min(boot, first, count - 1) < 0 or max(boot, first, count) > MAX_NUMBER or len(digest) != HASH_BYTES:
        raise FormatError("a stored range has numbers below 2^63 and a 32-byte digest")
    return StoredRange(boot, first, count, digest)
