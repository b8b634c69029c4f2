"""Tells the configured targets of alarms, by the outbox: each alarm at least once, in order, none from before a target.

How far a target was told is kept; what was put into the outbox and not noted before a crash is put there again under
the same id. A target that cannot be told, because its secret cannot be read, say, holds up no other.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from contextlib import suppress

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
        self.problems: dict[str, str] = {}  # of targets, by name: why they cannot be told
        self._fit: set[str] = set()  # targets that something could be sent to

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
            for target in self._targets:
                await self._try(target)
            with suppress(TimeoutError):
                async with asyncio.timeout(_RETRY_S if self.problems else None):
                    await self._more.wait()

    async def _try(self, target: AlarmTarget) -> None:
        try:
            await self._tell(target)
            self.problems.pop(target.name, None)
        except Exception as e:  # outermost boundary for a target: its fault must end neither this task nor the others
            if self.problems.get(target.name) != (str(e) or repr(e)):
                log.warning("alarms for %s wait: %s", target.name, e, exc_info=not isinstance(e, SealtrailError))
            self.problems[target.name] = str(e) or repr(e)

    async def _tell(self, target: AlarmTarget) -> None:
        # 1. Something can be sent there: a mistake is said at the start, not when something happens.
        if target.name not in self._fit:
            await asyncio.to_thread(lambda: self._outbox.require(self._receiver(target)))
            self._fit.add(target.name)
        # 2. What it was not told yet.
        first = await asyncio.to_thread(self._store.next_for, target.name)
        while alarms := await asyncio.to_thread(self._store.after, first - 1, _AT_ONCE):
            for alarm in alarms:
                if target.wants(alarm.what):
                    receiver = await asyncio.to_thread(self._receiver, target)
                    body, headers = self._made(target, alarm)
                    await self._outbox.add(receiver, body, headers, message=alarm.message)
            first = alarms[-1].id + 1
            await asyncio.to_thread(self._store.told, target.name, alarms[-1].id)

    def _receiver(self, target: AlarmTarget) -> Target:
        """With its secret, as it is in its file now. Blocks for moments."""
        secret = secret_from(read_secret(target.secret_file).decode()) if target.secret_file else b""
        return Target(
            PREFIX + target.name, target.smtp or target.webhook, secret, configured=True,
            tls_ca=str(target.tls_ca or ""), bounds=self._bounds,
        )  # fmt: skip

    def _made(self, target: AlarmTarget, alarm: Alarm) -> tuple[bytes, dict[str, str]]:
        if not target.smtp:
            return webhook_body(alarm, self._origin), {"content-type": "application/json"}
        from gateway.alarms.mail import message  # mail is loaded where alarms go by mail alone

        return message(alarm, target, self._origin, self._url), {}


def webhook_body(alarm: Alarm, origin: str) -> bytes:
    """As Standard Webhooks has payloads: type, timestamp and data."""
    said = {"type": f"sealtrail.alarm.{alarm.what}", "timestamp": rfc3339(alarm.at_us), "data": alarm.shown(origin)}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
