"""The contract's own refusals, found in what peers say of a failed proposal.

Fabric carries a chaincode's answer with status 400 as text: "chaincode response 400, <code>: <text>". A refusal is
signed by nobody, so a lying peer can invent one: it can refuse service in any case.
"""

import re
from collections.abc import Iterable

from chain.ledger.fabric.errors import PeerMessage
from chaincode.errors import Code, ContractError

_REFUSAL = re.compile(r"chaincode response 400, ([a-z][a-z-]{0,40}): (.{0,2000})", re.DOTALL)


def contract_refusal(text: str, peers: Iterable[PeerMessage]) -> ContractError | None:
    """The refusal in the error's text or in what a peer said; None where it is no refusal with a known code."""
    for message in (*(peer.message for peer in peers), text):
        found = _REFUSAL.search(message)
        if found and found[1] in Code.__members__.values():
            return ContractError(Code(found[1]), found[2])
    return None
