"""Which organisation this gateway is of, by the ledger: asked once, since it never changes."""

from chain.ledger.interface import Ledger
from chaincode.identity_records import Identity


class OwnOrganisation:
    """Await a call of it. Raises what the ledger raises; asked again then."""

    def __init__(self, ledger: Ledger, origin: str) -> None:
        self._ledger, self._origin, self.name = ledger, origin, ""  # the name is empty until it was asked for

    async def __call__(self) -> str:
        if not self.name:
            answer = await self._ledger.evaluate("identities.get", self._origin.encode())
            self.name = Identity.decode(answer).organisation
        return self.name
