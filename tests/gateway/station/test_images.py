"""Images that are none, or too much: each becomes a rejection with its reason, and costs no memory."""

import struct
import zlib
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gateway.station.errors import ImageRefusedError
from gateway.station.image import MAX_FILE_BYTES, check_size, decode
from gateway.station.inspection import Inspector
from tests.gateway.station.drawing import NOW_US, PACK, code_only, drawn

READER = Inspector(text=None)
IMAGE = drawn()


def png(width: int, height: int, data: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def tiny() -> bytes:
    out = BytesIO()
    Image.new("L", (8, 8)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "1 to"),
        (b"no image", "none of them"),
        (IMAGE[: len(IMAGE) // 2], "whole image"),
        (png(60_000, 60_000, bytes(10_000_000)), "pixels"),  # 10 kB that claim 3.6 GB
        (png(12_000, 12_000, bytes(1_000)), "pixels"),
        (png(16_000, 2_000, bytes(1_000)), "whole image"),
        (b"GIF89a" + bytes(50), "none of them"),
        (tiny(), "sides of 32"),
    ],
    ids=["empty", "no image", "cut off", "bomb", "smaller bomb", "claims more than it has", "other format", "tiny"],
)
def test_what_cannot_be_decoded_is_rejected_with_its_reason(data: bytes, said: str) -> None:
    seen = READER.inspect(data, NOW_US)
    assert [reason.name for reason in seen.verdict.reasons] == ["image"]
    assert said in seen.verdict.reasons[0].text
    assert seen.verdict.decision == "reject"


def test_a_file_too_large_is_refused_by_its_size() -> None:
    with pytest.raises(ImageRefusedError, match="bytes"):
        check_size(MAX_FILE_BYTES + 1)
    assert READER.inspect(bytes(MAX_FILE_BYTES + 1), NOW_US).verdict.decision == "reject"


@settings(max_examples=40)
@given(st.integers(0, len(IMAGE) - 1), st.binary(min_size=1, max_size=40))
def test_damage_anywhere_ends_in_an_inspection(at: int, garbage: bytes) -> None:
    READER.inspect(IMAGE[:at] + garbage + IMAGE[at + len(garbage) :], NOW_US)


def test_other_encodings_of_a_picture_are_read() -> None:
    for encoding in ("PNG", "BMP", "PPM", "WEBP"):
        out = BytesIO()
        Image.open(BytesIO(IMAGE)).save(out, encoding, lossless=True)
        frame = decode(out.getvalue())
        assert frame.pixels_digest == decode(IMAGE).pixels_digest


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (code_only("(01)09506000134352(10)AB"), "incomplete"),
        (code_only("hello", gs1=False), "not-gs1"),
        (code_only("0109506000134359" + "17290430" + "10L1\x1d21S", gs1=False), "check-digit"),
        (code_only("0109506000134352" + "17291399" + "10L1\x1d21S", gs1=False), "not-gs1"),
        (code_only(PACK.element_string().replace("290430", "260430")), "expired"),
    ],
)
def test_what_a_code_alone_can_be_rejected_for(image: bytes, reason: str) -> None:
    assert [r.name for r in READER.inspect(image, NOW_US).verdict.reasons] == [reason]


def test_a_digital_link_in_the_code_names_the_pack_as_an_element_string_does() -> None:
    link = "https://example.com/01/09506000134352/10/L2611A/21/4M8GJ65R2ZRE?17=290430"
    seen = READER.inspect(code_only(link, gs1=False), NOW_US)
    assert seen.code.elements == READER.inspect(IMAGE, NOW_US).code.elements
    for wrong in (link.replace("4352", "4353"), "https://example.com/", link.replace("?17=290430", "")):
        assert READER.inspect(code_only(wrong, gs1=False), NOW_US).verdict.decision == "reject"


def test_no_year_lets_a_day_00_expire_early() -> None:
    for day, reasons in (("261100", []), ("261000", ["expired"])):
        seen = READER.inspect(code_only(PACK.element_string().replace("290430", day)), NOW_US)
        assert [r.name for r in seen.verdict.reasons] == reasons
