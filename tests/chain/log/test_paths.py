"""Tile paths: the specification's example, one spelling only, and what is served under them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import LogError
from chain.log.paths import Resource, format_number, parse_path, serve
from crypto.errors import FormatError, LimitError, SealtrailError
from tests.chain.log.logs import open_log


def test_the_example_of_the_specification() -> None:
    assert format_number(1234067) == "x001/x234/067"
    assert parse_path("tile/0/x001/x234/067") == Resource(0, 1234067)
    assert parse_path("tile/entries/x001/x234/067.p/8") == Resource(None, 1234067, 8)


@given(st.none() | st.integers(0, 63), st.integers(0, 2**55), st.integers(1, 256))
def test_every_resource_reads_back_from_its_path(level: int | None, n: int, width: int) -> None:
    resource = Resource(level, n, width)
    assert parse_path(resource.path()) == resource


@pytest.mark.parametrize(
    "path",
    [
        "", "tile", "tile/", "tile/0", "tile/0/", "tile/0/1", "tile/0/01", "tile/0/0001", "tile/00/000", "tile/64/000",
        "tile/-1/000", "tile/0/x000/001", "tile/0/001/002", "tile/0/x001", "tile/0/000.p", "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/256", "tile/0/000.p/257", "tile/0/000.p/01", "tile/0/000.p/1/", "/tile/0/000", "tile/0/000\n",
        "tile/0/٠٠٠", "tile/entries/000.p/1.p/1", "tile/0/../000", "tile/Entries/000", "checkpoint",
    ],
)  # fmt: skip
def test_other_spellings_are_refused(path: str) -> None:
    with pytest.raises(FormatError):
        parse_path(path)


def test_a_long_path_is_refused_before_it_is_read() -> None:
    with pytest.raises(LimitError):
        parse_path("tile/0/" + "x001/" * 1000 + "001")


@given(st.text(alphabet="tile/ntrs0123456789x.p", max_size=30))
def test_any_text_is_a_canonical_path_or_refused(path: str) -> None:
    try:
        assert parse_path(path).path() == path
    except SealtrailError:
        return


def test_serving(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log.db")
    log.grow(300)
    tile = serve(log.reader, "tile/0/001.p/44")
    assert (tile.body, tile.content_type, tile.immutable) == (
        log.reader.tile(0, 1, 44), "application/octet-stream", True,
    )  # fmt: skip
    assert serve(log.reader, "tile/entries/000").body == log.reader.bundle(0)
    assert serve(log.reader, "tile/entries/001.p/2").body == b"\x00\x09entry 256\x00\x09entry 257"
    for missing in ("tile/0/001", "tile/0/002.p/1", "tile/1/000.p/2", "tile/2/000.p/1", "tile/entries/001.p/45"):
        with pytest.raises(LogError):
            serve(log.reader, missing)
    log.db.close()
