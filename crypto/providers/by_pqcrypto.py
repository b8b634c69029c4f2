"""ML-KEM and ML-DSA of `pqcrypto`, with keys that look like those of `cryptography`.

`pqcrypto` takes private keys in their expanded form only, and our keys are seeds. `kyber-py` and `dilithium-py` expand
them, once for each key that is loaded. They are plain Python and their time depends on the key: who can measure a
process that loads its keys may learn of them. The default provider has no such weakness.
"""

from typing import Any, Final

import pqcrypto
from cryptography.exceptions import InvalidSignature
from dilithium_py.ml_dsa import ML_DSA_44, ML_DSA_65, ML_DSA_87
from kyber_py.ml_kem import ML_KEM_768, ML_KEM_1024
from pqcrypto.kem import ml_kem_768, ml_kem_1024
from pqcrypto.sign import ml_dsa_44, ml_dsa_65, ml_dsa_87
from pqcrypto.sign import slh_dsa_sha2_128s as slh_dsa_sha2_128s

from crypto.errors import KeyMaterialError
from crypto.providers import Classes

_MAX_CONTEXT_BYTES: Final = 253  # what pqcrypto 1.0 takes for ML-DSA; FIPS 204 allows 255


class _Public:
    """A public key of one scheme: `module` of pqcrypto computes with it."""

    module: Any = None

    def __init__(self, raw: bytes) -> None:
        if len(raw) != self.module.PUBLIC_KEY_SIZE:
            raise ValueError(f"expected {self.module.PUBLIC_KEY_SIZE} bytes, got {len(raw)}")
        self._raw = raw

    @classmethod
    def from_public_bytes(cls, raw: bytes) -> "_Public":
        return cls(raw)

    def public_bytes_raw(self) -> bytes:
        return self._raw


class _KemPublic(_Public):
    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self.encapsulate()  # refuses a key out of range (FIPS 203 section 7.2); there is no other way to ask

    def encapsulate(self) -> tuple[bytes, bytes]:
        """A fresh (secret, ciphertext)."""
        ciphertext, secret = self.module.encaps(self._raw)
        return bytes(secret), bytes(ciphertext)


class _SigningPublic(_Public):
    def verify(self, signature: bytes, message: bytes, context: bytes | None = None) -> None:
        _check(context)
        try:
            self.module.verify(self._raw, message, signature, context)
        except (pqcrypto.InvalidSignatureError, ValueError) as e:
            raise InvalidSignature from e


class _Private:
    """A private key of one scheme: `expand` makes (public, expanded) of its seed."""

    public: type[_Public] = _Public
    expand: Any = None
    seed_bytes = 0

    def __init__(self, seed: bytes) -> None:
        if len(seed) != self.seed_bytes:
            raise ValueError(f"expected a seed of {self.seed_bytes} bytes, got {len(seed)}")
        self._raw, self._expanded = type(self).expand(seed)

    @classmethod
    def from_seed_bytes(cls, seed: bytes) -> "_Private":
        return cls(seed)

    def public_key(self) -> _Public:
        return self.public(self._raw)


class _KemPrivate(_Private):
    seed_bytes = 64

    def decapsulate(self, ciphertext: bytes) -> bytes:
        return bytes(self.public.module.decaps(self._expanded, ciphertext))


class _SigningPrivate(_Private):
    seed_bytes = 32

    def sign(self, message: bytes, context: bytes | None = None) -> bytes:
        _check(context)
        return bytes(self.public.module.sign(self._expanded, message, context))


def _check(context: bytes | None) -> None:
    """Neither a verdict nor a stack trace where the library would refuse a signature that is good."""
    if context and len(context) > _MAX_CONTEXT_BYTES:
        raise KeyMaterialError(f"contexts of ML-DSA have at most {_MAX_CONTEXT_BYTES} bytes in the provider pqcrypto")


def _kem(module: Any, expanding: Any) -> Classes:
    public = type("KemPublic", (_KemPublic,), {"module": module})
    expand = staticmethod(expanding.key_derive)
    return Classes(type("KemPrivate", (_KemPrivate,), {"public": public, "expand": expand}), public)


def _signing(module: Any, expanding: Any) -> Classes:
    public = type("SigningPublic", (_SigningPublic,), {"module": module})
    expand = staticmethod(expanding.key_derive)
    return Classes(type("SigningPrivate", (_SigningPrivate,), {"public": public, "expand": expand}), public)


SCHEMES: Final = {
    "ml-kem-768": _kem(ml_kem_768, ML_KEM_768),
    "ml-kem-1024": _kem(ml_kem_1024, ML_KEM_1024),
    "ml-dsa-44": _signing(ml_dsa_44, ML_DSA_44),
    "ml-dsa-65": _signing(ml_dsa_65, ML_DSA_65),
    "ml-dsa-87": _signing(ml_dsa_87, ML_DSA_87),
}
