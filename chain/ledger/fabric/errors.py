"""What can go wrong with a Fabric ledger, by stage. Each error names the transaction and the peers that answered."""

from dataclasses import dataclass

from chain.errors import LedgerError, UnsureError


@dataclass(frozen=True, slots=True)
class PeerMessage:
    """What one peer or orderer said: its address, its organisation and its words."""

    address: str
    msp_id: str
    message: str

    def __str__(self) -> str:
        return f"{self.address} ({self.msp_id}): {self.message}"


class FabricError(LedgerError):
    """A transaction or query failed; `tx_id` names it, `peers` has what the nodes said of it, and `status` is the name
    of the gRPC status, empty where there was none."""

    def __init__(self, message: str, tx_id: str, peers: tuple[PeerMessage, ...] = (), status: str = "") -> None:
        super().__init__("; ".join([f"transaction {tx_id}: {message}", *map(str, peers)]))
        self.tx_id = tx_id
        self.peers = peers
        self.status = status


class EvaluateError(FabricError):
    """A query got no answer. Nothing changed."""


class EndorseError(FabricError):
    """Too few organisations endorsed the transaction. Nothing changed."""


class ClockError(EvaluateError, EndorseError):
    """Peers refuse the proposal for its time: this machine's clock, or the peer's, is wrong. Nothing changed."""


class LyingPeerError(EndorseError):
    """The gateway peer returned another transaction than was sent, or false endorsements. It was not signed."""


class SubmitError(FabricError, UnsureError):
    """The orderers did not take the transaction, and whether it will commit is not known."""


class CommitStatusError(FabricError, UnsureError):
    """The orderers took the transaction, but no peer said in time what became of it."""


class CommitError(FabricError):
    """The transaction stands in a block as invalid and changed nothing; `code` is Fabric's name of the reason."""

    def __init__(self, code: str, tx_id: str, peers: tuple[PeerMessage, ...] = ()) -> None:
        super().__init__(f"committed as invalid: {code}", tx_id, peers)
        self.code = code
