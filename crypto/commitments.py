"""Salted commitments: a field can be disclosed and proved alone, and erased while every proof still holds.

c = HMAC-SHA256(salt, CBOR[label, event id, path, value]). A salt comes from its segment's secret seed, so
one disclosed salt says nothing of any other, and destroying the seed makes every commitment unopenable.
The leaves of an event's fields form an RFC 9162 tree whose root stands in the log record.
"""

import hmac
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from crypto import cbor, labels
from crypto.errors import CommitmentError
from crypto.merkle import leaf_hash, root_of

SALT_BYTES = 32
SEED_BYTES = 32


class EventId(NamedTuple):
    """Names one event for ever: its source, the source's boot, and its number in that boot."""

    source: str
    boot: int
    seq: int


@lru_cache(maxsize=1024)
def _encoded(text: str) -> bytes:
    return cbor.encode(text)


_SALT_HEAD = bytes([0x85]) + _encoded(labels.SALT)
_COMMITMENT_HEAD = bytes([0x86]) + _encoded(labels.COMMITMENT)


def salt_for(seed: bytes, event: EventId, path: str) -> bytes:
    """The 32-byte salt of one field, derived from its segment's 32-byte seed."""
    message = cbor.encode([labels.SALT, event.source, event.boot, event.seq, path])
    return hmac.digest(seed, message, "sha256")


def commit(salt: bytes, event: EventId, path: str, value: cbor.CborValue) -> bytes:
    """The 32-byte commitment to one field's value."""
    message = cbor.encode([labels.COMMITMENT, event.source, event.boot, event.seq, path, value])
    return hmac.digest(salt, message, "sha256")


def field_leaf(salt: bytes, event: EventId, path: str, value: cbor.CborValue) -> bytes:
    """Leaf hash of one field in its event's commitment tree. A disclosed (salt, path, value) proves itself by
    an inclusion proof from here to the record's root: no other value leads there."""
    if len(salt) != SALT_BYTES:
        raise CommitmentError(f"salts are {SALT_BYTES} bytes, got {len(salt)}")
    return leaf_hash(commit(salt, event, path, value))


def field_leaves(seed: bytes, event: EventId, fields: Iterable[tuple[str, cbor.CborValue]]) -> list[bytes]:
    """Leaf hashes of an event's commitment tree, in the fixed order of its kind's schema."""
    # What `salt_for` and `commit` encode, in pieces: a list in CBOR is its head, then its items, and all but path and
    # value are the same for each field of an event.
    of_event = _encoded(event.source) + cbor.encode(event.boot) + cbor.encode(event.seq)
    salting, committing = _SALT_HEAD + of_event, _COMMITMENT_HEAD + of_event
    leaves = []
    for path, value in fields:
        named = _encoded(path)
        salt = hmac.digest(seed, salting + named, "sha256")
        leaves.append(leaf_hash(hmac.digest(salt, committing + named + cbor.encode(value), "sha256")))
    return leaves


def fields_root(seed: bytes, event: EventId, fields: Iterable[tuple[str, cbor.CborValue]]) -> bytes:
    """Root of an event's commitment tree, 32 bytes."""
    return root_of(field_leaves(seed, event, fields))
