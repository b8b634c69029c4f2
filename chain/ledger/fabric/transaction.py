"""A Fabric endorser transaction taken apart, with everything in it that can be checked from itself.

The bytes are untrusted. `read_transaction` proves that the parts belong together: transaction id, proposal hash and
creator. Whose signatures count is for the channel's configuration (channel.py) to say.
Source: protoutil/txutils.go and protoutil/proputils.go of Fabric.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from chain.ledger.fabric import protos
from chaincode.signed_call import unwrap
from crypto.errors import FormatError, LimitError, ProofError
from crypto.x509_ecdsa import Certificate, read_certificate

ENDORSER_TRANSACTION = 3  # common.HeaderType
MAX_ENDORSEMENTS = 100


@dataclass(frozen=True, slots=True)
class Member:
    """An organisation's id and the certificate of one of its members."""

    msp_id: str
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Endorsement:
    """A peer's signature over the response payload and its own serialised identity."""

    endorser: Member
    signed: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Transaction:
    """What was asked, by whom, and what the endorsers answered. `proposal` is the proposal's own bytes: channel
    header, signature header and chaincode proposal payload. `time_us` is the client's claim, in µs since 1970."""

    channel: str
    tx_id: str
    time_us: int
    creator: Member
    chaincode: str
    args: tuple[bytes, ...]
    status: int
    result: bytes
    endorsements: tuple[Endorsement, ...]
    proposal: tuple[bytes, bytes, bytes]

    @property
    def function(self) -> str:
        """The function's name, of a signed call as of an unsigned one (chaincode.signed_call)."""
        called = unwrap(self.args)[1]
        return called[0].decode("utf-8", "replace") if called else ""

    @property
    def arguments(self) -> tuple[bytes, ...]:
        """What the function was given."""
        return unwrap(self.args)[1][1:]


def read_member(data: bytes) -> Member:
    """FormatError or KeyMaterialError where `data` is not a serialised X.509 identity."""
    identity = protos.parse(protos.identities.SerializedIdentity, data, "an identity")
    return Member(identity.mspid, read_certificate(identity.id_bytes))


def read_transaction(payload: bytes) -> Transaction:
    """Take a serialised common.Payload apart.

    Raises:
        FormatError, LimitError, KeyMaterialError: not an endorser transaction of one action.
        ProofError: its parts do not belong together.
    """
    message = protos.parse(protos.common.Payload, payload, "a transaction payload")
    channel_bytes, signature_bytes = message.header.channel_header, message.header.signature_header
    channel = protos.parse(protos.common.ChannelHeader, channel_bytes, "a channel header")
    signature = protos.parse(protos.common.SignatureHeader, signature_bytes, "a signature header")
    if channel.type != ENDORSER_TRANSACTION:
        raise FormatError(f"expected an endorser transaction (type {ENDORSER_TRANSACTION}), got type {channel.type}")
    # 1. The transaction id commits to the creator.
    if channel.tx_id != transaction_id(signature.nonce, signature.creator):
        raise ProofError(f"the transaction id {channel.tx_id} is not the hash of its nonce and creator")
    # 2. The endorsers answered this proposal.
    action = _action(message.data, signature_bytes)
    proposal = (channel_bytes, signature_bytes, action.chaincode_proposal_payload)
    answer = _answer(action.action.proposal_response_payload, proposal)
    spec = _spec(action.chaincode_proposal_payload)
    if answer.chaincode_id.name != spec.chaincode_id.name:
        raise ProofError(f"{spec.chaincode_id.name!r} was called, but {answer.chaincode_id.name!r} answered")
    return Transaction(
        channel.channel_id, channel.tx_id, channel.timestamp.ToMicroseconds(), read_member(signature.creator),
        spec.chaincode_id.name, tuple(spec.input.args), answer.response.status, answer.response.payload,
        _endorsements(action.action), proposal,
    )  # fmt: skip


def transaction_id(nonce: bytes, creator: bytes) -> str:
    return sha256(nonce + creator).hexdigest()


def _action(data: bytes, signature_header: bytes) -> Any:
    actions = protos.parse(protos.transaction.Transaction, data, "a transaction").actions
    if len(actions) != 1 or actions[0].header != signature_header:
        raise FormatError("expected a transaction of one action under the transaction's own signature header")
    return protos.parse(protos.transaction.ChaincodeActionPayload, actions[0].payload, "an action")


def _answer(data: bytes, proposal: Sequence[bytes]) -> Any:
    payload = protos.parse(protos.response.ProposalResponsePayload, data, "a proposal response")
    if payload.proposal_hash != sha256(b"".join(proposal)).digest():
        raise ProofError("the endorsers answered another proposal: the proposal hash is not that of this transaction")
    return protos.parse(protos.proposal.ChaincodeAction, payload.extension, "a chaincode action")


def _spec(data: bytes) -> Any:
    payload = protos.parse(protos.proposal.ChaincodeProposalPayload, data, "a proposal payload")
    return protos.parse(protos.chaincode.ChaincodeInvocationSpec, payload.input, "an invocation").chaincode_spec


def _endorsements(action: Any) -> tuple[Endorsement, ...]:
    if len(action.endorsements) > MAX_ENDORSEMENTS:
        raise LimitError(f"a transaction has at most {MAX_ENDORSEMENTS} endorsements, got {len(action.endorsements)}")
    payload = action.proposal_response_payload
    return tuple(
        Endorsement(read_member(one.endorser), payload + one.endorser, one.signature) for one in action.endorsements
    )
