"""A transaction of the embedded ledger as a log leaf, byte for byte (docs/formats/ledger.md).

`open_leaf` takes untrusted bytes: it checks their form and the caller's signature. That the transaction is on
the ledger is for evidence.py to prove. Usable offline: no database is imported here.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from chain.log.bundle import MAX_ENTRY_BYTES
from crypto import cbor, labels
from crypto.errors import FormatError
from crypto.keys import PrivateKey, PublicKey, algorithm_named

VERSION = 1
NONCE_BYTES = 16
_KEYS = frozenset(range(1, 13))
_SHARED = frozenset(range(1, 14))


@dataclass(frozen=True, slots=True)
class Request:
    """What the caller signs. Time in µs since 1970 by the caller's clock; the nonce makes two equal calls two.
    `organisation` is the caller's on a ledger that several share; empty where the ledger is its organisation."""

    ledger: str
    function: str
    args: tuple[bytes, ...]
    caller: PublicKey
    time_us: int
    nonce: bytes
    organisation: str = ""

    def items(self) -> dict[Any, Any]:
        values = (
            VERSION, self.ledger, self.function, list(self.args),
            str(self.caller.algorithm), self.caller.raw, self.time_us, self.nonce,
        )  # fmt: skip
        shared = {13: self.organisation} if self.organisation else {}
        return dict(enumerate(values, 1)) | shared

    def encode(self) -> bytes:
        return cbor.encode(self.items())

    @property
    def tx_id(self) -> str:
        """Hexadecimal SHA-256 of the signed bytes."""
        return sha256(self.encode()).hexdigest()

    def sign(self, key: PrivateKey) -> bytes:
        return key.sign(self.encode(), labels.LEDGER_TRANSACTION)


@dataclass(frozen=True, slots=True)
class Write:
    """A key of the state and the SHA-256 of the value that was put there."""

    key: str
    value_hash: bytes


@dataclass(frozen=True, slots=True)
class TransactionLeaf:
    """A committed transaction: the signed request, and what the contract made of it."""

    request: Request
    signature: bytes
    writes: tuple[Write, ...]
    event: tuple[str, bytes] | None
    result: bytes

    def encode(self) -> bytes:
        writes = [[write.key, write.value_hash] for write in self.writes]
        event = None if self.event is None else list(self.event)
        return cbor.encode(self.request.items() | {9: self.signature, 10: writes, 11: event, 12: self.result})


def open_leaf(data: bytes) -> TransactionLeaf:
    """Parse a leaf strictly and verify its caller's signature.

    Raises:
        FormatError, LimitError, KeyMaterialError: not a transaction leaf of version 1.
        SignatureError: the caller did not sign this request.
    """
    # 1. Form.
    item = cbor.decode(data, MAX_ENTRY_BYTES)
    cbor.exact_keys(item, _SHARED if type(item) is dict and 13 in item else _KEYS, "transaction leaf")
    if cbor.field(item, 1, int, "leaf version") != VERSION:
        raise FormatError(f"expected a transaction leaf of version {VERSION}, got {item[1]}")
    leaf = TransactionLeaf(
        _request(item), cbor.field(item, 9, bytes, "signature"), _writes(item), _event(item[11]),
        cbor.field(item, 12, bytes, "result"),
    )  # fmt: skip
    # 2. The caller asked for exactly this.
    request = leaf.request
    request.caller.verify(leaf.signature, request.encode(), labels.LEDGER_TRANSACTION)
    return leaf


def _request(item: dict[int, Any]) -> Request:
    args, nonce = cbor.field(item, 4, list, "arguments"), cbor.field(item, 8, bytes, "nonce")
    if not all(type(arg) is bytes for arg in args):
        raise FormatError("the arguments of a transaction (key 4) must be bytes")
    if len(nonce) != NONCE_BYTES:
        raise FormatError(f"the nonce of a transaction has {NONCE_BYTES} bytes, got {len(nonce)}")
    time_us = cbor.field(item, 7, int, "time")
    if not 0 <= time_us < 2**63:
        raise FormatError(f"the time of a transaction is in µs since 1970 and below 2^63, got {time_us}")
    organisation = cbor.field(item, 13, str, "organisation") if 13 in item else ""
    if 13 in item and not organisation:
        raise FormatError("the organisation of a transaction (key 13) is left out where there is none")
    algorithm = algorithm_named(cbor.field(item, 5, str, "caller's algorithm"))
    return Request(
        cbor.field(item, 2, str, "ledger"), cbor.field(item, 3, str, "function"), tuple(args),
        PublicKey(algorithm, cbor.field(item, 6, bytes, "caller's key")), time_us, nonce, organisation,
    )  # fmt: skip


def _writes(item: dict[int, Any]) -> tuple[Write, ...]:
    writes = cbor.field(item, 10, list, "writes")
    for pair in writes:
        if type(pair) is not list or [type(part) for part in pair] != [str, bytes] or len(pair[1]) != 32:
            raise FormatError("a write (key 10) is a list of a state key and a SHA-256")
    return tuple(Write(key, value_hash) for key, value_hash in writes)


def _event(pair: Any) -> tuple[str, bytes] | None:
    if pair is None:
        return None
    if type(pair) is not list or [type(part) for part in pair] != [str, bytes]:
        raise FormatError("an event (key 11) is null or a list of a name and a payload")
    return pair[0], pair[1]
