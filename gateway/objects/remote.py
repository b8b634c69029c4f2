"""A gateway's object store as its users reach it: over REST, with a token. What it says is compared where it can be."""

import base64
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from crypto.envelope.files import appearing
from crypto.tls.client import for_httpx
from gateway.objects.errors import ObjectError

TIMEOUT_S = 60.0
PIECE_BYTES = 1 << 20
UNREACHABLE = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)  # the last one: a token that is none


class Remote:
    """Requests to one gateway; ObjectError tells what it answered when it refused."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url.rstrip("/"), {"Authorization": f"Bearer {token}"}
        self._how: dict[str, Any] = {"timeout": TIMEOUT_S, "verify": for_httpx()}

    def ask(self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> Any:
        """One request; the answer's JSON, None where it has none."""
        own = self._token | (headers or {})
        try:
            answer = httpx.request(method, self._url + path, headers=own, **self._how, **more)
        except UNREACHABLE as e:
            raise ObjectError(f"cannot reach {self._url}: {e}") from e
        _require_good(answer)
        try:
            return answer.json() if answer.content else None
        except ValueError as e:
            raise ObjectError(f"{self._url} does not answer as a gateway does: {e}") from e

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
        try:
            address = self._url + object_path(name)
            with (
                httpx.stream("GET", address, headers=self._token, **self._how) as answer,
                appearing(output) as file,
            ):
                if answer.status_code != 200:
                    answer.read()
                    _require_good(answer)
                for piece in answer.iter_bytes(PIECE_BYTES):
                    hashed.update(piece)
                    size += file.write(piece)
                if hashed.hexdigest() != wanted:
                    raise ObjectError(f"what came has the digest {hashed.hexdigest()}, the ledger says {wanted}")
        except UNREACHABLE as e:
            raise ObjectError(f"the object did not come whole, and nothing of it is kept: {e}") from e
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


def _require_good(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = answer.text[:300]
    raise ObjectError(f"the gateway refused ({answer.status_code}): {detail}")
