"""The list of a site's erasures, to be kept beside its backups: a copy that is put back erases again what it names.

The list is proved before it is believed: each item is the receipt of the log's own record of an erasure, under the
site's own keys. Formats: docs/formats/record.md.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from chain.erasure import Erasure, decode_erasure
from chain.errors import ErasureError
from chain.ledger.reading import open_reader
from chain.policies import site_policy
from chain.receipt import MAX_BYTES, parse_receipt
from chain.receipts import ReceiptBuilder
from chain.site import Folder, SiteReader
from chain.verify import State, Verifier
from crypto.files import write_durably

FORMAT = "sealtrail-erasures/v1"
MAX_ERASURES = 100_000
MAX_LIST_BYTES = 1024 * 1024 * 1024


class ErasedList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Receipts of all records that log an erasure of stored payloads."""

    format: str
    origin: Annotated[str, Meta(max_length=200)]
    erasures: Annotated[tuple[Annotated[bytes, Meta(max_length=MAX_BYTES)], ...], Meta(max_length=MAX_ERASURES)]


def write_list(folder: Folder, output: Path) -> int:
    """Write the list of a site's erasures; how many. ReceiptError while one of them is not anchored."""
    with closing(SiteReader.open(folder)) as reader, closing(open_reader(folder)) as ledger:
        builder = ReceiptBuilder(reader, ledger)
        receipts = tuple(builder.build(stored.leaf).to_json() for stored in reader.erasures.all())
    found = ErasedList(FORMAT, folder.origin, receipts)
    write_durably(output, msgspec.json.encode(found) + b"\n")
    return len(receipts)


def read_list(folder: Folder, data: bytes) -> list[tuple[int, Erasure]]:
    """Entries of the log with their statements, each proved; ErasureError where one is not."""
    if len(data) > MAX_LIST_BYTES:
        raise ErasureError(f"a list of erasures has at most {MAX_LIST_BYTES} bytes")
    try:
        found = msgspec.json.decode(data, type=ErasedList)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise ErasureError(f"not a list of erasures: {e}") from e
    if (found.format, found.origin) != (FORMAT, folder.origin):
        raise ErasureError(f"expected {FORMAT} of {folder.origin}, got {found.format[:40]!r} of {found.origin!r}")
    verifier = Verifier(site_policy(folder))
    return [_proved(verifier, receipt) for receipt in found.erasures]


def _proved(verifier: Verifier, data: bytes) -> tuple[int, Erasure]:
    receipt = parse_receipt(data)
    steps = {step.name: step for step in verifier.verify(receipt).steps}
    for name in ("checkpoint", "record", "event", "anchor"):
        if steps[name].state is not State.HOLDS:
            raise ErasureError(f"the erasure at entry {receipt.index} is not proved: {name}: {steps[name].text}")
    if receipt.erasure is None or receipt.erasure.index != receipt.index:
        raise ErasureError(f"the receipt of entry {receipt.index} is not one of an erasure")
    return receipt.index, decode_erasure(receipt.erasure.statement)


def adopt_list(folder: Folder, data: bytes) -> list[bytes]:
    """Keep a list in a folder that was put back, so that `fsck` knows what is missing there. Returns the tags of the
    subjects that were erased after this copy was made."""
    later = later_than(folder, data)
    write_durably(folder.erasures, data)
    return list(dict.fromkeys(erasure.tag for _, erasure in later))


def later_than(folder: Folder, data: bytes) -> list[tuple[int, Erasure]]:
    """Of a list, what the log of this folder does not reach to."""
    with closing(SiteReader.open(folder)) as reader:
        size = reader.entries.size()
    return [(index, erasure) for index, erasure in read_list(folder, data) if index >= size]


def adopted(folder: Folder) -> Iterator[tuple[int, Erasure]]:
    """What the list kept in this folder says beyond its own log."""
    if folder.erasures.exists():
        yield from later_than(folder, folder.erasures.read_bytes())
