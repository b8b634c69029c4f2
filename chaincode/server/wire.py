"""The messages of the shim protocol (fabric-protos: peer/chaincode_shim.proto and what it carries), in one place.

Only names; nothing is parsed here. The generated modules carry no types, so to the type checker all is Any.
"""

from typing import Any, Final

from fabric_protos.common import common_pb2
from fabric_protos.ledger.queryresult import kv_query_result_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    chaincode_pb2,
    chaincode_shim_pb2,
    chaincode_shim_pb2_grpc,
    proposal_pb2,
    proposal_response_pb2,
)
from google.protobuf.message import DecodeError as _DecodeError

_common: Any = common_pb2
_msp: Any = identities_pb2
_results: Any = kv_query_result_pb2
_event: Any = chaincode_event_pb2
_chaincode: Any = chaincode_pb2
_proposal: Any = proposal_pb2
_response: Any = proposal_response_pb2
_grpc: Any = chaincode_shim_pb2_grpc
shim: Final[Any] = chaincode_shim_pb2

DecodeError: type[Exception] = _DecodeError
Message = shim.ChaincodeMessage
Kind: Final[Any] = shim.ChaincodeMessage.Type
Header, ChannelHeader, SignatureHeader = _common.Header, _common.ChannelHeader, _common.SignatureHeader
SerializedIdentity: Final[Any] = _msp.SerializedIdentity
KeyValue: Final[Any] = _results.KV
KeyModification: Final[Any] = _results.KeyModification
ChaincodeEvent: Final[Any] = _event.ChaincodeEvent
ChaincodeID, ChaincodeInput = _chaincode.ChaincodeID, _chaincode.ChaincodeInput
Proposal, ChaincodeProposalPayload = _proposal.Proposal, _proposal.ChaincodeProposalPayload
Response: Final[Any] = _response.Response
Servicer: Final[Any] = _grpc.ChaincodeServicer
add_servicer: Final[Any] = _grpc.add_ChaincodeServicer_to_server
