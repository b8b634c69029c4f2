"""The ledger's state: the names of its keys, and how records are read (byte-exact: docs/formats/ledger.md).

A log's keys belong to one log and its checkpoints never change, so that no two gateways ever conflict.
"""

from typing import Protocol, Self, TypeVar

from chaincode.errors import StateError
from chaincode.transaction import Transaction
from crypto import cbor
from crypto.errors import FormatError, KeyMaterialError
from crypto.merkle import HASH_BYTES

VERSION = 1
MAX_RECORD_BYTES = 128 * 1024
MAX_NUMBER = 2**63 - 1
PRESENT = b"\x01"  # the value of keys that only mark that something is there


class Record(Protocol):
    """A value of the state with its canonical CBOR form."""

    def encode(self) -> bytes: ...

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """FormatError or KeyMaterialError where `data` is not such a record."""


_R = TypeVar("_R", bound=Record)


def log_key(origin: str) -> str:
    return f"log/{origin}"


def head_key(origin: str) -> str:
    return f"head/{origin}"


def checkpoint_key(origin: str, size: int) -> str:
    return f"cp/{origin}/{size:020}"


def fork_key(origin: str, size: int) -> str:
    return f"fork/{origin}/{size:020}"


def identity_key(name: str) -> str:
    return f"id/{name}"


def kid_key(kid: bytes) -> str:
    return f"kid/{kid.hex()}"


def role_key(role: str, name: str) -> str:
    return f"role/{role}/{name}"


def organisation_key(organisation: str) -> str:
    return f"org/{organisation}"


def kem_key(handle: str) -> str:
    return f"kem/{handle}"


def object_key(object_id: bytes) -> str:
    return f"object/{object_id.hex()}"


def grant_key(object_id: bytes, recipient: str) -> str:
    return f"grant/{object_id.hex()}/{recipient}"


def delivery_key(object_id: bytes, recipient: str, verdict: str) -> str:
    """No handle holds a `!`, so that no two recipients share a key; below too."""
    return f"delivery/{object_id.hex()}/{recipient}!{verdict}"


def listing_key(side: str, name: str, object_id: bytes) -> str:
    return f"objects/{side}/{name}!{object_id.hex()}"


async def read(tx: Transaction, key: str, kind: type[_R]) -> _R | None:
    """The record at `key`, None where there is none; StateError where it cannot be read."""
    value = await tx.get(key)
    if value is None:
        return None
    try:
        return kind.decode(value)
    except (FormatError, KeyMaterialError) as e:
        raise StateError(f"the record at {key} cannot be read: {e}; run fsck on this ledger") from e


def fields(
    data: bytes, keys: frozenset[int], what: str, longer: frozenset[int] | None = None
) -> dict[int, cbor.CborValue]:
    """The map of a record with exactly `keys`, or exactly those of its `longer` form, of this version (key 1)."""
    item = cbor.decode(data, MAX_RECORD_BYTES)
    cbor.exact_keys(item, longer if longer and type(item) is dict and len(item) == len(longer) else keys, what)
    if cbor.field(item, 1, int, f"{what} version") != VERSION:
        raise FormatError(f"{what} must be of version {VERSION}, got {item[1]}; a newer Sealtrail may read it")
    checked: dict[int, cbor.CborValue] = item
    return checked


def encoded(*values: cbor.CborValue) -> bytes:
    """A record as a map: the version under key 1, and `values` under the keys from 2 on."""
    return cbor.encode(dict(enumerate((VERSION, *values), 1)))


def number(item: dict[int, cbor.CborValue], key: int, what: str) -> int:
    """A size, an index, or a time in µs since 1970."""
    value: int = cbor.field(item, key, int, what)
    if not 0 <= value <= MAX_NUMBER:
        raise FormatError(f"{what} must be from 0 to 2^63-1, got {value}")
    return value


def digest(item: dict[int, cbor.CborValue], key: int, what: str) -> bytes:
    """A SHA-256, or an id of the same length."""
    value: bytes = cbor.field(item, key, bytes, what)
    if len(value) != HASH_BYTES:
        raise FormatError(f"{what} must be {HASH_BYTES} bytes, got {len(value)}")
    return value
