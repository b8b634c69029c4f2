"""Proposals as a client makes them, and the comparison of what comes back with what was sent.

A gateway peer is untrusted here: before anything is signed, the transaction it prepared must hold exactly the
proposal that was sent, and endorsements that verify under the channel's organisations.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from chain.ledger.fabric import protos
from chain.ledger.fabric.channel import Channel
from chain.ledger.fabric.profile import Identity
from chain.ledger.fabric.transaction import ENDORSER_TRANSACTION, Transaction, read_transaction, transaction_id
from chaincode.signed_call import sign_call
from crypto.errors import ProofError
from crypto.keys import PrivateKey

NONCE_BYTES = 24
Transient = Mapping[str, bytes]
NONE: Transient = MappingProxyType({})
_timestamp = protos.load("google.protobuf.timestamp_pb2").Timestamp


@dataclass(frozen=True, slots=True)
class Proposal:
    """A signed request to run a chaincode function. `parts`: channel header, signature header, payload, as they stand
    in a transaction, which is without the transient data that `message` may hold."""

    tx_id: str
    channel: str
    parts: tuple[bytes, bytes, bytes]
    message: bytes
    signature: bytes

    @property
    def signed(self) -> object:
        """peer.SignedProposal."""
        return protos.proposal.SignedProposal(proposal_bytes=self.message, signature=self.signature)


def make_proposal(
    identity: Identity,
    channel: str,
    chaincode: str,
    args: Sequence[bytes],
    caller: PrivateKey | None = None,
    transient: Transient = NONE,
) -> Proposal:
    """A proposal under a new transaction id, signed by `identity`. `args` begins with the function's name; with
    `caller` the call is signed by that identity's key too (chaincode.signed_call). `transient` is given to the
    endorsing peers' chaincodes and to nobody else."""
    nonce = os.urandom(NONCE_BYTES)
    tx_id = transaction_id(nonce, identity.creator)
    if caller is not None:
        args = sign_call(caller, channel, tx_id, args[0].decode(), args[1:])
    name = protos.chaincode.ChaincodeID(name=chaincode)
    now = _timestamp()
    now.FromMicroseconds(identity.now_us())
    extension = protos.proposal.ChaincodeHeaderExtension(chaincode_id=name).SerializeToString()
    channel_header = protos.common.ChannelHeader(
        type=ENDORSER_TRANSACTION, timestamp=now, channel_id=channel, tx_id=tx_id, extension=extension
    ).SerializeToString()
    signature_header = protos.common.SignatureHeader(creator=identity.creator, nonce=nonce).SerializeToString()
    spec = protos.chaincode.ChaincodeSpec(
        type=protos.chaincode.ChaincodeSpec.GOLANG, chaincode_id=name,
        input=protos.chaincode.ChaincodeInput(args=args),
    )  # fmt: skip
    invocation = protos.chaincode.ChaincodeInvocationSpec(chaincode_spec=spec).SerializeToString()
    payload = protos.proposal.ChaincodeProposalPayload(input=invocation)
    in_transaction = payload.SerializeToString()  # Fabric hashes and orders it without transient data
    payload.TransientMap.update(transient)
    header = protos.common.Header(channel_header=channel_header, signature_header=signature_header)
    message = protos.proposal.Proposal(
        header=header.SerializeToString(), payload=payload.SerializeToString()
    ).SerializeToString()
    return Proposal(tx_id, channel, (channel_header, signature_header, in_transaction), message, identity.sign(message))


def check_prepared(payload: bytes, sent: Proposal, channel: Channel) -> Transaction:
    """The prepared transaction, once it is what was sent and endorsed by whom the channel demands.

    Raises:
        ProofError, FormatError, SignatureError, …: the gateway peer is lying; sign nothing.
    """
    # 1. Its parts belong together, and the endorsers answered the proposal that is in it.
    transaction = read_transaction(payload)
    # 2. That proposal is the one that was sent, byte for byte.
    if transaction.proposal != sent.parts:
        raise ProofError("the prepared transaction holds another proposal than the one that was sent")
    # 3. Peers of enough organisations of the channel signed the answer.
    channel.verify_endorsements(transaction.endorsements)
    return transaction
