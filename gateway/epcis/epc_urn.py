"""EPC URNs (EPC Tag Data Standard 2.0 section 6): urn:epc:id, urn:epc:class and urn:epc:idpat.

Trust boundary: takes untrusted text. An EPC has no check digit, but says where its company prefix ends; the check
digit is computed. Schemes that carry no GS1 key (GID, USDOD, ADI, BIC, IMOVN) and wider patterns stay as they are.
"""

import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from gateway.epcis.errors import EpcisError
from gateway.preprocess.gs1 import CHARSET_82, check_digit

Parts = tuple[str, str, tuple[tuple[str, str], ...]]
_ALL_82 = re.compile(f"{CHARSET_82}+").fullmatch
# What may stand in a URN as it is; the others of character set 82 are escaped.
_ESCAPED = re.compile(r"(?:[!'()*+,\-.0-9:;=A-Z_a-z]|%[0-9A-Fa-f]{2})+", re.ASCII).fullmatch
_PLAIN = re.compile(r"[!'()*+,\-.0-9:;=A-Z_a-z]+", re.ASCII).fullmatch
_SGTIN = re.compile(
    r"urn:epc:id:sgtin:(\d{6,12})\.(\d)(\d{0,6})\.([!'()*+,\-.0-9:;=A-Z_a-z]{1,20})", re.ASCII
).fullmatch
_CPI = re.compile(r"(?:[\-0-9A-Z]|%23|%2[Ff])+").fullmatch


def read(uri: str) -> Parts | None:
    """(AI, value, qualifiers), or None where the URN is none of GS1's keys. Raises EpcisError."""
    usual = _SGTIN(uri)  # by far the most, and nothing in it to unescape
    if usual and len(usual[1]) + len(usual[3]) == 12:
        gtin = usual[2] + usual[1] + usual[3]
        return "01", f"{gtin}{check_digit(gtin)}", (("21", usual[4]),)
    _, _, space, scheme, *rest = (*uri.split(":", 4), "", "")
    reader = _READERS.get((space, scheme))
    if reader is None or (space == "idpat" and (not rest[0].endswith(".*") or rest[0].count("*") > 1)):
        return None
    try:
        return reader(rest[0])
    except ValueError as e:
        raise EpcisError(
            f"expected an EPC URN {space}:{scheme} as TDS 2.0 section 6 has it, got {uri!r:.80}: {e}"
        ) from e


def _digits(company: str, item: str, total: int) -> None:
    if not (6 <= len(company) <= 12 and len(company) + len(item) == total):
        raise ValueError(f"a company prefix of 6 to 12 digits and a reference make {total} together")
    if not (company + item).isdigit() or not (company + item).isascii():
        raise ValueError("company prefix and reference are digits")


def _text(escaped: str, most: int) -> str:
    """A serial, lot or extension: 1 to `most` of character set 82."""
    if _PLAIN(escaped):
        text = escaped
    elif _ESCAPED(escaped):
        text = unquote_to_bytes(escaped).decode("latin-1")
    else:
        text = ""
    if not text or len(text) > most or (text is not escaped and not _ALL_82(text)):
        raise ValueError(f"1 to {most} of GS1 character set 82 belong there, escaped as in the URN")
    return text


def _gtin(company: str, item: str) -> str:
    """The indicator digit stands in front of the item reference in the URN, and in front of the prefix in the GTIN."""
    _digits(company, item, 13)
    body = item[0] + company + item[1:]
    return f"{body}{check_digit(body)}"


def _gtin_with(ai: str, most: int) -> Callable[[str], Parts]:
    def reader(body: str) -> Parts:
        company, item, rest = body.split(".", 2)
        return "01", _gtin(company, item), ((ai, _text(rest, most)),)

    return reader


def _numeric(ai: str, total: int, swap: bool = False) -> Callable[[str], Parts]:
    """Company prefix and reference, digits only; `swap` where an SSCC's extension digit comes first."""

    def reader(body: str) -> Parts:
        company, item = body.split(".")
        _digits(company, item, total)
        digits = item[0] + company + item[1:] if swap else company + item
        return ai, f"{digits}{check_digit(digits)}", ()

    return reader


def _sgln(body: str) -> Parts:
    company, item, extension = body.split(".", 2)
    _digits(company, item, 12)
    extension = _text(extension, 20)
    gln = f"{company}{item}{check_digit(company + item)}"
    return "414", gln, () if extension == "0" else (("254", extension),)


def _serialised(ai: str, front: str, most: int, digits_only: bool = False) -> Callable[[str], Parts]:
    """A type of 12 digits, check digit, serial: GRAI, GDTI, coupon."""

    def reader(body: str) -> Parts:
        company, item, serial = body.split(".", 2)
        _digits(company, item, 12)
        serial = _text(serial, most)
        if digits_only and not serial.isdigit():
            raise ValueError("its serial is digits")
        value = front + company + item
        return ai, f"{value}{check_digit(value)}{serial}", ()

    return reader


def _free(ai: str) -> Callable[[str], Parts]:
    """Company prefix and what the company chose, 30 characters together: GIAI, GINC."""

    def reader(body: str) -> Parts:
        company, rest = body.split(".", 1)
        _digits(company, "", len(company))
        return ai, company + _text(rest, 30 - len(company)), ()

    return reader


def _cpi_value(company: str, rest: str) -> str:
    _digits(company, "", len(company))
    reference = unquote_to_bytes(rest).decode("latin-1")
    if not _CPI(rest) or len(company + reference) > 30:
        raise ValueError("a component's reference is of A-Z, 0-9, -, %23 and %2F")
    return company + reference


def _cpi(body: str) -> Parts:
    company, rest, serial = body.split(".", 2)
    if not (serial.isdigit() and serial.isascii() and len(serial) <= 12):
        raise ValueError("a component's serial is 1 to 12 digits")
    return "8010", _cpi_value(company, rest), (("8011", serial),)


def _itip_value(company: str, item: str, piece: str, total: str) -> str:
    if not (len(piece) == len(total) == 2 and (piece + total).isdigit() and (piece + total).isascii()):
        raise ValueError("piece and total are two digits each")
    return _gtin(company, item) + piece + total


def _itip(body: str) -> Parts:
    company, item, piece, total, serial = body.split(".", 4)
    return "8006", _itip_value(company, item, piece, total), (("21", _text(serial, 20)),)


def _class_gtin(body: str) -> Parts:
    company, item, _ = body.split(".")
    return "01", _gtin(company, item), ()


def _class_typed(ai: str, front: str = "") -> Callable[[str], Parts]:
    def reader(body: str) -> Parts:
        company, item, _ = body.split(".")
        _digits(company, item, 12)
        value = front + company + item
        return ai, f"{value}{check_digit(value)}", ()

    return reader


def _class_cpi(body: str) -> Parts:
    company, rest, _ = body.split(".")
    return "8010", _cpi_value(company, rest), ()


def _class_itip(body: str) -> Parts:
    company, item, piece, total, _ = body.split(".")
    return "8006", _itip_value(company, item, piece, total), ()


_READERS: dict[tuple[str, str], Callable[[str], Parts]] = {
    ("id", "sgtin"): _gtin_with("21", 20), ("id", "upui"): _gtin_with("235", 28),
    ("class", "lgtin"): _gtin_with("10", 20), ("id", "sscc"): _numeric("00", 17, swap=True), ("id", "sgln"): _sgln,
    ("id", "pgln"): _numeric("417", 12), ("id", "gsrn"): _numeric("8018", 17), ("id", "gsrnp"): _numeric("8017", 17),
    ("id", "gsin"): _numeric("402", 16), ("id", "grai"): _serialised("8003", "0", 16),
    ("id", "gdti"): _serialised("253", "", 17), ("id", "sgcn"): _serialised("255", "", 12, digits_only=True),
    ("id", "giai"): _free("8004"), ("id", "ginc"): _free("401"), ("id", "cpi"): _cpi, ("id", "itip"): _itip,
    ("idpat", "sgtin"): _class_gtin, ("idpat", "upui"): _class_gtin, ("idpat", "grai"): _class_typed("8003", "0"),
    ("idpat", "gdti"): _class_typed("253"), ("idpat", "sgcn"): _class_typed("255"), ("idpat", "cpi"): _class_cpi,
    ("idpat", "itip"): _class_itip,
}  # fmt: skip
