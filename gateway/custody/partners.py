"""The partners of the configuration: found by organisation or by a GLN in an event, and asked over REST.

Trust boundary: what a partner's gateway answers is untrusted; it is bounded here and checked by whoever asked. TLS says
whom we talk to, and the token, read anew for each request, says to the partner who we are.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chain.remote import detail_of
from crypto.errors import KeyMaterialError
from crypto.files import read_secret
from gateway.custody.errors import PartnerAwayError, PartnerError, PartnerTokenError
from gateway.custody.settings import PartnerConfig

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 30.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024
_THREADS = ThreadPoolExecutor(32, "partner")  # of their own: who does not answer takes no thread of others
_GLN = re.compile(r"/(?:414|417|410|416)/([0-9]{13})(?:/|$)")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a partner's gateway answered: the HTTP status and at most `most` bytes."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Partner:
    """One company, and a client of its gateway."""

    organisation: str
    parties: frozenset[str]  # its GLNs
    url: str
    token_file: Path
    tls_ca: Path | None = None

    @property
    def token(self) -> str:
        """As the file has it now, so that a new one counts at once.

        Raises:
            PartnerTokenError: the file cannot be read, or others may read it; or there is no token in it.
        """
        try:
            token = read_secret(self.token_file).decode("ascii").strip()
        except (KeyMaterialError, UnicodeDecodeError) as e:
            raise PartnerTokenError(f"the token for {self.organisation}: {e}") from e
        if not token.isprintable() or len(token.split()) != 1:
            raise PartnerTokenError(
                f"the token for {self.organisation}: {self.token_file} has no token of one line; write the one that its"
                " gateway gave us into it (there: sealtrail token new --scope partner)"
            )
        return token

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def request(
        self, method: str, path: str, *, most: int = MAX_ANSWER_BYTES, timeout_s: float = TIMEOUT_S, **more: Any
    ) -> Answer:
        """One request; any status is an answer. `more` is as httpx takes it (params, json, content).

        Raises:
            PartnerAwayError: no whole answer within `timeout_s`.
            PartnerError: over `most` bytes, or our own token cannot be read.
        """
        line = _Line()
        work = partial(self._request, method, path, most, timeout_s, more, line)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.get_running_loop().run_in_executor(_THREADS, work)
        except TimeoutError as e:
            raise PartnerAwayError(f"no answer of {self.organisation} at {self.url} in {timeout_s:g} s") from e
        finally:
            line.cut()

    async def get(self, path: str, **more: Any) -> Answer:
        """The answer, which is a success; PartnerError says what the partner said in place of one."""
        return require_good(await self.request("GET", path, **more), self.organisation)

    async def post(self, path: str, **more: Any) -> Answer:
        """As `get`."""
        return require_good(await self.request("POST", path, **more), self.organisation)

    def _request(
        self, method: str, path: str, most: int, timeout_s: float, more: dict[str, Any], line: "_Line"
    ) -> Answer:
        import httpx  # here, because most gateways start without asking anybody

        headers = self.headers | more.pop("headers", {})
        try:
            with (
                httpx.Client(verify=_verify(self.tls_ca), timeout=timeout_s) as client,
                client.stream(
                    method, self.url + path, headers=headers, extensions={"trace": line.heard}, **more
                ) as answer,
            ):
                return Answer(answer.status_code, _bounded(answer, most, self.organisation), dict(answer.headers))
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as e:
            raise PartnerAwayError(f"cannot reach the gateway of {self.organisation} at {self.url}: {e}") from e


class _Line:
    """The connection of one request. A timeout of the HTTP client is for each byte that comes; cutting ends it all."""

    def __init__(self) -> None:
        self._socket: Any = None
        self._over = False

    def heard(self, name: str, info: dict[str, Any]) -> None:
        """What httpcore tells of its work, in its thread (its extension `trace`)."""
        if name in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = info["return_value"].get_extra_info("socket")
        if self._over:
            self.cut()

    def cut(self) -> None:
        """Whoever reads from it, or is going to, reads its end."""
        self._over = True
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it is closed
                self._socket.shutdown(socket.SHUT_RDWR)


class Partners:
    """All partners of the configuration."""

    def __init__(self, configured: Iterable[PartnerConfig] = ()) -> None:
        made = [
            Partner(one.organisation, frozenset(one.parties), one.url, one.token_file, one.tls_ca) for one in configured
        ]
        self._by_organisation = {partner.organisation: partner for partner in made}
        self._by_gln = {gln: partner for partner in made for gln in partner.parties}

    def __iter__(self) -> Any:
        return iter(self._by_organisation.values())

    def __len__(self) -> int:
        return len(self._by_organisation)

    def of(self, organisation: str) -> Partner:
        """PartnerError where the configuration has none of that name."""
        found = self._by_organisation.get(organisation)
        if found is None:
            raise PartnerError(f"{organisation[:80]} is no partner here; add it as [[partners]]")
        return found

    def get(self, organisation: str) -> Partner | None:
        return self._by_organisation.get(organisation)

    def at(self, uri: str) -> Partner | None:
        """Whose party or place a canonical URI of a GLN names (SGLN, PGLN), or a bare GLN; None where nobody's."""
        return self._by_gln.get(gln_of(uri))


def gln_of(uri: str) -> str:
    """The GLN in a canonical Digital Link URI of a party or place, or the 13 digits themselves; empty without one."""
    if re.fullmatch("[0-9]{13}", uri):
        return uri
    found = _GLN.search(uri)
    return found[1] if found else ""


def require_good(answer: Answer, organisation: str) -> Answer:
    """PartnerError with the partner's own words where it refused."""
    if 200 <= answer.status < 300:
        return answer
    kind = PartnerAwayError if answer.status in (429, 502, 503, 504) else PartnerError
    raise kind(f"the gateway of {organisation} refused ({answer.status}): {detail_of(answer.body)}")


def _bounded(answer: "httpx.Response", most: int, organisation: str) -> bytes:
    body = bytearray()
    for piece in answer.iter_bytes():
        body += piece
        if len(body) > most:
            raise PartnerError(f"the gateway of {organisation} answered more than {most:,} bytes")
    return bytes(body)


@lru_cache(maxsize=64)
def _verify(ca: Path | None) -> Any:
    from crypto.tls.client import TlsClient, for_httpx

    return for_httpx() if ca is None else TlsClient(ca)
