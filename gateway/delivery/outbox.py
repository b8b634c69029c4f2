"""The outbox: what is told to others stays on disk until they took it, however long they are away.

`add` returns when a delivery is durable. Each target has a queue of its own, in the order of adding, one delivery at a
time. After a restart all that waits is tried at once. A delivery can arrive twice (an answer was lost, the gateway was
killed): its id is then the same. Runs on the event loop; disk and network are in threads of its own.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gateway.delivery import changes
from gateway.delivery.carriers import Carrier, Line
from gateway.delivery.disk import Disk
from gateway.delivery.errors import AddressError, OutboxFullError
from gateway.delivery.serving import DAYS, Alert, Lanes, Means, Patience, Serving
from gateway.delivery.store import Added, PutOut, Queue
from gateway.delivery.target import MAX_BODY_BYTES, Target, require_headers

_END_S = 2.0  # what is being sent at the end has so long


@dataclass(frozen=True, slots=True)
class QueueState:
    """One target as the status shows it. `failing_since_us` is 0 while it takes what comes."""

    name: str
    url: str
    waiting: int
    nbytes: int
    oldest_us: int
    delivered: int
    put_out: int
    failing_since_us: int
    problem: str


class Outbox:
    """`alert(target's name, text)` is awaited when deliveries are lost. Use `async with`."""

    def __init__(
        self, path: Path, carriers: Mapping[str, Carrier], *, patience: Patience = DAYS,
        most_bytes: int = 2**30, alert: Alert | None = None,
    ) -> None:  # fmt: skip
        """`carriers` by the scheme of a target's URL; `most_bytes` bounds what waits for all targets together."""
        self._carriers, self._most_bytes = carriers, most_bytes
        self._disk, self._lanes = Disk(path), Lanes()
        self._means = Means(self._disk, self._lanes, patience, self._open, alert)
        self._servings: dict[str, Serving] = {}

    async def __aenter__(self) -> "Outbox":
        for queue in await self._disk.read(self._disk.store.queues):
            since = queue.oldest_us if queue.tries else 0
            serving = self._servings[queue.target.name] = Serving(queue.target, queue.id, self._means, since)
            if queue.waiting:
                serving.wake()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(serving.end(_END_S) for serving in self._servings.values()))
        await self._lanes.close()
        await self._disk.close()

    def require(self, target: Target) -> None:
        """DeliveryError where nothing could ever be sent to this target: a scheme that nothing carries, an address that
        the rule forbids. Looks no name up."""
        self._open(target).close()

    async def add(
        self, target: Target, body: bytes, headers: Mapping[str, str] | None = None, *, message: str = ""
    ) -> int:
        """Put a delivery behind those that wait for the target; its number, once it is durable.

        `headers` are of this delivery alone. `message` is its id for the receiver, random if empty; one that waits
        already under this id is not added twice.

        Raises:
            OutboxFullError: a bound is reached and this target refuses rather than puts out; or too large for ever.
            DeliveryError: see `require`; or headers that are none.
            StoreError: the disk does not take it.
        """
        if len(body) > MAX_BODY_BYTES:
            raise OutboxFullError(f"a delivery has at most {MAX_BODY_BYTES:,} bytes, got {len(body):,}")
        require_headers(headers or {})
        message = message or changes.new_message()
        require_headers({"webhook-id": message})
        known = self._servings.get(target.name)
        if known is None or known.target != target:
            self.require(target)
        added: Added = await self._disk.write(changes.adding(target, message, headers or {}, body, self._most_bytes))
        serving = self._servings.get(target.name)
        if serving is None:
            serving = self._servings[target.name] = Serving(target, added.target, self._means)
        await serving.change(target)
        for name, count in added.dropped.items():
            if name in self._servings:
                said = f"{count} deliveries that waited longest had to go: a bound is reached"
                await self._servings[name].note_lost(said)
        serving.wake()
        return added.id

    async def remove(self, name: str) -> int:
        """Forget a target and what waits for it; how many deliveries that were."""
        if serving := self._servings.pop(name, None):
            await serving.end(0.0)
        return int(await self._disk.write(changes.removing(name)))

    def retry(self, name: str) -> None:
        """Try now what would be tried after its pause."""
        if serving := self._servings.get(name):
            serving.retry()

    async def states(self) -> list[QueueState]:
        """All targets by name."""
        return [self._state(queue) for queue in await self._disk.read(self._disk.store.queues)]

    async def lost(self, limit: int = 100) -> list[PutOut]:
        """Deliveries that were put out, newest first."""
        return await self._disk.read(lambda: self._disk.store.put_out(limit))

    def problems(self) -> Iterator[str]:
        """What needs a person, in words: targets that lost deliveries and are still away."""
        for name, serving in self._servings.items():
            if serving.lost and serving.failing_since_us:
                yield f"deliveries to {name} are lost: {serving.problem}"

    def _open(self, target: Target) -> Line:
        carrier = self._carriers.get(urlsplit(target.url).scheme)
        if carrier is None:
            known = " or ".join(sorted(self._carriers))
            raise AddressError(f"nothing is sent to {target.url!r:.100}: expected {known}")
        return carrier(target)

    def _state(self, queue: Queue) -> QueueState:
        serving = self._servings.get(queue.target.name)
        since, problem = (serving.failing_since_us, serving.problem) if serving else (0, "")
        return QueueState(
            queue.target.name, queue.target.url, queue.waiting, queue.nbytes, queue.oldest_us, queue.delivered,
            queue.put_out, since, problem,
        )  # fmt: skip
