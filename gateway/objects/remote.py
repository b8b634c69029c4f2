"""A gateway's object store as its users reach it: over REST, with a token. What it says is compared where it can be."""

import base64
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from chain.remote import Remote
from crypto.envelope.files import appearing
from gateway.objects.errors import ObjectError

PIECE_BYTES = 1 << 20


class Objects(Remote):
    """Requests to one gateway's object store; ObjectError tells what it answered when it refused."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, token, ObjectError)

    def put(self, file: Path) -> dict[str, Any]:
        """Upload a sealed object; ObjectError where the gateway has other bytes in the end."""
        hashed = sha256()

        def body() -> Iterator[bytes]:
            with file.open("rb") as opened:
                while piece := opened.read(PIECE_BYTES):
                    hashed.update(piece)
                    yield piece

        try:
            size = file.stat().st_size
            kept = self.ask("POST", "/v1/objects", content=body(), headers={"Content-Length": str(size)})
        except OSError as e:
            raise ObjectError(f"cannot read {file}: {e.strerror}") from e
        if kept["digest"] != hashed.hexdigest():
            raise ObjectError(f"{file} has the digest {hashed.hexdigest()}, the gateway has {kept['digest']}")
        return dict(kept)

    def get(self, name: str, output: Path) -> int:
        """Fetch an object; its bytes appear at `output` when their digest is the ledger's. Returns their number."""
        wanted, hashed, size = self.granted(name)["digest"], sha256(), 0
        with self.stream("GET", object_path(name)) as answer, appearing(output) as file:
            for piece in answer.iter_bytes(PIECE_BYTES):
                hashed.update(piece)
                size += file.write(piece)
            if hashed.hexdigest() != wanted:
                raise ObjectError(f"what came has the digest {hashed.hexdigest()}, the ledger says {wanted}")
        return size

    def granted(self, name: str) -> dict[str, Any]:
        """What the ledger says of an object: its digest, and the first page of its grants."""
        return dict(self.ask("GET", f"{object_path(name)}/grants"))

    def keys(self, handle: str) -> dict[str, Any]:
        """A partner's keys by the ledger, as the gateway tells."""
        return dict(self.ask("GET", f"{partner_path(handle)}/keys"))


def object_path(name: str) -> str:
    return f"/v1/objects/{quote(name, safe='')}"


def partner_path(handle: str) -> str:
    return f"/v1/partners/{quote(handle, safe='/')}"


def text(data: bytes) -> str:
    """Bytes as they stand in JSON."""
    return base64.b64encode(data).decode()
