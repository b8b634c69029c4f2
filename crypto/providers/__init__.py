"""Who computes ML-KEM and ML-DSA: `cryptography` (OpenSSL, the default), or `pqcrypto` (Rust, an extra).

SEALTRAIL_PROVIDER chooses for a process. Keys, signatures and ciphertexts are the same bytes with both, so a site may
change at any start (docs/adr/0012). Everything else is OpenSSL's with either of them, except SLH-DSA, which only
`pqcrypto` has, and HPKE, which only `cryptography` has.
"""

import os
from enum import StrEnum
from functools import lru_cache
from importlib import import_module
from typing import Any, Final, NamedTuple

from crypto.errors import KeyMaterialError

VARIABLE: Final = "SEALTRAIL_PROVIDER"


class Provider(StrEnum):
    """Names as they stand in SEALTRAIL_PROVIDER."""

    CRYPTOGRAPHY = "cryptography"
    PQCRYPTO = "pqcrypto"


class Classes(NamedTuple):
    """A scheme's keys. `private.from_seed_bytes(seed)` and `public.from_public_bytes(raw)` make them, ValueError where
    they cannot; they sign, verify (InvalidSignature), encapsulate and decapsulate as those of `cryptography` do."""

    private: Any
    public: Any


def classes(scheme: str, provider: Provider | None = None) -> Classes:
    """The keys of ml-kem-768, ml-kem-1024, ml-dsa-44, ml-dsa-65 or ml-dsa-87, by the chosen provider.

    Raises:
        KeyMaterialError: the provider is not installed, or does not have the scheme.
    """
    provider = provider or chosen()
    found: dict[str, Classes] = _module(provider).SCHEMES
    if scheme not in found:
        raise KeyMaterialError(f"{scheme} is not in the provider {provider}, which has {', '.join(found)}")
    return found[scheme]


def chosen() -> Provider:
    """The provider that SEALTRAIL_PROVIDER names, else `cryptography`; KeyMaterialError lists the known names."""
    return _named(os.environ.get(VARIABLE) or Provider.CRYPTOGRAPHY)


def require_hpke() -> None:
    """KeyMaterialError under a provider that has no HPKE: another one would be used in silence."""
    if chosen() is not Provider.CRYPTOGRAPHY:
        raise KeyMaterialError(f"HPKE is not in the provider {chosen()}; unset {VARIABLE} to seal and to open")


def slh_dsa() -> Any:
    """SLH-DSA-SHA2-128s of `pqcrypto`, whichever provider is chosen, since no other has it."""
    try:
        return _module(Provider.PQCRYPTO).slh_dsa_sha2_128s
    except KeyMaterialError as e:
        raise KeyMaterialError(f"slh-dsa-sha2-128s is not in the provider {Provider.CRYPTOGRAPHY}; {e}") from e


@lru_cache(maxsize=8)
def _named(name: str) -> Provider:
    try:
        return Provider(name)
    except ValueError as e:
        raise KeyMaterialError(f"{VARIABLE} is one of {', '.join(Provider)}, got {name[:40]!r}") from e


@lru_cache(maxsize=2)
def _module(provider: Provider) -> Any:
    try:
        return import_module(f"crypto.providers.by_{provider}")
    except ImportError as e:
        mend = f"install it: pip install 'sealtrail[{provider}]'"
        raise KeyMaterialError(f"the provider {provider} is not installed ({e}); {mend}") from e
