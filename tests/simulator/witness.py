"""A witness on loopback (c2sp.org/tlog-witness): verifies for real, keeps its state in SQLite, cosigns.

It checks and persists in one transaction before it answers, as the specification demands. `misbehave` lets a
test replace what it answers; the checks themselves have no switch.
"""

import asyncio
import base64
import socket
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import uvicorn

from crypto.checkpoint import Checkpoint
from crypto.errors import ProofError, SealtrailError, SignatureError
from crypto.merkle import verify_consistency
from crypto.note import Note, NoteSigner, VerifierKey, open_note, parse_note

Answer = tuple[int, str, bytes]
TEXT = "text/plain; charset=utf-8"


class SimulatedWitness:
    """One witness with one or more keys, which knows some logs' keys."""

    def __init__(self, folder: Path, signers: Sequence[NoteSigner], log_keys: Sequence[VerifierKey]) -> None:
        self.signers, self.log_keys = signers, log_keys
        self.url = ""
        self.requests: list[int] = []  # the status of each add-checkpoint answer
        self.misbehave: Callable[[Answer], Answer] = lambda answer: answer
        self.delay_s = 0.0
        self._db = sqlite3.connect(folder / "witness.db", isolation_level=None, check_same_thread=False)
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS seen (origin TEXT PRIMARY KEY, size INTEGER, root BLOB, note TEXT)"
        )

    def add_checkpoint(self, body: bytes) -> Answer:
        try:
            head, _, text = body.decode().partition("\n\n")
            first, *lines = head.split("\n")
            old = int(first.removeprefix("old "))
            proof, note = [base64.b64decode(line) for line in lines], parse_note(text)
            checkpoint = Checkpoint.parse(note.text)
        except (ValueError, SealtrailError) as e:
            return 400, TEXT, str(e).encode()
        keys = [key for key in self.log_keys if key.name == checkpoint.origin]
        if not keys:
            return 404, TEXT, b"unknown origin\n"
        try:
            open_note(note, keys)
        except SignatureError as e:
            return 403, TEXT, str(e).encode()
        if old > checkpoint.size:
            return 400, TEXT, b"old size above checkpoint size\n"
        return self._check_and_persist(checkpoint, note, old, proof)

    def _check_and_persist(self, checkpoint: Checkpoint, note: Note, old: int, proof: list[bytes]) -> Answer:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            row = self._db.execute("SELECT size, root FROM seen WHERE origin = ?", (checkpoint.origin,)).fetchone()
            size, root = row or (0, sha256(b"").digest())
            if size != old:
                return 409, "text/x.tlog.size", f"{size}\n".encode()
            try:
                verify_consistency(size, checkpoint.size, proof, root, checkpoint.root)
            except ProofError as e:
                return 422, TEXT, str(e).encode()
            lines = [signer.sign(note.text, int(time.time())) for signer in self.signers]
            kept = Note(note.text, (*note.signatures, *lines)).marshal()
            values = (checkpoint.origin, checkpoint.size, checkpoint.root, kept)
            self._db.execute("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", values)
            return 200, TEXT, "".join(line.line() for line in lines).encode()
        finally:
            self._db.execute("COMMIT")

    def checkpoint(self, origin_hash: str) -> Answer:
        for origin, note in self._db.execute("SELECT origin, note FROM seen"):
            if sha256(origin.encode()).hexdigest() == origin_hash:
                return 200, TEXT, note.encode()
        return 404, TEXT, b"never cosigned\n"

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """The ASGI application."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if (scope["method"], scope["path"]) == ("POST", "/add-checkpoint"):
            status, kind, answer = self.misbehave(self.add_checkpoint(body))
            self.requests.append(status)
        else:
            status, kind, answer = self.checkpoint(scope["path"].strip("/").removesuffix("/checkpoint"))
        await asyncio.sleep(self.delay_s)
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def close(self) -> None:
        self._db.close()


class Place:
    """An address whose application can be exchanged while it is served."""

    application: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.application(scope, receive, send)


@contextmanager
def serving(application: Any) -> Iterator[str]:
    """Serve an ASGI application on a free loopback port in a thread; gives its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application, lifespan="off", log_level="error", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
