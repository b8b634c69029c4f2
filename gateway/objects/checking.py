"""Reads every stored ciphertext and compares it with what the catalogue and, through its record, the log say.

Beside a running gateway or without one; changes nothing.
"""

from chain.errors import FsckError, SealedError
from chain.event import Event
from chain.site import Folder, SiteReader
from gateway.config import Config
from gateway.objects.catalogue import Catalogue, StoredObject
from gateway.objects.errors import ObjectError
from gateway.objects.keeper import payload_of, whole
from gateway.objects.parts import CATALOGUE, SOURCE, store_of

PAGE = 1000


def check_objects(folder: Folder, config: Config) -> int:
    """How many objects there are, all of them whole; FsckError names the first that is not."""
    if not (folder.root / CATALOGUE).exists():
        return 0
    catalogue, store, reader = (
        Catalogue(folder.root / CATALOGUE, config.objects.max_bytes),
        store_of(folder, config.bucket),
        None,
    )
    count, after = 0, b""
    try:
        reader = SiteReader.open(folder)
        while page := catalogue.page(after, PAGE):
            for stored in page:
                _require_logged(reader, stored)
                for _ in whole(store.read(stored.digest, 0, stored.size), stored):
                    pass
            count, after = count + len(page), page[-1].object_id
    except ObjectError as e:
        raise FsckError(str(e)) from e
    finally:
        catalogue.close()
        if reader:
            reader.close()
    return count


def _require_logged(reader: SiteReader, stored: StoredObject) -> None:
    """The record that the catalogue points to names exactly this object."""
    if stored.leaf is None:
        return  # an upload that did not end; it is given to nobody
    if reader.erasures.covering(stored.leaf):
        return  # fsck looks whether the log says so
    try:
        segment = reader.payloads.segment_of(stored.leaf)
    except SealedError:
        return  # a one-way gateway: whoever can open the record compares it
    event = segment and Event.decode(segment.events[stored.leaf - segment.first_leaf].event)
    if not event or event.source != SOURCE or event.payload != payload_of(stored):
        raise FsckError(f"record {stored.leaf} does not name the object {stored.object_id.hex()[:16]}…")
