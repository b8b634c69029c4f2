"""Tells alarms to sources that are connected over MQTT, by `st/1/<source>/alarms`, QoS 0.

A source hears them whose settings say so (`alarms`): a signal lamp, a partner's listener. What nobody has acknowledged
is told again at each subscription, so that an alarm gets through however often the line broke.
"""

import asyncio
import json
from collections.abc import Callable

from gateway.access import Access
from gateway.alarms.alarm import Alarm
from gateway.alarms.store import AlarmStore
from gateway.ingest.mqtt.topics import alarms_topic

MAX_PENDING = 256
Publish = Callable[[str, str, bytes], bool]
Listens = Callable[[str, str], bool]


class MqttTelling:
    """On the event loop's thread."""

    def __init__(self, access: Access, store: AlarmStore, origin: str) -> None:
        self._access, self._store, self._origin = access, store, origin
        self._publish: Publish = lambda source, topic, payload: False
        self._listens: Listens = lambda source, topic: False
        self._listening: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def speak(self, publish: Publish, listens: Listens) -> None:
        """By these of the front door."""
        self._publish, self._listens = publish, listens

    def subscribed(self, source: str) -> None:
        """A source subscribed to something; one run at a time for a source."""
        if source not in self._tasks and self._listens(source, alarms_topic(source)):
            task = self._tasks[source] = asyncio.create_task(self._tell_pending(source))
            task.add_done_callback(lambda _: self._tasks.pop(source, None))

    def raised(self, alarms: list[Alarm]) -> None:
        for source in sorted(self._listening):
            if not self._listens(source, alarms_topic(source)):
                self._listening.discard(source)
                continue
            for alarm in alarms:
                self._tell(source, alarm)

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell_pending(self, source: str) -> None:
        settings = (await asyncio.to_thread(self._access.settings, source)).get(source)
        if settings is None or not settings.alarms:
            return
        self._listening.add(source)
        pending = await asyncio.to_thread(lambda: self._store.page(None, MAX_PENDING, pending=True))
        for alarm in reversed(pending):
            if not self._tell(source, alarm):
                return  # it is gone, or does not read

    def _tell(self, source: str, alarm: Alarm) -> bool:
        said = json.dumps(alarm.shown(self._origin), ensure_ascii=False, separators=(",", ":"))
        return self._publish(source, alarms_topic(source), said.encode())
