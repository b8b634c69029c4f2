"""The object store of one gateway, put together: what REST, MQTT and the commands work with."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chain.errors import StoreError
from chain.ledger.interface import Ledger
from chain.site import Folder, SiteReader
from gateway.access import Access, AccessError, SourceSettings
from gateway.config import BucketConfig, ObjectsConfig, StorageConfig
from gateway.ingest.inbound import Channel, Inbound, Sink, Verdict
from gateway.objects.catalogue import Catalogue
from gateway.objects.delivery import Delivery
from gateway.objects.errors import ObjectError
from gateway.objects.exchange import Exchange, Heard
from gateway.objects.keeper import Keeper
from gateway.objects.partners import Partners
from gateway.objects.store import FolderStore, Incoming, Store

SOURCE = "sealed-objects"  # the gateway's own; its records say "gateway only"
SETTINGS = SourceSettings(kinds=("object",), allow_plain=True)
CATALOGUE, FILES = "objects.db", "objects"
MIN_RESERVE_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of this site, what the ledger says of them, and the partners. `log_size` counts durable entries."""

    keeper: Keeper
    exchange: Exchange
    partners: Partners
    log_size: Callable[[], int]


def open_objects(
    folder: Folder, objects: ObjectsConfig, storage: StorageConfig, ledger: Ledger, *,
    log: Callable[[bytes], Awaitable[int]], anchor: Callable[[], Awaitable[None]], heard: Heard,
    log_size: Callable[[], int], bucket: BucketConfig | None = None,
) -> Objects:  # fmt: skip
    """`log` makes a record of a payload of the kind `object`, `anchor` anchors what is logged now, `heard` is told of
    each grant."""
    root = folder.root / FILES
    incoming = Incoming(root / "incoming", objects.max_object_bytes, max(storage.reserve_bytes, MIN_RESERVE_BYTES))
    catalogue = Catalogue(folder.root / CATALOGUE, objects.max_bytes)
    keeper = Keeper(store_of(folder, bucket), catalogue, incoming, log)
    partners = Partners(ledger, folder.origin)
    return Objects(
        keeper, Exchange(ledger, folder.origin, catalogue, partners, anchor=anchor, heard=heard), partners, log_size
    )


def store_of(folder: Folder, bucket: BucketConfig | None) -> Store:
    """Where the configuration keeps ciphertexts."""
    if bucket is None:
        return FolderStore(folder.root / FILES)
    from gateway.objects.s3 import S3Store

    return S3Store(bucket)


class ObjectLog:
    """Makes the records of the kind `object`, by the pipeline that all events go through."""

    def __init__(
        self, folder: Folder, access: Access, sink: Sink, add_plain: Callable[[str, SourceSettings], Awaitable[str]]
    ) -> None:
        self._folder, self._access, self._sink, self._add_plain = folder, access, sink, add_plain

    async def append(self, payload: bytes) -> int:
        """The index of the new record, which is durable. Call it once at a time.

        Raises:
            StoreError: nothing is stored now; the status says why.
            ObjectError: another source has the name of the gateway's own.
        """
        await self._enrolled()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Verdict]] = loop.create_future()
        now_us = time.time_ns() // 1000
        self._sink.submit(
            Inbound(
                SOURCE, True, Channel.PLAIN, "object", [payload], len(payload), now_us, "gateway", answer.set_result
            )
        )
        (verdict,) = await answer
        if verdict is not Verdict.STORED:
            raise StoreError(f"the record of the object was not stored ({verdict.name.lower()}); try again")
        return await asyncio.to_thread(newest_leaf, self._folder)

    async def _enrolled(self) -> None:
        known = self._access.settings(SOURCE).get(SOURCE)
        if known is None:
            try:
                await self._add_plain(SOURCE, SETTINGS)
            except AccessError as e:
                raise ObjectError(f"the gateway cannot have its own source {SOURCE}: {e}") from e
        elif known != SETTINGS:
            raise ObjectError(f"a device is enrolled as {SOURCE}, which is the gateway's own name; revoke that one")


def newest_leaf(folder: Folder) -> int:
    """The newest record of the gateway's own source."""
    reader = SiteReader.open(folder)
    try:
        last = reader.ranges.last(SOURCE, reader.ranges.boots(SOURCE)[-1])
    finally:
        reader.close()
    if last is None:
        raise StoreError("the index of ranges does not know what was stored a moment ago; run sealtrail fsck")
    return last.leaf + last.count - 1


__all__ = ["Delivery", "ObjectLog", "Objects", "open_objects"]
