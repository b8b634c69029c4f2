"""Which sources are connected, and how each left: a will or a timeout is a silent death that must show.

Bounded by the number of enrolled sources. Event loop's thread only.
"""

import time
from dataclasses import dataclass

from gateway.access import Access
from gateway.ingest.inbound import Login
from gateway.pipeline.sources import SourceBook


@dataclass(frozen=True, slots=True)
class Absence:
    """When and why a source left; `will` is what it had asked to be said in that case."""

    at_us: int
    reason: str
    will: bytes | None


class Presence:
    """Implements gateway.ingest.inbound.Liveness."""

    def __init__(self) -> None:
        self._connections: dict[str, int] = {}
        self.absent: dict[str, Absence] = {}

    def connected(self, source: str, door: str) -> None:
        self._connections[source] = self._connections.get(source, 0) + 1
        self.absent.pop(source, None)

    def disconnected(self, source: str, reason: str, will: bytes | None) -> None:
        left = self._connections.pop(source, 1) - 1
        if left > 0:
            self._connections[source] = left
        else:
            self.absent[source] = Absence(time.time_ns() // 1000, reason, will)

    def names(self) -> tuple[str, ...]:
        """Connected sources, sorted."""
        return tuple(sorted(self._connections))


class SourceLogin:
    """Implements gateway.ingest.inbound.Authenticator: a source logs in under its own name with the password it
    got at enrolment, or with a client certificate whose common name is its own."""

    def __init__(self, access: Access, book: SourceBook) -> None:
        self._access, self._book = access, book

    def authenticate(self, login: Login) -> str | None:
        if login.certificate_name is not None:
            return login.certificate_name if self._known(login.certificate_name) else None
        known = login.password is not None and self._known(login.username)
        matches = known and self._access.password_matches(login.username, login.password or b"")
        return login.username if matches else None

    def _known(self, name: str) -> bool:
        """Whether this source is enrolled and not revoked; one without a key may have been let in since the start."""
        if self._book.get(name) is None:
            settings = self._access.settings(name).get(name)
            if settings is not None and settings.allow_plain:
                self._book.put(name, (), settings)
        source = self._book.get(name)
        return source is not None and not source.revoked
