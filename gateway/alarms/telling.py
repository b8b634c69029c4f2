"""Tells the configured targets of alarms, by the outbox: each alarm at least once, in order, none from before a target.

How far a target was told is kept; what was put into the outbox and not noted before a crash is put there again under
the same id.
"""

import asyncio
import json
import logging
from collections.abc import Sequence

from crypto.errors import SealtrailError
from crypto.files import read_secret
from gateway.alarms.alarm import Alarm, rfc3339
from gateway.alarms.settings import AlarmTarget
from gateway.alarms.store import AlarmStore
from gateway.delivery.outbox import Outbox
from gateway.delivery.signing import secret_from
from gateway.delivery.target import Bounds, Target

log = logging.getLogger(__name__)
PREFIX = "alarms/"  # of the targets' names in the outbox
_AT_ONCE = 100
_RETRY_S = 2.0


class Telling:
    """Runs on the event loop."""

    def __init__(
        self, targets: Sequence[AlarmTarget], store: AlarmStore, outbox: Outbox, bounds: Bounds, origin: str, url: str
    ) -> None:
        """`url`: where people find the gateway's interface, for links."""
        self._targets, self._store, self._outbox = targets, store, outbox
        self._bounds, self._origin, self._url = bounds, origin, url
        self._more = asyncio.Event()
        self.problem = ""

    async def start(self) -> None:
        """Note new targets, and forget those that are configured no more with what waits for them."""
        for name in await asyncio.to_thread(self._store.keep_targets, [target.name for target in self._targets]):
            await self._outbox.remove(PREFIX + name)
        for target in self._targets:
            await asyncio.to_thread(self._store.next_for, target.name)

    def wake(self) -> None:
        """There are new alarms."""
        self._more.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._more.clear()
            try:
                for target in self._targets:
                    await self._tell(target)
                self.problem = ""
            except Exception as e:  # outermost boundary of this task: it must outlive any fault, and say so
                if self.problem != str(e):
                    log.warning("alarms wait: %s", e, exc_info=not isinstance(e, SealtrailError))
                self.problem = str(e) or repr(e)
                await asyncio.sleep(_RETRY_S)
                continue
            await self._more.wait()

    async def _tell(self, target: AlarmTarget) -> None:
        first = await asyncio.to_thread(self._store.next_for, target.name)
        while alarms := await asyncio.to_thread(self._store.after, first - 1, _AT_ONCE):
            for alarm in alarms:
                if target.wants(alarm.what):
                    receiver, body, headers = await asyncio.to_thread(self._made, target, alarm)
                    await self._outbox.add(receiver, body, headers, message=alarm.message)
            first = alarms[-1].id + 1
            await asyncio.to_thread(self._store.told, target.name, alarms[-1].id)

    def _made(self, target: AlarmTarget, alarm: Alarm) -> tuple[Target, bytes, dict[str, str]]:
        name, ca = PREFIX + target.name, str(target.tls_ca or "")
        if target.smtp:
            receiver = Target(name, target.smtp, configured=True, tls_ca=ca, bounds=self._bounds)
            from gateway.alarms.mail import message  # mail and TLS are loaded where alarms go by mail alone

            return receiver, message(alarm, target, self._origin, self._url), {}
        secret = secret_from(read_secret(target.secret_file).decode()) if target.secret_file else b""
        receiver = Target(name, target.webhook, secret, configured=True, tls_ca=ca, bounds=self._bounds)
        return receiver, webhook_body(alarm, self._origin), {"content-type": "application/json"}


def webhook_body(alarm: Alarm, origin: str) -> bytes:
    """As Standard Webhooks has payloads: type, timestamp and data."""
    said = {"type": f"sealtrail.alarm.{alarm.what}", "timestamp": rfc3339(alarm.at_us), "data": alarm.shown(origin)}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
