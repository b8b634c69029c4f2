"""The file of a shipment's conditions: what the ledger says of it, and the records of its loggers, for offline checks.

A line of JSON with the ledger's evidence, then disclosures as they are. Reading it here checks its form and limits and
believes nothing; chain.conditions.opened does the proving. Formats: docs/formats/conditions.md.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from chain.conditions.errors import ConditionsError
from chain.disclosure import Disclosure, parse_disclosure
from chain.errors import ReceiptError
from chain.receipt import Hash, LedgerPart, Part

FORMAT = "sealtrail-conditions/v1"
MARK = b'{"format":"' + FORMAT.encode() + b'"'
MAX_HEADER_BYTES = 64 * 1024 * 1024
MAX_BYTES = 1024 * 1024 * 1024
MAX_DISCLOSURES = 256
MAX_REPORTS = 100_000
Length = Annotated[int, Meta(ge=1, le=MAX_BYTES)]


class Header(Part, frozen=True):
    """`policy` is the shipment's policy as its id is the hash of; `opening` the call that opened it, `reports` those
    that reported, by number; `progress` the last call that changed it. `disclosures`: how long each of them is."""

    format: str
    shipment: Hash
    policy: Annotated[bytes, Meta(max_length=2048)]
    opening: LedgerPart
    progress: LedgerPart
    reports: Annotated[tuple[LedgerPart, ...], Meta(max_length=MAX_REPORTS)]
    disclosures: Annotated[tuple[Length, ...], Meta(max_length=MAX_DISCLOSURES)]


class Bundle(msgspec.Struct, frozen=True):
    """What was read."""

    header: Header
    disclosures: tuple[Disclosure, ...]


_HEADER = msgspec.json.Decoder(Header)


def encode_bundle(header: Header, disclosures: tuple[bytes, ...]) -> bytes:
    """The file; the header's lengths are those of the disclosures."""
    named = msgspec.structs.replace(header, disclosures=tuple(map(len, disclosures)))
    return b"".join((msgspec.json.encode(named), b"\n", *disclosures))


def parse_bundle(data: bytes) -> Bundle:
    """Read the file; ConditionsError says what is wrong with its form."""
    if len(data) > MAX_BYTES:
        raise ConditionsError(f"a file of conditions has at most {MAX_BYTES} bytes, this one has {len(data)}")
    end = data.find(b"\n", 0, MAX_HEADER_BYTES)
    if end < 0 or not data.startswith(MARK):
        raise ConditionsError(f"a file of conditions begins with a line of JSON that begins {MARK.decode()}")
    try:
        header = _HEADER.decode(data[:end])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise ConditionsError(f"not a file of conditions: {e}") from e
    if header.format != FORMAT:
        raise ConditionsError(f"format {header.format[:40]!r} is not known; this program reads {FORMAT}")
    if sum(header.disclosures) != len(data) - end - 1:
        raise ConditionsError("the file is cut, or longer than its header says")
    found, place = [], end + 1
    for number, length in enumerate(header.disclosures, 1):
        try:
            found.append(parse_disclosure(data[place : place + length]))
        except ReceiptError as e:
            raise ConditionsError(f"disclosure {number}: {e}") from e
        place += length
    return Bundle(header, tuple(found))
