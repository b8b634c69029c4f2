"""gRPC over TLS to several nodes: the first that answers is used until it fails, then the next one.

Messages are bounded, every call has a deadline. What nodes say of an error is untrusted text, cut to a bound.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from chain.ledger.fabric import protos
from chain.ledger.fabric.errors import FabricError, PeerMessage
from chain.ledger.fabric.profile import Node, read_file

grpc = protos.load("grpc")
_gateway = protos.load("fabric_protos.gateway.gateway_pb2")
_any = protos.load("google.protobuf.any_pb2")
_descriptor = protos.load("google.protobuf.descriptor_pb2")
_pool = protos.load("google.protobuf.descriptor_pool")
_factory = protos.load("google.protobuf.message_factory")
_message = protos.load("google.protobuf.message")
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
# A stream of events may be silent for days; pings show that the peer's machine is still there. Peers cut off clients
# that ping more often than every 60 s. Of gRPC's two timeouts the longer one counts.
PINGS = (
    ("grpc.keepalive_time_ms", 70_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
)
# A node that comes back is found in seconds; gRPC's own pauses between attempts grow to two minutes.
_RETURN = (
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 3_000),  # also how long one attempt may take
    ("grpc.max_reconnect_backoff_ms", 2_000),
)
MAX_DETAILS, MAX_TEXT = 20, 2000
_SILENT = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")  # a node's own deadline, which came before ours, cancels
Call = Callable[[Any], Awaitable[Any]]


class Connection:
    """Channels to the nodes of one kind, made when first used."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = tuple(nodes)
        self._channels: dict[Node, Any] = {}
        self._current = 0

    def channel(self, node: Node) -> Any:
        """The gRPC channel to one node; LedgerError where its TLS root cannot be read."""
        if node not in self._channels:
            roots = read_file(Path(node.tls_ca), "TLS root")
            options = [
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                *PINGS,
                *_RETURN,
            ]
            if node.server_name:
                options.append(("grpc.ssl_target_name_override", node.server_name))  # type: ignore[arg-type]
            credentials = grpc.ssl_channel_credentials(root_certificates=roots)
            self._channels[node] = grpc.aio.secure_channel(node.address, credentials, options=options)
        return self._channels[node]

    @property
    def current(self) -> Any:
        return self.channel(self.nodes[self._current])

    def leave(self, channel: Any) -> None:
        """Go on with the node after the one of this channel; many calls may leave a node, which moves on once."""
        if channel is self.current:
            self._current = (self._current + 1) % len(self.nodes)

    async def call(self, call: Call) -> Any:
        """`call(channel)` on the node in use, then on the others in turn while nodes are not there or silent. For
        calls that may be repeated. Raises the last grpc.aio.AioRpcError."""
        for left in reversed(range(len(self.nodes))):
            channel = self.current
            try:
                return await call(channel)
            except grpc.aio.AioRpcError as e:
                if not is_silent(e):
                    raise
                self.leave(channel)
                if not left:
                    raise
        raise AssertionError("a connection has at least one node")

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()


def is_silent(error: Any) -> bool:
    """Whether a node is not there or does not answer, so that another one may."""
    return error.code().name in _SILENT


def _status_kind() -> Any:
    """google.rpc.Status without its package: of it only the details (field 3), each an encoded protobuf Any."""
    file = _descriptor.FileDescriptorProto(name="sealtrail/status.proto", package="sealtrail", syntax="proto3")
    kind = _descriptor.FieldDescriptorProto
    file.message_type.add(name="Status").field.add(
        name="details", number=3, type=kind.TYPE_BYTES, label=kind.LABEL_REPEATED
    )
    pool = _pool.DescriptorPool()
    pool.Add(file)
    return _factory.GetMessageClass(pool.FindMessageTypeByName("sealtrail.Status"))


_Status = _status_kind()


def peer_messages(error: Any) -> tuple[PeerMessage, ...]:
    """What nodes said, from the trailing metadata `grpc-status-details-bin` (google.rpc.Status)."""
    found: list[PeerMessage] = []
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        try:
            details = map(_any.Any.FromString, _Status.FromString(value).details[:MAX_DETAILS])
            found += [_peer_message(one) for one in details if one.Is(_gateway.ErrorDetail.DESCRIPTOR)]
        except _message.DecodeError:
            continue  # the error stands without its details
    return tuple(found)


def _peer_message(detail: Any) -> PeerMessage:
    one = _gateway.ErrorDetail.FromString(detail.value)
    return PeerMessage(one.address[:MAX_TEXT], one.msp_id[:MAX_TEXT], one.message[:MAX_TEXT])


def typed(kind: type[FabricError], error: Any, tx_id: str) -> FabricError:
    """A gRPC error as the error of its stage."""
    status, said = error.code().name, (error.details() or "")[:MAX_TEXT]
    return kind(f"{status}: {said}", tx_id, peer_messages(error), status)
