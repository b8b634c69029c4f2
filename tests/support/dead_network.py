"""A TCP forwarder that can fall silent: connections stay open and nothing passes, as when a machine loses its power."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Forwarder:
    """Forwards to 127.0.0.1:`port`. `freeze` silences the connections that there are; later ones work."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self._to = port
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()

    def freeze(self) -> None:
        self._flowing.clear()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        for task in (self._pass(reader, far_writer), self._pass(far_reader, writer)):
            self._tasks.add(asyncio.create_task(task))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        flowing = self._flowing
        try:
            while data := await reader.read(65536):
                await flowing.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def forwarding(port: int) -> AsyncIterator[Forwarder]:
    """A forwarder on a free port of 127.0.0.1."""
    made = Forwarder(port)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()
