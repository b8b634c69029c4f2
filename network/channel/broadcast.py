"""Hands an envelope to the ordering service (fabric_protos.orderer.AtomicBroadcast): the first orderer that takes it.

Orderers are known by the TLS authorities that the channel's configuration gives. That one says it took an envelope
proves nothing; the caller waits for the block. What an orderer answers is untrusted text, cut to a bound.
"""

from collections.abc import Sequence
from typing import Any

from network.channel import messages
from network.channel.configuration import OrdererAddress
from network.channel.messages import load, shown
from network.errors import NetworkError, UpdateError

TIMEOUT_S = 15.0


def broadcast(envelope: Any, orderers: Sequence[OrdererAddress]) -> str:
    """Returns the address of the orderer that took it.

    Raises:
        UpdateError: an orderer judged it and refused; says why in the orderer's words.
        NetworkError: no orderer could be reached.
    """
    common, answers = messages.common, []
    for orderer in orderers:
        status, told = _send(envelope, orderer)
        if status == common.SUCCESS:
            return orderer.address
        if status is not None and status != common.SERVICE_UNAVAILABLE:
            raise UpdateError(f"the orderer {orderer.address} refused it ({common.Status.Name(status)}): {told}")
        answers.append(f"  {orderer.address}: {told}")
    raise NetworkError("no orderer of the channel took it:\n" + "\n".join(answers))


def _send(envelope: Any, orderer: OrdererAddress) -> tuple[int | None, str]:
    """Status and words of one orderer; no status where it did not answer."""
    grpc, stubs = load("grpc"), load("fabric_protos.orderer.ab_pb2_grpc")
    credentials = grpc.ssl_channel_credentials(root_certificates=b"\n".join(orderer.tls_roots))
    with grpc.secure_channel(orderer.address, credentials) as channel:
        try:
            answer = next(stubs.AtomicBroadcastStub(channel).Broadcast(iter([envelope]), timeout=TIMEOUT_S))
        except grpc.RpcError as e:
            return None, f"{e.code().name}: {shown(e.details() or '')}"
        except StopIteration:
            return None, "ended without an answer"
        return int(answer.status), shown(answer.info)
