"""Partners as the ledger knows them: enrolment, KEM keys, and the present key to seal to.

Everything a partner brings is signed by itself; the contract verifies it. This module carries.
"""

from dataclasses import dataclass

from chain.ledger.interface import Ledger
from chaincode.identity_records import Identity, Role
from chaincode.kem_records import KemKeys
from crypto.kem import KemPublicKey
from crypto.keys import PublicKey


@dataclass(frozen=True, slots=True)
class PartnerKeys:
    """Whose keys, its present signature key (None: revoked), and its KEM keys."""

    handle: str
    signing: PublicKey | None
    kem: KemKeys


class Partners:
    """The gateway's use of the contract's identities and KEM keys for partners. ContractError where it refuses."""

    def __init__(self, ledger: Ledger, origin: str) -> None:
        self._ledger, self._origin = ledger, origin

    async def enrol(self, name: str, key: PublicKey, from_index: int, possession: bytes) -> None:
        """Enrol a partner of this gateway's log; `possession` is its signature under labels.ENROL."""
        await self._ledger.submit(
            "identities.enrol", name.encode(), str(Role.PARTNER).encode(), str(key.algorithm).encode(), key.raw,
            self._origin.encode(), str(from_index).encode(), possession,
        )  # fmt: skip

    async def publish(self, handle: str, key: KemPublicKey, signature: bytes) -> None:
        """Publish an identity's KEM key; see chaincode.kem_keys.publication."""
        await self._ledger.submit("kem.publish", handle.encode(), str(key.suite).encode(), key.raw, signature)

    async def withdraw(self, handle: str, kid: bytes, reason: str, signature: bytes) -> None:
        """Withdraw an identity's KEM key; see chaincode.kem_keys.withdrawal."""
        await self._ledger.submit("kem.withdraw", handle.encode(), kid, reason.encode("ascii", "replace"), signature)

    async def keys(self, handle: str) -> PartnerKeys:
        identity = Identity.decode(await self._ledger.evaluate("identities.get", handle.encode()))
        return PartnerKeys(handle, identity.current_key, await self.kem_keys(handle))

    async def kem_keys(self, handle: str) -> KemKeys:
        return KemKeys.decode(await self._ledger.evaluate("kem.get", handle.encode()))
