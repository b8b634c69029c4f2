"""Seal, open and inspect an object, one pass over it each (docs/formats/sealed.md).

    header ‖ salt (24) ‖ commitment (32) ‖ chunks ‖ signature, where there is a sender

The signature is over SHA-256 of everything before it: recipients, commitment and every chunk. The object's digest is
SHA-256 of the whole file; that names it in the log and on the ledger.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from crypto import labels
from crypto.envelope import content
from crypto.envelope.content import COMMITMENT_BYTES, SALT_BYTES, ContentCipher, Source
from crypto.envelope.digest import Digest
from crypto.envelope.grants import Grant
from crypto.envelope.header import ID_BYTES, Header, KeyFinder, Sender, exactly, make_header, read_header
from crypto.kem import KemPublicKey
from crypto.keys import SIGNATURE_BYTES, PrivateKey, PublicKey

Progress = Callable[[int], object]  # bytes of the object that were done since the last call


class Target(Protocol):
    """What is written to: it takes all of a piece."""

    def write(self, data: bytes | memoryview, /) -> object: ...


def silent(done: int) -> None:
    """No progress where nobody watches."""


@dataclass(frozen=True, slots=True)
class SealedObject:
    """What is known of an object once all of it was read or written. Lengths in bytes."""

    header: Header
    commitment: bytes
    digest: bytes  # SHA-256 of all of it; empty where nobody wanted it
    size: int  # of the content
    chunks: int
    length: int  # of the object
    signature: bytes  # empty where there is no sender
    _signed: bytes

    @property
    def object_id(self) -> bytes:
        return self.header.object_id

    def verify(self, sender: PublicKey) -> None:
        """SignatureError unless the holder of this pinned key sealed exactly these bytes."""
        if not self.digest:
            raise ValueError("no digest was wanted of this object: ask for it, or give the sender when it is opened")
        self.header.require_sender(sender.kid)
        sender.verify(self.signature, self._signed, labels.SEALED_OBJECT)


def seal(
    source: Source, target: Target, to: Sequence[KemPublicKey], signer: PrivateKey | None = None,
    *, digest: bool = True, progress: Progress = silent,
) -> SealedObject:  # fmt: skip
    """Seal all that `source` holds to the recipients. Where it raises, throw away what `target` got. Without `digest`
    and a signer nothing is hashed, which is faster; what comes back then has no digest."""
    # 1. A content key that is used for this object only, sealed to each recipient.
    content_key, object_id, salt = map(secrets.token_bytes, (content.KEY_BYTES, ID_BYTES, SALT_BYTES))
    header = make_header(object_id, content_key, salt, to, _sender(signer))
    # 2. Content, under a key that commits to the header.
    cipher = ContentCipher.derive(content_key, salt, header.context)
    with Digest(digest or signer is not None) as hashed:

        def write(piece: bytes | memoryview) -> None:
            hashed.update(piece)
            target.write(piece)
            progress(len(piece))

        write(header.raw + salt + cipher.commitment)
        size = content.encrypt(cipher, source, write)
        # 3. The sender's signature over all of it.
        signed = hashed.value()
        signature = signer.sign(signed, labels.SEALED_OBJECT) if signer else b""
        write(signature)
        return _object(header, cipher.commitment, hashed.value(), size, signature, signed)


def _sender(signer: PrivateKey | None) -> Sender | None:
    return Sender(signer.public.kid, SIGNATURE_BYTES[signer.public.algorithm]) if signer else None


def _object(
    header: Header, commitment: bytes, digest: bytes, size: int, signature: bytes, signed: bytes
) -> SealedObject:
    chunks = content.sealed_bytes(size)
    length = len(header.raw) + SALT_BYTES + COMMITMENT_BYTES + chunks + len(signature)
    return SealedObject(header, commitment, digest, size, content.measure(chunks)[1], length, signature, signed)


def open_object(
    source: Source, target: Target, find: KeyFinder, *, grant: Grant | None = None, sender: PublicKey | None = None,
    digest: bool = True, progress: Progress = silent,
) -> SealedObject:  # fmt: skip
    """Open an object by a recipient's key, or by a grant and its recipient's key. Where it raises, throw away what
    `target` got: it is a true beginning at best. Without `digest`, a sender or a grant nothing is hashed, which is
    faster; what comes back then has no digest.

    Raises:
        FormatError, LimitError: not a sealed object, or cut off.
        DecryptionError: no key of a recipient, another key than the commitment's, altered chunks, or another object
            than the grant's.
        SignatureError: `sender` is given and did not sign exactly this.
    """
    return _open(source, target, find, grant, sender, digest, progress)[0]


def make_grant(
    source: Source, to: KemPublicKey, find: KeyFinder, *, grant: Grant | None = None, progress: Progress = silent
) -> Grant:
    """Pass the key of an object on to one more recipient; whoever may open the object can. All of it is opened for
    that, so that a grant is never for a damaged one. Raises as `open_object`."""
    found, content_key = _open(source, _Nowhere(), find, grant, None, True, progress)
    return Grant.make(found.object_id, found.commitment, found.digest, content_key, to)


class _Nowhere:
    def write(self, data: bytes | memoryview, /) -> None:
        pass


def _open(
    source: Source,
    target: Target,
    find: KeyFinder,
    grant: Grant | None,
    sender: PublicKey | None,
    wanted: bool,
    progress: Progress,
) -> tuple[SealedObject, bytes]:
    """What `open_object` does; gives the content key too."""
    # 1. The header, and the content key by a stanza or by the grant.
    header = read_header(source)
    commitment = exactly(source, COMMITMENT_BYTES)
    if sender:
        header.require_sender(sender.kid)
    if grant:
        grant.require_object(header.object_id, commitment)
    content_key = grant.content_key(find) if grant else header.content_key(find)
    # 2. The commitment, before any chunk: it binds key, salt and the whole header.
    cipher = ContentCipher.derive(content_key, header.salt, header.context)
    cipher.require(commitment)
    with Digest(wanted or bool(grant or sender)) as hashed:

        def seen(piece: bytes | memoryview) -> None:
            hashed.update(piece)
            progress(len(piece))

        # 3. Every chunk in its place, the short last one at the end.
        seen(header.raw + header.salt + commitment)
        size, signature = content.decrypt(cipher, source, header.tail, seen, target.write)
        signed = hashed.value()
        seen(signature)
        found = _object(header, commitment, hashed.value(), size, signature, signed)
    # 4. Who sealed it, and whether it is what the grant was made for.
    if sender:
        found.verify(sender)
    if grant:
        grant.require_digest(found.digest)
    return found, content_key


def inspect(source: Source, progress: Progress = silent) -> SealedObject:
    """What anyone can read of an object, its digest and its signature; without a key nothing tells whether it opens.

    Raises:
        FormatError, LimitError: not a sealed object, or of an impossible length.
    """
    header = read_header(source)
    commitment = exactly(source, COMMITMENT_BYTES)
    with Digest() as hashed:
        hashed.update(header.raw + header.salt + commitment)
        length = 0
        signature = b""
        for piece, tail in content.pieces(source, header.tail, "the object"):
            hashed.update(piece)
            progress(len(piece))
            length += len(piece)
            signature = tail or b""
        signed = hashed.value()
        hashed.update(signature)
        return _object(header, commitment, hashed.value(), content.measure(length)[0], signature, signed)
