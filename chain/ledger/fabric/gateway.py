"""The calls of a peer's Gateway service (fabric_protos.gateway), each with a deadline and an error of its stage.

Gateway peers are untrusted with what they prepare (proposal.py checks it) and trusted to answer queries: an answer
that must convince others comes with evidence instead.
"""

from collections.abc import Sequence
from typing import Any

from chain.ledger.fabric import protos
from chain.ledger.fabric.connection import Connection, grpc, peer_messages, typed
from chain.ledger.fabric.errors import CommitStatusError, EndorseError, EvaluateError, FabricError, SubmitError
from chain.ledger.fabric.profile import Identity
from chain.ledger.fabric.proposal import Proposal
from chain.ledger.fabric.refusal import contract_refusal

messages = protos.load("fabric_protos.gateway.gateway_pb2")
_stubs = protos.load("fabric_protos.gateway.gateway_pb2_grpc")
_ab = protos.load("fabric_protos.orderer.ab_pb2")
EVALUATE_S, ENDORSE_S, SUBMIT_S, COMMIT_S = 15.0, 15.0, 10.0, 60.0  # Fabric's own clients use 5 to 60 s
# What Submit may answer although an orderer has the transaction.
_NOT_KNOWN = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "CANCELLED", "INTERNAL", "UNKNOWN")


class NotKnownError(SubmitError):
    """Nobody can say whether the orderers have the transaction."""


class Gateway:
    """Gateway calls as one member of one channel."""

    def __init__(self, connection: Connection, identity: Identity, channel: str) -> None:
        self._connection = connection
        self._identity = identity
        self._channel = channel

    async def evaluate(self, proposal: Proposal) -> bytes:
        """The answer of one peer. Raises ContractError, EvaluateError."""
        request = messages.EvaluateRequest(
            transaction_id=proposal.tx_id, channel_id=self._channel, proposed_transaction=proposal.signed
        )
        answer = await self._call("Evaluate", request, EVALUATE_S, EvaluateError, proposal.tx_id)
        return bytes(answer.result.payload)

    async def endorse(self, proposal: Proposal, organisations: Sequence[str] = ()) -> bytes:
        """The payload that the gateway peer prepared for signing. `organisations` must endorse, else the chaincode's
        policy decides. Raises ContractError, EndorseError."""
        request = messages.EndorseRequest(
            transaction_id=proposal.tx_id, channel_id=self._channel, proposed_transaction=proposal.signed,
            endorsing_organizations=organisations,
        )  # fmt: skip
        answer = await self._call("Endorse", request, ENDORSE_S, EndorseError, proposal.tx_id)
        return bytes(answer.prepared_transaction.payload)

    async def submit(self, tx_id: str, payload: bytes) -> None:
        """Sign a checked payload and hand it to the orderers; one peer, one try.

        Raises:
            NotKnownError: an orderer may have it or not.
            SubmitError: no orderer took it.
        """
        envelope = protos.common.Envelope(payload=payload, signature=self._identity.sign(payload))
        request = messages.SubmitRequest(
            transaction_id=tx_id, channel_id=self._channel, prepared_transaction=envelope
        )  # fmt: skip
        try:
            await _stubs.GatewayStub(self._connection.current).Submit(request, timeout=SUBMIT_S)
        except grpc.aio.AioRpcError as e:
            kind = NotKnownError if e.code().name in _NOT_KNOWN else SubmitError
            raise typed(kind, e, tx_id) from e

    async def commit_status(self, tx_id: str, timeout: float = COMMIT_S) -> tuple[str, int]:
        """Fabric's name of the validation code, and the block's number, once the transaction is in a block.
        CommitStatusError where it is in none within `timeout` seconds."""
        request = messages.CommitStatusRequest(
            transaction_id=tx_id, channel_id=self._channel, identity=self._identity.creator
        ).SerializeToString()
        signed = messages.SignedCommitStatusRequest(request=request, signature=self._identity.sign(request))
        answer = await self._call("CommitStatus", signed, timeout, CommitStatusError, tx_id)
        return str(protos.transaction.TxValidationCode.Name(answer.result)), int(answer.block_number)

    def events(self, chaincode: str, block: int) -> Any:
        """The stream of chaincode events from `block` on, from the peer in use."""
        start = _ab.SeekPosition(specified=_ab.SeekSpecified(number=block))
        request = messages.ChaincodeEventsRequest(
            channel_id=self._channel, chaincode_id=chaincode, identity=self._identity.creator, start_position=start
        ).SerializeToString()
        signed = messages.SignedChaincodeEventsRequest(request=request, signature=self._identity.sign(request))
        return _stubs.GatewayStub(self._connection.current).ChaincodeEvents(signed)

    async def _call(self, name: str, request: Any, timeout: float, kind: type[FabricError], tx_id: str) -> Any:
        try:
            return await self._connection.call(
                lambda channel: getattr(_stubs.GatewayStub(channel), name)(request, timeout=timeout)
            )
        except grpc.aio.AioRpcError as e:
            if refusal := contract_refusal(e.details() or "", peer_messages(e)):
                raise refusal from e
            raise typed(kind, e, tx_id) from e
