"""Who is meant by --to: a public key file, or with a gateway's URL a partner's name on its ledger.

A key from a URL is the word of the gateway that was asked. Its kid is shown: compare it with the partner where that
gateway keeps its ledger alone.
"""

import base64
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from chain.remote import Remote
from chain.sealed.keys import encapsulation_key
from crypto.errors import KeyMaterialError, SealtrailError
from crypto.kem import KemPublicKey, kem_suite_named


def resolve(names: Iterable[str], url: str | None = None, token: str = "") -> list[KemPublicKey]:
    """The keys of all recipients, in the order of their names. KeyMaterialError names the one that has none."""
    return [_one(name, url, token) for name in names]


def _one(name: str, url: str | None, token: str) -> KemPublicKey:
    try:
        if url is not None and not Path(name).exists():
            return _on_the_ledger(name, url, token)
        return encapsulation_key(Path(name))
    except SealtrailError as e:
        raise KeyMaterialError(f"recipient {name}: {e}") from e


def _on_the_ledger(name: str, url: str, token: str) -> KemPublicKey:
    """The present KEM key of a partner, as a gateway tells it."""
    found = Remote(url, token, KeyMaterialError).ask("GET", f"/v1/partners/{quote(name, safe='/')}/keys")
    current = found["current"]
    if found["signing"] is None:
        raise KeyMaterialError("its signature key was revoked, so nobody vouches for its KEM key any more")
    if current is None:
        raise KeyMaterialError("its KEM key was withdrawn; it must publish a new one")
    try:
        key = KemPublicKey(kem_suite_named(current["suite"]), base64.b64decode(current["public_key"], validate=True))
    except (ValueError, LookupError, TypeError) as e:
        raise KeyMaterialError(f"{url} answers with no partner's keys: {e}") from e
    print(f"sealing to {name}: {key.suite} {key.kid.hex()}, by the ledger as {url} tells it", file=sys.stderr)
    return key
