"""Whether a gateway of an organisation signed what came, with a key that counts: one rule for hand-overs and recalls.

Trust boundary: the identity is the ledger's; the message, and the name that it gives, are untrusted.
"""

from typing import Protocol

from chaincode.identity_records import Identity, Role
from crypto.errors import SealtrailError, SignatureError
from crypto.keys import PublicKey


class SignerError(SealtrailError):
    """It is not signed by a gateway of the organisation that it should be from, or with a key that does not count."""


class SignedMessage(Protocol):
    """A message, opened and not believed yet."""

    @property
    def kid(self) -> bytes: ...

    def require_signed(self, key: PublicKey) -> None:
        """SignatureError unless this key signed it."""


def require_signed(identity: Identity | None, organisation: str, name: str, message: SignedMessage) -> None:
    """1. `name` is a gateway of `organisation`, by the ledger. 2. It has a key of this id that counts. 3. It signed.

    Raises:
        SignerError: which of these does not hold.
    """
    if identity is None:
        raise SignerError(f"the ledger knows no gateway {name[:80]!r}")
    if identity.role is not Role.GATEWAY or identity.organisation != organisation:
        raise SignerError(
            f"{name[:80]} is no gateway of {organisation[:80]}: by the ledger it is a {identity.role} of"
            f" {identity.organisation}"
        )
    key = identity.key_of(message.kid)
    if key is None:
        raise SignerError(
            f"it is signed with the key {message.kid.hex()[:16]}…, which is none of {name[:80]} that counts"
        )
    try:
        message.require_signed(key)
    except SignatureError as e:
        raise SignerError(f"this is not what the gateway of {organisation[:80]} signed: {e}") from e
