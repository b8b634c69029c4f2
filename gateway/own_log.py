"""Records that the gateway makes itself, as a source of its own that has no key: they say "gateway only".

They go through the pipeline that all events go through, so they are on disk and in the log when `append` returns.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from threading import Lock

from chain.errors import StoreError
from chain.event import Span
from chain.site import Folder, SiteReader
from crypto.errors import SealtrailError
from gateway.access import Access, AccessError, SourceSettings
from gateway.ingest.inbound import Channel, Inbound, Sink, Verdict


class OwnSourceError(SealtrailError):
    """A device has the name of one of the gateway's own sources."""


def _answered(answer: "asyncio.Future[list[Verdict]]", verdicts: list[Verdict]) -> None:
    if not answer.done():  # whoever asked may be cancelled; others wait for the news of the same commit
        answer.set_result(verdicts)


class Newest:
    """The newest records of a source, read by one connection for all of them. Safe to call from several threads."""

    def __init__(self, folder: Folder) -> None:
        self._folder, self._lock = folder, Lock()
        self._reader: SiteReader | None = None

    def __call__(self, source: str, count: int) -> list[int]:
        """The last `count` records of this source: nobody else makes any, and one start makes one boot."""
        with self._lock:
            reader = self._reader = self._reader or SiteReader.open(self._folder)
            reader.ranges.forget_cached()  # others write them
            boot = reader.ranges.boots(source)[-1]
            last = reader.ranges.last(source, boot)
            first = last.end - count if last else 0
            inside = reader.ranges.inside(source, Span(boot, first, count))
        leaves = [part.leaf + at - part.first for part in inside for at in range(max(part.first, first), part.end)]
        if len(leaves) != count:
            raise StoreError("the index of ranges does not know what was stored a moment ago; run sealtrail fsck")
        return leaves

    def close(self) -> None:
        with self._lock:  # a thread whose task was cancelled may still be at it
            if self._reader is not None:
                self._reader.close()
                self._reader = None


class OwnLog:
    """Makes records of one kind, as the source `source`."""

    def __init__(
        self, folder: Folder, access: Access, sink: Sink, add_plain: Callable[[str, SourceSettings], Awaitable[str]],
        source: str, kind: str, newest: "Newest",
    ) -> None:  # fmt: skip
        self._access, self._sink, self._add_plain, self._newest = access, sink, add_plain, newest
        self._source, self._kind = source, kind
        self._settings = SourceSettings(kinds=(kind,), allow_plain=True)
        self._one = asyncio.Lock()

    async def append(self, payload: bytes) -> int:
        """The index of the new record, which is durable.

        Raises:
            StoreError: nothing is stored now; the status says why.
            OwnSourceError: another source has the name of the gateway's own.
        """
        return (await self.append_all([payload]))[0]

    async def append_all(self, payloads: Sequence[bytes]) -> list[int]:
        """The indexes of the new records, in order. All are durable, or StoreError tells how many were not."""
        async with self._one:
            await self._enrolled()
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[list[Verdict]] = loop.create_future()
            size = sum(map(len, payloads))
            self._sink.submit(
                Inbound(
                    self._source, True, Channel.PLAIN, self._kind, list(payloads), size, time.time_ns() // 1000,
                    "gateway", partial(_answered, answer),
                )
            )  # fmt: skip
            verdicts = await answer
            missing = [verdict for verdict in verdicts if verdict is not Verdict.STORED]
            if missing:
                said = f"{len(missing)} of {len(payloads)} records of the kind {self._kind} were not stored"
                raise StoreError(f"{said} ({missing[0].name.lower()}); try again")
            return await asyncio.to_thread(self._newest, self._source, len(payloads))

    async def _enrolled(self) -> None:
        known = self._access.settings(self._source).get(self._source)
        if known is None:
            try:
                await self._add_plain(self._source, self._settings)
            except AccessError as e:
                raise OwnSourceError(f"the gateway cannot have its own source {self._source}: {e}") from e
        elif known != self._settings:
            raise OwnSourceError(f"a device is enrolled as {self._source}, the gateway's own name; revoke that one")
