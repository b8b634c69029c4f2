"""Unit ids: what a ledger calls a lot, a pack or a logistic unit, so that the name tells nobody what it is.

A unit id is a HMAC of the unit's canonical URI under a secret that only the companies have through whose hands it
went. Without the secret nobody can test a guess, although GTINs, lots and serials are easily guessed.
"""

import hmac
import os
from collections.abc import Iterable, Iterator

from crypto import labels
from crypto.errors import KeyMaterialError

UNIT_SECRET_BYTES = 32
UNIT_ID_BYTES = 32


def new_unit_secret() -> bytes:
    """A fresh random 32-byte secret, for one lot with all its packs, or for one logistic unit."""
    return os.urandom(UNIT_SECRET_BYTES)


def unit_id(secret: bytes, uri: str) -> bytes:
    """HMAC-SHA256(secret, label ‖ URI), 32 bytes. The URI is canonical: two forms of one name have two ids.

    Raises:
        KeyMaterialError: the secret is not 32 bytes.
    """
    return hmac.digest(_checked(secret), labels.UNIT + uri.encode(), "sha256")


def unit_ids(secret: bytes, uris: Iterable[str]) -> Iterator[bytes]:
    """The ids of many units under one secret, in the order of the URIs."""
    key = _checked(secret)
    return (hmac.digest(key, labels.UNIT + uri.encode(), "sha256") for uri in uris)


def _checked(secret: bytes) -> bytes:
    if len(secret) != UNIT_SECRET_BYTES:
        raise KeyMaterialError(f"a unit secret is {UNIT_SECRET_BYTES} random bytes, got {len(secret)}")
    return secret
