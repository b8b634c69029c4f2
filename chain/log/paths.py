"""URL paths of tiles and entry bundles (c2sp.org/tlog-tiles), strict both ways, and serving them.

A path comes from the network. It is bounded and matched before anything is read, and has one accepted spelling.
The checkpoint is not served here: it is mutable and lives in chain.log.checkpoints.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from chain.log.reader import LogReader
from chain.log.tiles import MAX_LEVEL, TILE_WIDTH
from crypto.errors import FormatError, LimitError

MAX_PATH_CHARS = 64
CONTENT_TYPE = "application/octet-stream"
_PATH = re.compile(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([0-9]{1,3}))?")


@dataclass(frozen=True, slots=True)
class Resource:
    """What a path names: tile `n` of `level`, or entry bundle `n` where level is None; 256 wide unless partial."""

    level: int | None
    n: int
    width: int = TILE_WIDTH

    def path(self) -> str:
        """`tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`."""
        kind = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{kind}/{format_number(self.n)}{partial}"


class Served(NamedTuple):
    """A response body, its media type, and whether caches may keep it for ever."""

    body: bytes
    content_type: str
    immutable: bool


def format_number(n: int) -> str:
    """1234067 → `x001/x234/067`."""
    groups = [f"{n % 1000:03}"]
    while n := n // 1000:
        groups.append(f"x{n % 1000:03}")
    return "/".join(reversed(groups))


def parse_path(path: str) -> Resource:
    """Read a path without its leading slash.

    Raises:
        LimitError: longer than 64 characters.
        FormatError: not the one spelling of a tile or bundle.
    """
    if len(path) > MAX_PATH_CHARS:
        raise LimitError(f"a tile path has at most {MAX_PATH_CHARS} characters, got {len(path)}")
    match = _PATH.fullmatch(path)
    if not match:
        raise FormatError(f"expected tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>], got {path!r}")
    kind, number, partial = match.groups()
    width = int(partial) if partial else TILE_WIDTH
    found = Resource(None if kind == "entries" else int(kind), int(number.replace("x", "").replace("/", "")), width)
    # A second spelling (leading zeros, .p/256) would be a second name for cached, immutable bytes.
    if found.path() != path or (found.level or 0) > MAX_LEVEL or not 1 <= width <= TILE_WIDTH:
        raise FormatError(f"tile path {path!r} is not in its canonical form or out of range")
    return found


def serve(reader: LogReader, path: str) -> Served:
    """The bytes at a path below the log's prefix. LogError where the log has no such tile (yet)."""
    wanted = parse_path(path)
    if wanted.level is None:
        return Served(reader.bundle(wanted.n, wanted.width), CONTENT_TYPE, True)
    return Served(reader.tile(wanted.level, wanted.n, wanted.width), CONTENT_TYPE, True)
