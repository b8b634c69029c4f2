"""The calls of a peer's Gateway service (fabric_protos.gateway), each with a deadline and an error of its stage.

Gateway peers are untrusted with what they prepare (proposal.py checks it) and trusted to answer queries: an answer
that must convince others comes with evidence instead.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from chain.ledger.fabric import protos
from chain.ledger.fabric.connection import Connection, grpc, is_silent, typed
from chain.ledger.fabric.errors import CommitStatusError, EndorseError, EvaluateError, FabricError, SubmitError
from chain.ledger.fabric.profile import Identity
from chain.ledger.fabric.proposal import Proposal
from chain.ledger.fabric.refusal import refused

messages = protos.load("fabric_protos.gateway.gateway_pb2")
_stubs = protos.load("fabric_protos.gateway.gateway_pb2_grpc")
_ab = protos.load("fabric_protos.orderer.ab_pb2")
EVALUATE_S, ENDORSE_S, SUBMIT_S, COMMIT_S = 10.0, 15.0, 10.0, 60.0  # Fabric's own clients use 5 to 60 s
ASK_S, PAUSE_S = 5.0, 0.2  # one peer is asked so long what became of a transaction, then the next one
LEVEL_S = 10.0  # how long a peer may take to get the newest block that is known
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
        self._organisations = sorted({node.msp_id for node in connection.nodes})
        self._newest: tuple[int, str] = (-1, "")  # the highest block known, and a transaction in it
        self._level: Any = None  # the peer that has it

    async def evaluate(self, proposal: Proposal) -> bytes:
        """The answer of a peer of the gateways' organisations; a gateway peer whose chaincode is away would else ask
        any other partner's peer. Raises ContractError, EvaluateError."""
        request = messages.EvaluateRequest(
            transaction_id=proposal.tx_id, channel_id=self._channel, proposed_transaction=proposal.signed,
            target_organizations=self._organisations,
        )  # fmt: skip
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
        channel = self._connection.current
        try:
            await _stubs.GatewayStub(channel).Submit(request, timeout=SUBMIT_S)
        except grpc.aio.AioRpcError as e:
            kind = NotKnownError if e.code().name in _NOT_KNOWN else SubmitError
            if kind is NotKnownError:
                self._connection.leave(channel)
            raise typed(kind, e, tx_id) from e

    async def commit_status(self, tx_id: str, timeout: float | None = None) -> tuple[str, int]:
        """Fabric's name of the validation code, and the block's number, once the transaction is in a block. Peers that
        fall or fall silent are asked again, and the others in turn. CommitStatusError where none says it within
        `timeout` seconds (none: COMMIT_S)."""
        deadline = time.monotonic() + (COMMIT_S if timeout is None else timeout)
        while True:
            channel, left = self._connection.current, deadline - time.monotonic()
            try:
                return await self._status(channel, tx_id, max(0.0, min(left, ASK_S)))
            except grpc.aio.AioRpcError as e:
                if not is_silent(e) or time.monotonic() + PAUSE_S > deadline:
                    raise typed(CommitStatusError, e, tx_id) from e
            self._connection.leave(channel)
            await asyncio.sleep(PAUSE_S)

    async def _status(self, channel: Any, tx_id: str, timeout: float) -> tuple[str, int]:
        request = messages.CommitStatusRequest(
            transaction_id=tx_id, channel_id=self._channel, identity=self._identity.creator
        ).SerializeToString()
        signed = messages.SignedCommitStatusRequest(request=request, signature=self._identity.sign(request))
        answer = await _stubs.GatewayStub(channel).CommitStatus(signed, timeout=timeout)
        block = int(answer.block_number)
        if block >= self._newest[0]:
            self._newest, self._level = (block, tx_id), channel
        return str(protos.transaction.TxValidationCode.Name(answer.result)), block

    def events(self, channel: Any, chaincode: str, block: int) -> Any:
        """The stream of chaincode events from `block` on, from the peer behind a channel."""
        start = _ab.SeekPosition(specified=_ab.SeekSpecified(number=block))
        request = messages.ChaincodeEventsRequest(
            channel_id=self._channel, chaincode_id=chaincode, identity=self._identity.creator, start_position=start
        ).SerializeToString()
        signed = messages.SignedChaincodeEventsRequest(request=request, signature=self._identity.sign(request))
        return _stubs.GatewayStub(channel).ChaincodeEvents(signed)

    async def _call(self, name: str, request: Any, timeout: float, kind: type[FabricError], tx_id: str) -> Any:
        async def ask(channel: Any) -> Any:
            await self._until_level(channel)
            return await getattr(_stubs.GatewayStub(channel), name)(request, timeout=timeout)

        try:
            return await self._connection.call(ask)
        except grpc.aio.AioRpcError as e:
            raise refused(kind, e, tx_id, self._organisations) from e

    async def _until_level(self, channel: Any) -> None:
        """A peer that is newly in use may be behind, and would show the past: it answers once it has the newest block
        that another one told of."""
        if channel is not self._level and self._newest[1]:
            await self._status(channel, self._newest[1], LEVEL_S)
