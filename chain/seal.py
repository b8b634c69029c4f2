"""Seals: a source's signature over the Merkle root of a range of its events, chained to its previous seal.

A seal makes a range non-repudiable and shows what is missing: it names the first number and the count, so an
event that never arrived is a gap and not a silence. Untrusted until `verify_seal` has run. Formats:
docs/formats/device.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from chain.event import SignedSeal, Span, source_name
from chain.record import Record
from crypto import flat, labels
from crypto.errors import FormatError, ProofError, SignatureError
from crypto.flat import MAX_NUMBER, Shape
from crypto.keys import PrivateKey, PublicKey
from crypto.merkle import HASH_BYTES, root_of

VERSION = 1
MAX_SEAL_BYTES = 512
MAX_SEALED_EVENTS = 65_536
FIRST_PREVIOUS = bytes(HASH_BYTES)  # what the first seal of a source names as its predecessor

_SHAPE = Shape({
    1: ("version", int), 2: ("source", str), 3: ("boot", int), 4: ("first seq", int), 5: ("count", int),
    6: ("root", bytes), 7: ("previous", bytes), 8: ("signed time", int), 9: ("kid", bytes),
})  # fmt: skip
_HASHES = (6, 7, 9)


@dataclass(frozen=True, slots=True)
class Seal:
    """Covers the events first … first+count-1 of one boot. `root` is the RFC 9162 root of the content hashes
    in order, `previous` SHA-256 of the source's seal before this one, `kid` names the signing key."""

    source: str
    boot: int
    first: int
    count: int
    root: bytes
    previous: bytes
    signed_us: int
    kid: bytes

    @property
    def span(self) -> Span:
        return Span(self.boot, self.first, self.count)

    def encode(self) -> bytes:
        return flat.encode({
            1: VERSION, 2: self.source, 3: self.boot, 4: self.first, 5: self.count,
            6: self.root, 7: self.previous, 8: self.signed_us, 9: self.kid,
        })  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> "Seal":
        """Strictly parse seal bytes; FormatError or LimitError says what is wrong."""
        item = flat.decode(data, MAX_SEAL_BYTES, "a seal", _SHAPE)
        for key in _HASHES:
            if len(item[key]) != HASH_BYTES:
                raise FormatError(f"a seal: {_SHAPE.fields[key][0]} (key {key}) must be {HASH_BYTES} bytes")
        if item[1] != VERSION or not 1 <= item[5] <= MAX_SEALED_EVENTS or item[4] + item[5] > MAX_NUMBER:
            raise FormatError(f"a seal has version {VERSION} and covers 1 to {MAX_SEALED_EVENTS} events below 2^63")
        return cls(source_name(item[2]), item[3], item[4], item[5], item[6], item[7], item[8], item[9])


def seal_hash(seal: bytes) -> bytes:
    """SHA-256 of the exact seal bytes: what the next seal names as `previous`."""
    return sha256(seal).digest()


def sign_seal(seal: Seal, key: PrivateKey) -> SignedSeal:
    """Encode and sign; the seal must name this key."""
    if seal.kid != key.public.kid:
        raise SignatureError("the seal names another key than the one that signs it")
    encoded = seal.encode()
    return SignedSeal(encoded, key.sign(encoded, labels.SEAL))


def verify_seal(signed: SignedSeal, key: PublicKey) -> Seal:
    """The seal, once its signature holds under the pinned `key`.

    Raises:
        FormatError, LimitError: not a seal.
        SignatureError: it names another key, or the signature does not verify.
    """
    # 1. Form and limits before cryptography.
    seal = Seal.decode(signed.seal)
    # 2. The key is the one the seal names.
    if seal.kid != key.kid:
        raise SignatureError(f"the seal names key {seal.kid.hex()[:16]}…, expected {key.kid.hex()[:16]}…")
    # 3. The signature.
    key.verify(signed.signature, signed.seal, labels.SEAL)
    return seal


def require_names(record: Record, seal: Seal) -> None:
    """ProofError unless the record that logs this seal says the same of it as the seal itself."""
    said = (record.source, record.boot, record.seq, record.count, record.sensed_us)
    if said != (seal.source, seal.boot, seal.first, seal.count, seal.signed_us):
        raise ProofError(f"the record that logs the seal of {seal.source} says otherwise than the seal: {said}")


def verify_range(seal: Seal, content_hashes: Sequence[bytes]) -> None:
    """Raise ProofError unless these are the content hashes of exactly the events that the seal covers."""
    if len(content_hashes) != seal.count:
        raise ProofError(f"the seal covers {seal.count} events, {len(content_hashes)} are there")
    if root_of(content_hashes) != seal.root:
        raise ProofError(
            f"the events {seal.first} to {seal.first + seal.count - 1} of boot {seal.boot} are not those "
            f"that {seal.source} sealed"
        )
