"""A site whose log gets EPCIS events the way that REST capture takes."""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from chain.site import SiteReader
from gateway.events.follower import EventIndex
from gateway.events.view import EventsView
from gateway.own_log import OwnLog
from tests.support.site import Site


class Trade(Site):
    """A gateway with an event index that is followed when the test says so."""

    log: OwnLog | None = None

    def capture(self, *payloads: bytes) -> list[int]:
        self.log = self.log or self.gateway._own_log("capture", "epcis")
        return self.run(self.log.append_all(payloads))

    def follow(self, limit: int = 4096) -> int:
        """Bring the index up to date; how many leaves it took."""
        with closing(EventIndex(self.folder)) as index, closing(SiteReader.open(self.folder)) as reader:
            taken = 0
            while step := index.follow(reader, limit):
                taken += step
        return taken

    def rows(self, query: str, *values: Any) -> list[Any]:
        with closing(EventsView.open(self.folder)) as view:
            return view.events.connection.execute(query, values).fetchall()

    def captured(self, *payloads: bytes) -> list[int]:
        """Captured and indexed."""
        leaves = self.capture(*payloads)
        self.follow()
        return leaves


def everything(trade: Trade, tables: Sequence[str]) -> dict[str, list[Any]]:
    return {table: sorted(trade.rows(f"SELECT * FROM {table}"), key=repr) for table in tables}
