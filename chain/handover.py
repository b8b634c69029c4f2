"""The gateway's change of key as its sources hear it: the very statement that stands on the ledger, by both keys.

Untrusted until `open_handover` has verified it under the key that the source pinned before. A source that missed
some changes is sent all of them, oldest first, and takes them one after the other. Formats: docs/formats/device.md.
"""

from dataclasses import dataclass

from chaincode.identities import rotation
from crypto import cbor, labels
from crypto.errors import FormatError, SignatureError
from crypto.keys import PrivateKey, PublicKey, algorithm_named

MAX_BYTES = 64 * 1024
MAX_HANDOVERS = 64


@dataclass(frozen=True, slots=True)
class Handover:
    """From the key with this kid to a new one, for the gateway of this name, counting from a log index on."""

    name: str
    old_kid: bytes
    new: PublicKey
    from_index: int
    old_signature: bytes
    new_signature: bytes

    def encode(self) -> bytes:
        """Canonical CBOR [statement, old key's signature, new key's signature]."""
        return cbor.encode([self._statement(), self.old_signature, self.new_signature])

    def _statement(self) -> bytes:
        items = [self.name, self.old_kid, str(self.new.algorithm), self.new.raw, self.from_index]
        return cbor.encode(items)

    def arguments(self) -> tuple[bytes, ...]:
        """Of the contract's identities.rotate."""
        new, from_index = self.new, str(self.from_index).encode()
        signatures = (self.old_signature, self.new_signature)
        return (self.name.encode(), str(new.algorithm).encode(), new.raw, from_index, *signatures)

    def verify(self, pinned: PublicKey, name: str) -> None:
        """Raise SignatureError unless the pinned key and the new one both said this of the gateway of this name."""
        # 1. It is about this gateway, and goes from the very key that is pinned.
        if self.name != name or self.old_kid != pinned.kid:
            raise SignatureError(f"the change of key is of {self.name[:60]!r} from {self.old_kid.hex()[:16]}…")
        # 2. The old key hands over, the new one takes over.
        statement = self._statement()
        pinned.verify(self.old_signature, statement, labels.KEY_ROTATION)
        self.new.verify(self.new_signature, statement, labels.KEY_ROTATION)

    @classmethod
    def decode(cls, data: bytes) -> "Handover":
        """FormatError, LimitError or KeyMaterialError where `data` is no change of key."""
        outer = cbor.decode(data, MAX_BYTES, number_keys=False)
        if type(outer) is not list or [type(part) for part in outer] != [bytes, bytes, bytes]:
            raise FormatError("a change of the gateway's key is [statement, signature, signature]")
        said = cbor.decode(outer[0], MAX_BYTES, number_keys=False)
        if type(said) is not list or [type(part) for part in said] != [str, bytes, str, bytes, int] or said[4] < 0:
            raise FormatError("a change of key says: name, kid of the old key, algorithm, new key, log index")
        name, old_kid, algorithm, raw, from_index = said
        return cls(name, old_kid, PublicKey(algorithm_named(algorithm), raw), from_index, outer[1], outer[2])


def hand_over(name: str, old: PrivateKey, new: PrivateKey, from_index: int) -> Handover:
    """Signed by both keys, as the contract's identities.rotate wants it."""
    said = rotation(name, old.public, new.public, from_index)
    signatures = [key.sign(said, labels.KEY_ROTATION) for key in (old, new)]
    return Handover(name, old.public.kid, new.public, from_index, *signatures)


def is_handover(data: bytes) -> bool:
    """Whether this may be a change of key rather than an acknowledgement, by its first byte: a list of three."""
    return data[:1] == b"\x83"


def encode_all(handovers: tuple[Handover, ...]) -> bytes:
    """The changes of a site's gateway key, oldest first, as they lie in its folder."""
    return cbor.encode([handover.encode() for handover in handovers])


def decode_all(data: bytes) -> tuple[Handover, ...]:
    """FormatError where `data` is not such a list."""
    items = cbor.decode(data, MAX_HANDOVERS * MAX_BYTES, number_keys=False)
    if type(items) is not list or len(items) > MAX_HANDOVERS or any(type(item) is not bytes for item in items):
        raise FormatError(f"expected a list of at most {MAX_HANDOVERS} changes of key")
    return tuple(map(Handover.decode, items))


def leading_to(handovers: tuple[Handover, ...], key: PublicKey) -> tuple[Handover, ...]:
    """Those by which a source gets from any former key to this one; one that was prepared and not taken is left out."""
    for count in range(len(handovers), 0, -1):
        if handovers[count - 1].new == key:
            return handovers[:count]
    return ()
