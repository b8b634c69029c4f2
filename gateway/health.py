"""How the running gateway is: the counters of its parts, and in words what keeps it from being ready."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from gateway.anchoring import Anchorer
from gateway.descriptors import Shares, Shortage
from gateway.doors import Doors
from gateway.keychange.migration import Migration
from gateway.live import LiveStatus, TlsUse
from gateway.pipeline.committer import Committer
from gateway.pipeline.disk import DiskBound
from gateway.pipeline.sources import SourceBook

if TYPE_CHECKING:
    from chain.ledger.fabric.keeper import ProofKeeper
    from crypto.tls.server import TlsServer


class Health:
    """Looks at the parts when it is asked. What stands outside the gateway tells it of itself."""

    def __init__(
        self, started_us: int, origin: str, anchorer: Anchorer, committer: Committer, doors: Doors, disk: DiskBound,
        book: SourceBook, migration: Migration, keeper: "ProofKeeper | None", shortage: Shortage, shares: Shares,
    ) -> None:  # fmt: skip
        self._started_us, self._origin = started_us, origin
        self._anchorer, self._committer, self._doors, self._disk = anchorer, committer, doors, disk
        self._book, self._migration, self._keeper = book, migration, keeper
        self._shortage, self._shares = shortage, shares
        self.waiting: dict[str, str] = {}  # index -> why it waits; told by whoever follows the log for it
        self.api_tls: TlsServer | None = None  # told by whoever serves HTTP
        self.of_supply: Callable[[], Iterable[str]] = lambda: ()  # told by whoever opens the parts for goods
        self.http_full: Callable[[], bool] = lambda: False  # told by whoever serves HTTP

    def status(self) -> LiveStatus:
        """The state at this moment."""
        anchors, counters, inbox = self._anchorer.state, self._committer.counters, self._committer.inbox
        sessions = self._doors.sessions
        return LiveStatus(
            self._started_us, self._origin, counters.log_size, anchors.checkpoint_size, anchors.anchored_size,
            anchors.anchored_us, counters.received, counters.stored, counters.duplicates, counters.rejected,
            inbox.size, self._doors.presence.names(), self._disk.used_bytes, self._disk.limit_bytes,
            tuple(self._problems()), self._book.doubtful(), self._tls_uses(), self._doors.groups(),
            len(sessions.table), sessions.counters.handshakes, sessions.counters.refused + sessions.counters.limited,
        )  # fmt: skip

    def _tls_uses(self) -> tuple[TlsUse, ...]:
        ends = (("mqtt", self._doors.tls), ("https", self.api_tls), ("broker", self._doors.broker_tls))
        return tuple(TlsUse(place, dict(tls.counters.by_group), tls.counters.failures) for place, tls in ends if tls)

    def _problems(self) -> Iterator[str]:
        yield from (str(p) for p in (self._anchorer.fork, self._committer.problem) if p)
        waiting = {
            "anchoring": self._anchorer.state.problem,
            "proofs from the ledger": self._keeper.problem if self._keeper else "",
            "the change of keys": self._migration.problem,
        } | {f"the {index} waits": problem for index, problem in self.waiting.items()}
        yield from (f"{what}: {problem}" for what, problem in waiting.items() if problem)
        yield from self._doors.problems()
        if self.http_full():
            yield f"HTTP: all {self._shares.http} connections are taken; see who holds so many"
        yield from self.of_supply()
        if self._shortage.problem:
            yield self._shortage.problem
