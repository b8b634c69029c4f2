"""Fabric's block header and its two hashes (protoutil/blockutils.go). Nothing here is trusted or distrusted."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """Number, hash of the header before (empty in block 0), and hash of the block's envelopes."""

    number: int
    previous_hash: bytes
    data_hash: bytes

    def encode(self) -> bytes:
        """DER SEQUENCE of INTEGER number, OCTET STRING previous_hash, OCTET STRING data_hash: what orderers sign."""
        number = self.number.to_bytes(self.number.bit_length() // 8 + 1, "big")
        return _der(0x30, _der(0x02, number) + _der(0x04, self.previous_hash) + _der(0x04, self.data_hash))

    @property
    def hash(self) -> bytes:
        """SHA-256 of the encoding, 32 bytes."""
        return sha256(self.encode()).digest()


def data_hash(envelopes: Iterable[bytes]) -> bytes:
    """SHA-256 of the envelopes one after another; no Merkle tree, so all of them are needed."""
    return sha256(b"".join(envelopes)).digest()


def _der(tag: int, value: bytes) -> bytes:
    # The three values of a header are far below 128 bytes; a longer one is of no header.
    if len(value) > 127:
        raise ValueError(f"a value of a block header has at most 127 bytes, got {len(value)}")
    return bytes([tag, len(value)]) + value
