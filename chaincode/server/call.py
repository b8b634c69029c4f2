"""A peer's TRANSACTION message, read: which function, which arguments, who calls, when, under which id.

The peer is believed (it checked the proposal's signature, certificate and id); its client is not, so sizes come
before parsing. Transient data is for the contract alone: it is in no error, log line or representation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from chaincode.contract import FUNCTIONS
from chaincode.server.creator import caller_of
from chaincode.server.errors import ProposalError
from chaincode.server.wire import (
    ChaincodeInput,
    ChaincodeProposalPayload,
    ChannelHeader,
    DecodeError,
    Header,
    Proposal,
    SignatureHeader,
)
from chaincode.signed_call import open_call, unwrap
from chaincode.transaction import Caller

MAX_TRANSACTION_BYTES = 1024 * 1024  # the arguments come twice; the longest anchor has about 40 KB
MAX_ARGUMENTS = 1 + max(function.most for function in FUNCTIONS.values())  # the function's name comes first
MAX_TRANSIENT, MAX_TRANSIENT_BYTES = 16, 256 * 1024  # values; names and values together
_MAX_TIME_S = 2**63 // 1_000_000 - 1


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the contract; `timestamp_us` is the client's claim, in µs since 1970."""

    id: str
    caller: Caller
    timestamp_us: int
    function: str
    args: tuple[bytes, ...]
    transient: Mapping[str, bytes] = field(repr=False)


def read_call(message: Any) -> Call:
    """The call in a TRANSACTION message. ProposalError where there is none, ContractError where it is signed badly."""
    # 1. Bounds.
    if message.ByteSize() > MAX_TRANSACTION_BYTES:
        raise ProposalError(f"a transaction has at most {MAX_TRANSACTION_BYTES} bytes, got {message.ByteSize()}")
    # 2. Form; the proposal is of this very transaction.
    try:
        given = tuple(ChaincodeInput.FromString(message.payload).args)
        proposal = Proposal.FromString(message.proposal.proposal_bytes)
        header = Header.FromString(proposal.header)
        channel = ChannelHeader.FromString(header.channel_header)
        creator = SignatureHeader.FromString(header.signature_header).creator
        transient = dict(ChaincodeProposalPayload.FromString(proposal.payload).TransientMap)
    except DecodeError as e:
        raise ProposalError("the transaction's input or proposal is not what Fabric 2 and 3 send") from e
    if (channel.tx_id, channel.channel_id) != (message.txid, message.channel_id):
        raise ProposalError("the proposal is of another transaction or channel than the message")
    _check_transient(transient)
    # 3. The caller: its organisation from the creator; its key from the creator, or from who signed the call.
    caller, claimed_us = caller_of(creator), time_us(channel.timestamp)
    authorisation, named = unwrap(given)
    if not 1 <= len(named) <= MAX_ARGUMENTS:
        raise ProposalError(f"a call has 1 to {MAX_ARGUMENTS} arguments, the function's name first; got {len(named)}")
    function, args = named[0].decode("utf-8", "replace"), named[1:]
    if authorisation is not None:
        key = open_call(authorisation, message.channel_id, message.txid, function, args)
        caller = Caller(key.kid, caller.organisation)
    return Call(message.txid, caller, claimed_us, function, args, MappingProxyType(transient))


def _check_transient(transient: Mapping[str, bytes]) -> None:
    size = sum(len(name.encode()) + len(value) for name, value in transient.items())
    if len(transient) > MAX_TRANSIENT or size > MAX_TRANSIENT_BYTES:
        raise ProposalError(
            f"transient data has at most {MAX_TRANSIENT} values and {MAX_TRANSIENT_BYTES} bytes, "
            f"got {len(transient)} and {size}"
        )


def time_us(timestamp: Any) -> int:
    """A google.protobuf.Timestamp in whole µs since 1970; ProposalError where it is out of bounds."""
    if not (0 <= timestamp.seconds <= _MAX_TIME_S and 0 <= timestamp.nanos < 1_000_000_000):
        raise ProposalError("the proposal's time must lie after 1970 and below 2^63 µs")
    return int(timestamp.seconds * 1_000_000 + timestamp.nanos // 1000)
