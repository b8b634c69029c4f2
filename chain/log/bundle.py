"""Entry bundles (c2sp.org/tlog-tiles): up to 256 log entries, each behind its big-endian 16-bit length.

`unpack` takes untrusted bytes; it checks their form, not that the entries are those that the tree commits to.
"""

from collections.abc import Sequence

from chain.errors import LogError

MAX_ENTRY_BYTES = 0xFFFF  # what a 16-bit length can say: a longer entry is refused, never cut


def check_entries(entries: Sequence[bytes]) -> None:
    """LogError unless every entry fits a bundle."""
    longest = max(map(len, entries), default=0)
    if longest > MAX_ENTRY_BYTES:
        raise LogError(f"a log entry has at most {MAX_ENTRY_BYTES} bytes, got one of {longest}; split or shorten it")


def pack(entries: Sequence[bytes]) -> bytes:
    """The entries, each with its length before it. They have passed `check_entries`."""
    return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])


def unpack(data: bytes, width: int) -> list[bytes]:
    """Exactly `width` entries out of a bundle's bytes, none left over; LogError otherwise."""
    entries, end = _walk(data, width)
    if end != len(data):
        raise LogError(f"entry bundle: {len(data) - end} bytes after its {width} entries")
    return entries


def first(data: bytes, width: int) -> list[bytes]:
    """A bundle's first `width` entries."""
    return _walk(data, width)[0]


def prefix(data: bytes, width: int) -> bytes:
    """The bytes of a bundle's first `width` entries."""
    return data[: _walk(data, width)[1]]


def _walk(data: bytes, width: int) -> tuple[list[bytes], int]:
    entries, at = [], 0
    for number in range(width):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if at > len(data) or start > len(data):
            raise LogError(f"entry bundle ends inside entry {number} of {width}")
        entries.append(data[start:at])
    return entries, at
