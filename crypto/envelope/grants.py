"""A grant passes an object's content key on to one more partner, without sealing the content again.

Whoever can open an object can make one. It is bound to the object by its id, its commitment and its digest: the key
opens nothing else, and nothing but exactly these bytes opens by it. A grant says nothing of who made it; the ledger
does. The bytes are untrusted.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from crypto import cbor, hpke, labels
from crypto.envelope.content import ALGORITHM, COMMITMENT_BYTES
from crypto.envelope.header import ID_BYTES, KID_BYTES, KeyFinder, open_key, sealed_key_of, sized, suite_of
from crypto.errors import DecryptionError, FormatError
from crypto.kem import KemPublicKey, KemSuite

TITLE: Final = "sealtrail-grant"
VERSION: Final = 1
FIELDS: Final = 8
MAX_GRANT_BYTES: Final = 4096
DIGEST_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Grant:
    """One more recipient of one object."""

    object_id: bytes
    commitment: bytes
    digest: bytes  # SHA-256 of the whole object
    suite: KemSuite
    kid: bytes
    sealed: bytes

    @classmethod
    def make(cls, object_id: bytes, commitment: bytes, digest: bytes, content_key: bytes, to: KemPublicKey) -> "Grant":
        """Seal the content key of this object to one more recipient."""
        sealed = hpke.seal(to, content_key, _info(to.suite, to.kid, object_id, commitment, digest))
        return cls(object_id, commitment, digest, to.suite, to.kid, sealed)

    def encode(self) -> bytes:
        return cbor.encode([
            TITLE, VERSION, self.object_id, self.commitment, self.digest, str(self.suite), self.kid, self.sealed,
        ])  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> "Grant":
        """Parse untrusted bytes; FormatError or LimitError for anything but a grant."""
        item = cbor.decode(data, MAX_GRANT_BYTES, number_keys=False)
        if type(item) is not list or len(item) != FIELDS or item[0] != TITLE:
            raise FormatError(f"not a grant: expected a list of {FIELDS} that begins with '{TITLE}'")
        _, version, object_id, commitment, digest, suite, kid, sealed = item
        if type(version) is not int or version != VERSION:
            raise FormatError(f"a grant of version {version!r:.60}; this program knows version {VERSION}")
        named = suite_of(suite)
        return cls(
            sized(object_id, ID_BYTES, "object id"), sized(commitment, COMMITMENT_BYTES, "commitment"),
            sized(digest, DIGEST_BYTES, "digest"), named, sized(kid, KID_BYTES, "kid"), sealed_key_of(named, sealed),
        )  # fmt: skip

    @property
    def grant_digest(self) -> bytes:
        """SHA-256 of the grant's bytes: what names it on the ledger."""
        return sha256(self.encode()).digest()

    def require_object(self, object_id: bytes, commitment: bytes) -> None:
        """DecryptionError unless it is for this object."""
        if (self.object_id, self.commitment) != (object_id, commitment):
            raise DecryptionError(
                f"the grant is for the object {self.object_id.hex()[:16]}…, not for {object_id.hex()[:16]}…"
            )

    def require_digest(self, digest: bytes) -> None:
        """DecryptionError unless these are the bytes that it was made for."""
        if self.digest != digest:
            raise DecryptionError(
                f"the grant is for the bytes with digest {self.digest.hex()[:16]}…, these have {digest.hex()[:16]}…"
            )

    def content_key(self, find: KeyFinder) -> bytes:
        """The content key; DecryptionError where the key of its recipient is not here."""
        key = find(self.kid)
        if key is None:
            raise DecryptionError(f"the grant is to the key {self.kid.hex()[:16]}…, which is not here")
        return open_key(
            key, self.suite, self.sealed, _info(self.suite, self.kid, self.object_id, self.commitment, self.digest)
        )


def _info(suite: KemSuite, kid: bytes, object_id: bytes, commitment: bytes, digest: bytes) -> bytes:
    return cbor.encode([labels.SEALED_GRANT, str(suite), ALGORITHM, kid, object_id, commitment, digest])
