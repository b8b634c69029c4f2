"""Fabric's message types, under short names, from the official package `hyperledger-fabric-protos`.

They are generated code without types, so they are `Any` here. `parse` is the one way untrusted bytes are read:
Protocol Buffers have many encodings of one message, and only the one that they encode to again is taken.
"""

from importlib import import_module
from typing import Any

from chain.errors import LedgerError
from crypto.errors import FormatError


def load(name: str) -> Any:
    """A module of the extra `fabric`; LedgerError says how to install it."""
    try:
        return import_module(name)
    except ImportError as e:
        raise LedgerError(
            f"{name} is not installed; a Fabric ledger needs the extra: pip install sealtrail[fabric]"
        ) from e


common = load("fabric_protos.common.common_pb2")
configtx = load("fabric_protos.common.configtx_pb2")
configuration = load("fabric_protos.common.configuration_pb2")
policies = load("fabric_protos.common.policies_pb2")
identities = load("fabric_protos.msp.identities_pb2")
msp_config = load("fabric_protos.msp.msp_config_pb2")
chaincode = load("fabric_protos.peer.chaincode_pb2")
proposal = load("fabric_protos.peer.proposal_pb2")
response = load("fabric_protos.peer.proposal_response_pb2")
transaction = load("fabric_protos.peer.transaction_pb2")
orderer = load("fabric_protos.orderer.configuration_pb2")
_message = load("google.protobuf.message")


def parse(kind: Any, data: bytes, what: str) -> Any:
    """The message of this kind in `data`.

    Raises:
        FormatError: no such message, or not in the encoding that Fabric writes.
    """
    message = read(kind, data, what)
    if message.SerializeToString() != data:
        raise FormatError(f"{what} is not in the encoding that it is written in; was it altered?")
    return message


def read(kind: Any, data: bytes, what: str) -> Any:
    """Like `parse`, but for messages with maps, which have no fixed order; use where a hash or signature covers the
    bytes as they stand."""
    try:
        return kind.FromString(data)
    except _message.DecodeError as e:
        raise FormatError(f"expected {what} as a {kind.DESCRIPTOR.full_name} message: {e}") from e
