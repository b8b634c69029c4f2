"""The chaincode of these tests: a plain server of Fabric's chaincode protocol with five functions.

put(key, value) writes and emits an event; get(key) reads; count(key) reads and writes, so two at once conflict;
refuse() answers like the project's contract; break() fails.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
from fabric_protos.peer import chaincode_event_pb2, chaincode_pb2, chaincode_shim_pb2, proposal_response_pb2
from fabric_protos.peer import chaincode_shim_pb2_grpc as rpc

Message = chaincode_shim_pb2.ChaincodeMessage


class Small(rpc.ChaincodeServicer):  # type: ignore[misc]
    def __init__(self, package: str) -> None:
        self.package = package

    async def Connect(self, messages: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        """One stream with the peer; transactions run side by side, one queue feeds the stream."""
        out: asyncio.Queue[Any] = asyncio.Queue(1000)
        running: dict[tuple[str, str], asyncio.Queue[Any]] = {}
        name = chaincode_pb2.ChaincodeID(name=self.package).SerializeToString()
        await out.put(Message(type=Message.REGISTER, payload=name))
        reader = asyncio.create_task(self._read(messages, out, running))
        try:
            while True:
                yield await out.get()
        finally:
            reader.cancel()

    async def _read(self, messages: AsyncIterator[Any], out: Any, running: Any) -> None:
        tasks = set()
        async for message in messages:
            key = (message.channel_id, message.txid)
            if message.type == Message.TRANSACTION:
                running[key] = asyncio.Queue(1)
                task = asyncio.create_task(self._transaction(message, out, running[key]))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            elif message.type == Message.KEEPALIVE:
                await out.put(message)
            elif key in running:
                await running[key].put(message)

    async def _transaction(self, start: Any, out: Any, answers: Any) -> None:
        async def ask(kind: int, payload: Any) -> bytes:
            request = Message(type=kind, txid=start.txid, channel_id=start.channel_id)
            request.payload = payload.SerializeToString()
            await out.put(request)
            answer = await answers.get()
            assert answer.type == Message.RESPONSE, answer
            return bytes(answer.payload)

        args = chaincode_pb2.ChaincodeInput.FromString(start.payload).args
        done = Message(type=Message.COMPLETED, txid=start.txid, channel_id=start.channel_id)
        response = proposal_response_pb2.Response(status=200)
        function, key = args[0].decode(), args[1].decode() if len(args) > 1 else ""
        if function == "refuse":
            response = proposal_response_pb2.Response(status=400, message="not-enrolled: this key is not enrolled")
        elif function == "break":
            response = proposal_response_pb2.Response(status=500, message="broken")
        else:
            value = b""
            if function in ("get", "count"):
                value = await ask(Message.GET_STATE, chaincode_shim_pb2.GetState(key=key))
            if function == "count":
                value = str(int(value or b"0") + 1).encode()
            if function == "put":
                value = args[2]
                event = chaincode_event_pb2.ChaincodeEvent(
                    chaincode_id="small", tx_id=start.txid, event_name="put", payload=value
                )
                done.chaincode_event.CopyFrom(event)
            if function in ("put", "count"):
                await ask(Message.PUT_STATE, chaincode_shim_pb2.PutState(key=key, value=value))
            response.payload = value
        done.payload = response.SerializeToString()
        await out.put(done)


async def main(port: str, package: str) -> None:
    options = [("grpc.http2.min_ping_interval_without_data_ms", 1000), ("grpc.keepalive_permit_without_calls", 1)]
    server = grpc.aio.server(options=options)
    rpc.add_ChaincodeServicer_to_server(Small(package), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
