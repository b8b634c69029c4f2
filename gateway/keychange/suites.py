"""Which signature algorithms a site can change to, and which of them would be a step back."""

import re

from crypto.keys import Algorithm
from gateway.keychange.errors import MigrationError

_LEVEL = re.compile(r"ml-dsa-(\d+)")


def strength(algorithm: Algorithm) -> int:
    """Against a quantum computer: 0 for none, else the number in the name of the ML-DSA that is in it."""
    found = _LEVEL.search(algorithm)
    return int(found.group(1)) if found else 0


def require_allowed(present: Algorithm, wanted: Algorithm, *, force: bool) -> None:
    """MigrationError for an algorithm that a site does not sign with, and for a weaker one unless forced."""
    if not strength(wanted) and wanted is not Algorithm.ED25519:
        raise MigrationError(f"{wanted} is for offline keys; a site signs with Ed25519, ML-DSA, or both together")
    if strength(wanted) < strength(present) and not force:
        raise MigrationError(f"{wanted} is weaker than the site's {present}; say --force if that is meant")
