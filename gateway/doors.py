"""The gateway's doors as one: the front door, the side door where one is configured, and the sessions behind both.

Events go from here into the pipeline; what is for a source goes out by the door and in the session where it was heard.
What comes in is untrusted, and the doors and the sessions check it; nothing more is checked here.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from chain.errors import StoreError
from chain.site import Folder
from crypto.keys import PrivateKey
from gateway.access import Access
from gateway.closing import Closing
from gateway.config import Config
from gateway.descriptors import Shares
from gateway.door_options import broker_options, tls_server
from gateway.ingest.inbound import Sink
from gateway.ingest.mqtt.limits import FrontDoorLimits
from gateway.ingest.mqtt.listener import FrontDoor
from gateway.pipeline.sources import SourceBook
from gateway.presence import Presence, SourceLogin
from gateway.sessions.start import open_sessions

if TYPE_CHECKING:
    from crypto.tls.client import TlsClient
    from gateway.ingest.side.door import SideDoor

TIDY_S = 10.0  # how often the keys of sessions that are over are forgotten


class Doors:
    """Made before whoever speaks to sources, and opened when all of that is ready. On the event loop's thread."""

    def __init__(
        self, config: Config, folder: Folder, access: Access, sink: Sink, book: SourceBook, shares: Shares, *,
        checkpoint: Callable[[], bytes], log_size: Callable[[], int], on_subscribed: Callable[[str], None],
        on_not_accepted: Callable[[OSError], None],
    ) -> None:  # fmt: skip
        """`checkpoint` gives the newest signed one, which sessions carry to devices."""
        self._settings, self._side_settings = config.front_door, config.side_door
        self.presence = Presence()
        self.sessions, self.session_key = open_sessions(
            folder, config.sessions, sink, book, self._post, checkpoint, log_size
        )
        self.tls = tls_server(self._settings, "front_door")
        self.front = FrontDoor(
            self._settings.host, self._settings.port, self.sessions, SourceLogin(access, book), self.presence,
            limits=FrontDoorLimits(
                connections=shares.sources, waiting=shares.waiting, receive_maximum=self._settings.receive_maximum
            ),
            tls=self.tls, on_not_accepted=on_not_accepted, on_subscribed=on_subscribed,
        )  # fmt: skip
        self.side: SideDoor | None = None

    async def open(self, closing: Closing) -> None:
        """Listen, and connect to the broker."""
        closing.task(self._tidy_sessions())
        try:
            await self.front.start()
        except OSError as e:
            where = f"{self._settings.host}:{self._settings.port}"
            raise StoreError(f"cannot listen for MQTT on {where}: {e.strerror}") from e
        closing.push_async_callback(self.front.stop)
        if self._side_settings:
            from gateway.ingest.side.door import SideDoor

            self.side = SideDoor(self.sessions, broker_options(self._side_settings))
            await self.side.start()
            closing.push_async_callback(self.side.stop)

    async def _tidy_sessions(self) -> None:
        while True:
            await asyncio.sleep(TIDY_S)
            self.sessions.tidy()

    # -- to sources

    def _post(self, source: str, door: str, topic: str, payload: bytes) -> bool:
        """To the door by which the source was heard."""
        if door == "side":
            return self.side is not None and self.side.publish(topic, payload)
        return self.front.publish(source, topic, payload)

    async def publish_receipt(self, source: str, payload: bytes, session: bool) -> bool:
        """A receipt, in the source's session or by whichever door has it. False: nobody is there to take it."""
        if session:
            return self.sessions.answer(source, payload)
        if await self.front.publish_receipt(source, payload):
            return True
        return await self.side.publish_receipt(source, payload) if self.side else False

    def announce(self, key: PrivateKey) -> None:
        """The gateway signs with this key now: its session key is announced under it."""
        self.sessions.announce(self.session_key.announce(key))

    def rekeyed(self, source: str) -> None:
        """The source has another key: what was agreed under the old one is over."""
        self.sessions.drop(source)

    def put_out(self, source: str) -> None:
        """The source is not let in any more, and not kept."""
        self.sessions.drop(source)
        self.front.put_out(source)

    # -- what is told of them

    @property
    def offered_session_key(self) -> bytes:
        """Not where a group of gateways shares a broker: a session lives in one of them."""
        side = self._side_settings
        return b"" if side and side.shared_group else self.session_key.key.raw

    def groups(self) -> dict[str, tuple[str, ...]]:
        """The key agreement groups of each source's connections; empty without TLS."""
        return self.front.groups() if self.tls else {}

    @property
    def broker_tls(self) -> "TlsClient | None":
        return self.side.tls if self.side else None

    def problems(self) -> list[str]:
        found = [f"front door: {self.front.problem}"] if self.front.problem else []
        if self.side and not self.side.subscribed:
            found.append("side door: not connected to the broker; it is tried again and again")
        return found
