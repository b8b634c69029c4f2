"""A running gateway as the commands ask it: over REST, with a token. One way to fail, in one line, whatever went wrong.

Trust boundary: whoever answers at the URL. TLS says who that is; what comes is bounded, must be JSON where JSON was
asked for, and the words of a refusal are shown without what could draw on a terminal. httpx is loaded when somebody
asks, because verifying does not.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from crypto.errors import SealtrailError

if TYPE_CHECKING:
    import httpx

TIMEOUT_S: Final = 60.0
MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
MAX_PROBLEM_BYTES: Final = 64 * 1024
MAX_DETAIL: Final = 500


class Remote:
    """Requests to one gateway. What fails is told as the `error` of whoever asks: it says what was wanted."""

    def __init__(self, url: str, token: str, error: type[SealtrailError], timeout_s: float = TIMEOUT_S) -> None:
        self.url, self.error, self._timeout_s = url.rstrip("/"), error, timeout_s
        self._headers = bearer(token, error)

    def ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """One request; the members of the answer's JSON, none where it has no content. Further arguments as httpx
        takes them: params, json, content, headers. Asking the result for what it does not have is an error too."""
        content = self.fetch(method, path, **more)
        try:
            found = json.loads(content or b"{}")
        except (ValueError, RecursionError):
            found = None
        if type(found) is not dict:
            raise self.error(f"{self.url} answers what no gateway says; is this its address?")
        return _Said(found, self)

    def fetch(self, method: str, path: str, **more: Any) -> bytes:
        """As `ask`; the answer as it came, at most MAX_ANSWER_BYTES."""
        body = bytearray()
        with self.stream(method, path, **more) as answer:
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > MAX_ANSWER_BYTES:
                    raise self.error(f"{self.url} answers more than {MAX_ANSWER_BYTES:,} bytes; is this its address?")
        return bytes(body)

    @contextmanager
    def stream(self, method: str, path: str, **more: Any) -> "Iterator[httpx.Response]":
        """A good answer whose body is still to be read, all of it within the block."""
        import httpx

        headers, begun = self._headers | more.pop("headers", {}), False
        try:
            with httpx.stream(
                method, self.url + path, headers=headers, timeout=self._timeout_s, verify=self._authorities, **more
            ) as answer:
                if not answer.is_success:
                    raise self.error(refusal(answer))
                begun = True
                yield answer
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as e:
            what = "the answer did not come whole, and nothing of it is kept" if begun else f"cannot reach {self.url}"
            raise self.error(printable(f"{what}: {e or type(e).__name__}")) from e

    @cached_property
    def _authorities(self) -> Any:
        from crypto.tls.client import for_httpx

        return for_httpx()  # once, because reading them takes a tenth of a second


class _Said(dict[str, Any]):
    """An answer. What should be in it and is not there, no gateway left out."""

    def __init__(self, found: dict[str, Any], remote: Remote) -> None:
        super().__init__(found)
        self._remote = remote

    def __missing__(self, name: str) -> Any:
        raise self._remote.error(f"{self._remote.url} answers what no gateway says, without {name!r}; is it one?")


def bearer(token: str, error: type[SealtrailError]) -> dict[str, str]:
    """The header of a token, none for the empty one. What cannot be a token is not repeated: it may be half of one."""
    wrong = next((place for place, c in enumerate(token) if not "!" <= c <= "~"), None)
    if wrong is not None:
        raise error(f"the token cannot be one: character {wrong + 1} of {len(token)} is none of printable ASCII")
    return {"Authorization": f"Bearer {token}"} if token else {}


def refusal(answer: "httpx.Response") -> str:
    """What a gateway said in place of a success. Reads of it no more than the words."""
    body = bytearray()
    for piece in answer.iter_bytes():
        body += piece
        if len(body) > MAX_PROBLEM_BYTES:
            break
    return f"the gateway refused ({answer.status_code}): {detail_of(bytes(body))}"


def detail_of(body: bytes) -> str:
    """The reason in a refusal, for people: of problem details (RFC 9457) `detail`, else the beginning of what came. One
    line, printable, at most MAX_DETAIL characters."""
    try:
        said = json.loads(body)["detail"] if len(body) <= MAX_PROBLEM_BYTES else None
    except (ValueError, LookupError, TypeError, RecursionError):
        said = None
    text = said if isinstance(said, str) else body[: 4 * MAX_DETAIL].decode(errors="replace")
    return printable(text)[:MAX_DETAIL] or "no reason was given"


def printable(text: str) -> str:
    """On one line, and nothing that a terminal would take for a command."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
