"""Who is meant by --to. The one place to teach another way to name a recipient."""

from collections.abc import Iterable
from pathlib import Path

from chain.sealed.keys import encapsulation_key
from crypto.errors import KeyMaterialError, SealtrailError
from crypto.kem import KemPublicKey


def resolve(names: Iterable[str]) -> list[KemPublicKey]:
    """The keys of all recipients, in the order of their names. KeyMaterialError names the one that has none."""
    return [_one(name) for name in names]


def _one(name: str) -> KemPublicKey:
    try:
        return encapsulation_key(Path(name))
    except SealtrailError as e:
        raise KeyMaterialError(f"recipient {name}: {e}") from e
