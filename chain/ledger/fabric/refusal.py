"""What peers say of a failed proposal: the contract's own refusal, or a clock that is wrong.

Fabric carries a chaincode's answer with status 400 as text: "chaincode response 400, <code>: <text>". A refusal is
signed by nobody, so a lying peer can invent one: it can refuse service in any case. Fabric has no codes for what its
own peers refuse, so their words are looked for.
"""

import re
from collections.abc import Collection, Iterable
from typing import Any

from chain.ledger.fabric.connection import peer_messages, typed
from chain.ledger.fabric.errors import ClockError, FabricError, PeerMessage
from chaincode.errors import Code, ContractError
from crypto.errors import SealtrailError

_REFUSAL = re.compile(r"chaincode response 400, ([a-z][a-z-]{0,40}): (.{0,2000})", re.DOTALL)
_CLOCK = re.compile(r"incorrect timestamp [^,]{0,60}, peer time [^,]{0,60}, peer\.authentication\.timewindow \S{0,20}")


def refused(kind: type[FabricError], error: Any, tx_id: str, organisations: Collection[str]) -> SealtrailError:
    """A gRPC error as the contract's refusal, as a wrong clock, or as the error of its stage. A refusal counts from
    peers of these organisations, the gateways' own: another partner's peer may be blocks behind and refuse for that."""
    peers, text = peer_messages(error), error.details() or ""
    own = [peer for peer in peers if peer.msp_id in organisations]
    if refusal := contract_refusal("" if peers else text, own):
        return refusal
    if clock := next(filter(None, (_CLOCK.search(words) for words in (*(peer.message for peer in peers), text))), None):
        mend = "set the clock that is wrong, of this machine or of the peer"
        return ClockError(f"{clock[0]}: {mend}", tx_id, peers, error.code().name)
    return typed(kind, error, tx_id)


def contract_refusal(text: str, peers: Iterable[PeerMessage]) -> ContractError | None:
    """The refusal in the error's text or in what a peer said; None where it is no refusal with a known code."""
    for message in (*(peer.message for peer in peers), text):
        found = _REFUSAL.search(message)
        if found and found[1] in Code.__members__.values():
            return ContractError(Code(found[1]), found[2])
    return None
