"""A Fabric call signed by an identity's own key, so that the contract meets the same callers on every ledger.

Fabric authenticates the creator's certificate, whose ECDSA key no identity can have. The creator's MSP id says
which organisation calls; this signature says which identity. It covers Fabric's transaction id, which is the hash
of the creator and a nonce, so nobody else can send it and nobody can send it twice. Everything here is untrusted.
"""

from collections.abc import Sequence

from chaincode.errors import Code, ContractError
from crypto import cbor, labels
from crypto.errors import FormatError, KeyMaterialError, SignatureError
from crypto.keys import PrivateKey, PublicKey, algorithm_named

SIGNED = b"sealtrail.signed"  # stands where an unsigned call has its function's name; no function is named so
VERSION = 1
MAX_AUTHORISATION_BYTES = 8 * 1024  # an ML-DSA-65 key and signature have 5,261 bytes


def sign_call(
    key: PrivateKey, channel: str, tx_id: str, function: str, args: Sequence[bytes]
) -> tuple[bytes, ...]:  # fmt: skip
    """What a client gives to Fabric as the chaincode's arguments, the function's name included."""
    signature = key.sign(_message(channel, tx_id, function, args), labels.LEDGER_TRANSACTION)
    authorisation = cbor.encode([VERSION, str(key.public.algorithm), key.public.raw, signature])
    return (SIGNED, authorisation, function.encode(), *args)


def unwrap(given: Sequence[bytes]) -> tuple[bytes | None, tuple[bytes, ...]]:
    """The authorisation in a chaincode's arguments (None: unsigned), and the function's name with its arguments."""
    if len(given) > 1 and given[0] == SIGNED:
        return given[1], tuple(given[2:])
    return None, tuple(given)


def open_call(authorisation: bytes, channel: str, tx_id: str, function: str, args: Sequence[bytes]) -> PublicKey:
    """The key that signed this call; ContractError where none did."""
    try:
        # 1. Form, and a real key of its algorithm.
        key, signature = _read(authorisation)
        # 2. It signed this call of this transaction.
        key.verify(signature, _message(channel, tx_id, function, args), labels.LEDGER_TRANSACTION)
    except (FormatError, KeyMaterialError) as e:
        raise ContractError(Code.MALFORMED, f"the authorisation of a signed call: {e}") from e
    except SignatureError as e:
        raise ContractError(Code.BAD_SIGNATURE, f"the caller did not sign this transaction: {e}") from e
    return key


def _message(channel: str, tx_id: str, function: str, args: Sequence[bytes]) -> bytes:
    """A list, where the embedded ledger signs a map under the same label: neither can be read as the other."""
    return cbor.encode([VERSION, channel, tx_id, function, list(args)])


def _read(authorisation: bytes) -> tuple[PublicKey, bytes]:
    items = cbor.decode(authorisation, MAX_AUTHORISATION_BYTES)
    if type(items) is not list or [type(item) for item in items] != [int, str, bytes, bytes]:
        raise FormatError("it is a list of four: version, algorithm, key, signature")
    version, algorithm, raw, signature = items
    if version != VERSION:
        raise FormatError(f"expected version {VERSION}, got {version}; a newer Sealtrail may read it")
    return PublicKey(algorithm_named(algorithm), raw), signature
