"""The object store of one gateway, put together: what REST, MQTT and the commands work with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chain.ledger.interface import Ledger
from chain.site import Folder
from gateway.config import BucketConfig, ObjectsConfig, StorageConfig
from gateway.objects.catalogue import Catalogue
from gateway.objects.delivery import Delivery
from gateway.objects.exchange import Exchange, Heard
from gateway.objects.keeper import Keeper
from gateway.objects.partners import Partners
from gateway.objects.store import FolderStore, Incoming, Store

SOURCE = "sealed-objects"  # the gateway's own; its records say "gateway only"
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


__all__ = ["SOURCE", "Delivery", "Objects", "open_objects"]
