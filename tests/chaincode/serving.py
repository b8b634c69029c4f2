"""A chaincode server with one scripted peer, and the gateway that calls the contract through it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from chaincode import contract
from chaincode.errors import Code
from chaincode.server.link import Limits
from chaincode.server.server import ChaincodeServer
from chaincode.server.wire import Kind
from crypto.keys import PrivateKey
from tests.chaincode.scripted_peer import (
    Creator,
    ScriptedPeer,
    certificate,
    connected,
    response_of,
    transaction,
)  # fmt: skip
from tests.contract_suite.actors import Actor, MemoryLog, log_signers

ORIGIN = "plant.example/gw1"
CREATOR = Creator("Org1MSP", certificate("gateway"))
GATEWAY = Actor("plant/gateway", ORIGIN)
LOG = MemoryLog(ORIGIN, log_signers(ORIGIN))


@asynccontextmanager
async def serving(
    invoke: Any = contract.invoke, limits: Limits | None = None, page_size: int = 100
) -> AsyncIterator[ScriptedPeer]:
    """A server and a peer that is connected to it."""
    server = ChaincodeServer("sealtrail:0123", invoke=invoke, limits=limits)
    port = await server.start("127.0.0.1:0")
    try:
        async with connected(port, page_size=page_size) as peer:
            yield peer
    finally:
        await server.stop(0)


def drive(test: Callable[[ScriptedPeer], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), serving(**options) as peer:
            await test(peer)

    asyncio.run(run())


def call(function: str, *args: bytes, key: PrivateKey | None = None, creator: Creator = CREATOR, **changes: Any) -> Any:
    return transaction(creator, [function.encode(), *args], key, **changes)


def gateway_call(function: str, *args: bytes) -> Any:
    return call(function, *args, key=GATEWAY.key)


async def start(peer: ScriptedPeer) -> None:
    await peer.commit(gateway_call("identities.bootstrap", *GATEWAY.bootstrap()))
    await peer.commit(gateway_call("logs.register", ORIGIN.encode(), *LOG.vkeys()))


def refused(answer: Any, code: Code) -> None:
    response = response_of(answer)
    assert response.status == 400
    assert response.message.startswith(f"{code}: ")
    assert not answer.HasField("chaincode_event")


def failed(answer: Any) -> str:
    assert answer.type == Kind.ERROR
    text: str = answer.payload.decode()
    return text
