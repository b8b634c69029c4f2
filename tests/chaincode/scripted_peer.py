"""A peer's end of the shim protocol: a real gRPC client with a state in a dict, which simulates as a peer does.

Reads see the state; writes and events are kept per transaction and applied only by `commit`.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fabric_protos.peer import chaincode_shim_pb2_grpc

from chaincode.server.wire import (
    ChaincodeInput,
    ChaincodeProposalPayload,
    ChannelHeader,
    Header,
    KeyModification,
    KeyValue,
    Kind,
    Message,
    Proposal,
    Response,
    SerializedIdentity,
    SignatureHeader,
    shim,
)  # fmt: skip
from chaincode.signed_call import sign_call
from crypto.keys import PrivateKey

CHANNEL = "sealtrail"
TIME_S = 1_700_000_000
SECONDS = 20


def certificate(name: str) -> bytes:
    """A self-signed P-256 certificate, PEM: the server reads certificates and leaves judging them to the peer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True)
class Creator:
    """A member of an organisation, who signs proposals (whose signature only a real peer would look at)."""

    organisation: str
    pem: bytes

    @property
    def serialized(self) -> bytes:
        data: bytes = SerializedIdentity(mspid=self.organisation, id_bytes=self.pem).SerializeToString()
        return data


def transaction(creator: Creator, args: list[bytes], key: PrivateKey | None = None, **changes: Any) -> Any:
    """A TRANSACTION message as a peer sends it; with a `key` the call is signed. args: the function's name first."""
    nonce = os.urandom(24)
    txid = sha256(nonce + creator.serialized).hexdigest()
    if key is not None:
        args = list(sign_call(key, CHANNEL, txid, args[0].decode(), args[1:]))
    header = ChannelHeader(type=3, channel_id=CHANNEL, tx_id=txid)
    header.timestamp.seconds, header.timestamp.nanos = TIME_S, 123_456_789
    signature = SignatureHeader(creator=creator.serialized, nonce=nonce)
    both = Header(channel_header=header.SerializeToString(), signature_header=signature.SerializeToString())
    payload = ChaincodeProposalPayload(TransientMap=changes.pop("transient", {})).SerializeToString()
    message = Message(
        type=Kind.TRANSACTION, txid=txid, channel_id=CHANNEL, payload=ChaincodeInput(args=args).SerializeToString()
    )
    message.proposal.proposal_bytes = Proposal(header=both.SerializeToString(), payload=payload).SerializeToString()
    message.MergeFrom(Message(**changes))
    return message


@dataclass
class Simulation:
    """One transaction at the peer: what it asked, what it wrote, and its answer."""

    answer: asyncio.Future[Any]
    asked: list[int] = field(default_factory=list)
    writes: dict[str, bytes] = field(default_factory=dict)
    open: dict[str, list[Any]] = field(default_factory=dict)


def result(answer: Any) -> bytes:
    """The payload of a COMPLETED transaction with status 200."""
    response = response_of(answer)
    assert response.status == 200, response.message
    payload: bytes = response.payload
    return payload


def response_of(answer: Any) -> Any:
    assert answer.type == Kind.COMPLETED, answer
    return Response.FromString(answer.payload)


class ScriptedPeer:
    """`refused` names keys whose reading the peer refuses; `silent` ones it never answers."""

    def __init__(self, stream: Any, page_size: int = 100) -> None:
        self.state: dict[str, bytes] = {}
        self.history: dict[str, list[Any]] = {}
        self.refused: set[str] = set()
        self.silent: set[str] = set()
        self.registered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.asked = asyncio.Event()
        self.strays: list[Any] = []
        self.simulations: dict[str, Simulation] = {}
        self.page_size = page_size
        self._stream, self._sending = stream, asyncio.Lock()

    async def send(self, message: Any) -> None:
        async with self._sending:
            await self._stream.write(message)

    async def begin(self, message: Any) -> Simulation:
        simulation = Simulation(asyncio.get_running_loop().create_future())
        self.simulations[message.txid] = simulation
        await self.send(message)
        return simulation

    async def call(self, message: Any) -> Any:
        """Send a transaction and wait for its answer; nothing is committed."""
        simulation = await self.begin(message)
        return await asyncio.wait_for(simulation.answer, SECONDS)

    async def commit(self, message: Any) -> bytes:
        """Call, demand success, and apply the writes."""
        done = result(await self.call(message))
        for key, value in self.simulations[message.txid].writes.items():
            self.state[key] = value
            change = KeyModification(tx_id=message.txid, value=value)
            change.timestamp.seconds = TIME_S
            self.history.setdefault(key, []).insert(0, change)
        return done

    async def run(self) -> None:
        """Answer until the stream ends."""
        async for message in self._stream:
            if message.type == Kind.REGISTER:
                self.registered.set_result(message.payload)
                await self.send(Message(type=Kind.REGISTERED))
                await self.send(Message(type=Kind.READY))
            elif message.txid not in self.simulations:
                self.strays.append(message)
            elif message.type in (Kind.COMPLETED, Kind.ERROR):
                self.simulations[message.txid].answer.set_result(message)
            else:
                await self._answer(message)

    async def _answer(self, message: Any) -> None:
        simulation = self.simulations[message.txid]
        simulation.asked.append(message.type)
        self.asked.set()
        key = shim.GetState.FromString(message.payload).key if message.type == Kind.GET_STATE else ""
        if key in self.silent:
            return
        kind, payload = (Kind.ERROR, b"no ledger context") if key in self.refused else self._simulate(message)
        await self.send(Message(type=kind, payload=payload, txid=message.txid, channel_id=message.channel_id))

    def _simulate(self, message: Any) -> tuple[int, bytes]:
        simulation, data = self.simulations[message.txid], message.payload
        if message.type == Kind.GET_STATE:
            return Kind.RESPONSE, self.state.get(shim.GetState.FromString(data).key, b"")
        if message.type == Kind.PUT_STATE:
            put = shim.PutState.FromString(data)
            simulation.writes[put.key] = put.value
            return Kind.RESPONSE, b""
        if message.type == Kind.GET_STATE_BY_RANGE:
            bounds, name = shim.GetStateByRange.FromString(data), str(len(simulation.asked))
            found = [key for key in sorted(self.state, key=str.encode) if bounds.startKey <= key < bounds.endKey]
            simulation.open[name] = [KeyValue(key=key, value=self.state[key]) for key in found]
            return Kind.RESPONSE, self._page(simulation, name)
        if message.type == Kind.GET_HISTORY_FOR_KEY:
            name, key = str(len(simulation.asked)), shim.GetHistoryForKey.FromString(data).key
            simulation.open[name] = list(self.history.get(key, []))
            return Kind.RESPONSE, self._page(simulation, name)
        if message.type == Kind.QUERY_STATE_NEXT:
            return Kind.RESPONSE, self._page(simulation, shim.QueryStateNext.FromString(data).id)
        if message.type == Kind.QUERY_STATE_CLOSE:
            name = shim.QueryStateClose.FromString(data).id
            del simulation.open[name]
            return Kind.RESPONSE, shim.QueryResponse(has_more=False, id=name).SerializeToString()
        return Kind.ERROR, b"unknown question"

    def _page(self, simulation: Simulation, name: str) -> bytes:
        """As Fabric: the iterator is gone with the last page."""
        left = simulation.open[name]
        page, simulation.open[name] = left[: self.page_size], left[self.page_size :]
        if not (more := bool(simulation.open[name])):
            del simulation.open[name]
        response = shim.QueryResponse(has_more=more, id=name)
        for one in page:
            response.results.add().resultBytes = one.SerializeToString()
        data: bytes = response.SerializeToString()
        return data


@asynccontextmanager
async def connected(
    port: int, *, page_size: int = 100, credentials: Any = None, options: Any = ()
) -> AsyncIterator[ScriptedPeer]:
    """A peer whose stream is registered."""
    sizes = [("grpc.max_receive_message_length", 100 << 20), ("grpc.max_send_message_length", 100 << 20), *options]
    address = f"127.0.0.1:{port}"
    channel = (
        grpc.aio.secure_channel(address, credentials, sizes) if credentials
        else grpc.aio.insecure_channel(address, sizes)
    )  # fmt: skip
    async with channel:
        peer = ScriptedPeer(chaincode_shim_pb2_grpc.ChaincodeStub(channel).Connect(), page_size)
        running = asyncio.create_task(peer.run())
        waiting = asyncio.ensure_future(peer.registered)
        await asyncio.wait([running, waiting], timeout=SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        try:
            yield peer
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                await running
