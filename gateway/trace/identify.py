"""From what people have at hand to the one URI of a thing: a Digital Link, an EPC URN, element strings as a scanner
gives them or with brackets, a bare SSCC or GTIN, or any other URI that events use."""

from urllib.parse import unquote

from gateway.epcis.digital_link import key_of, read_elements
from gateway.epcis.errors import EpcisError
from gateway.epcis.identifiers import ROOT, gtin_uri, sought, sscc_uri
from gateway.trace.errors import TraceError

MAX_CHARS = 2_048
_SSCC_DIGITS = 18
_GTIN_DIGITS = (8, 12, 13, 14)
_OWN = f"{ROOT}/"
_WORDS = {"00": "SSCC", "01": "product", "414": "GLN", "417": "party"}


def identified(text: str) -> str:
    """The canonical URI. TraceError says what is expected."""
    text = text.strip()
    if not text or len(text) > MAX_CHARS:
        raise TraceError(f"expected an identifier of 1 to {MAX_CHARS} characters, got {len(text)}")
    try:
        return _uri_of(text)
    except EpcisError as e:
        raise TraceError(f"expected a Digital Link, an EPC URN, element strings, an SSCC or a GTIN: {e}") from e


def _uri_of(text: str) -> str:
    if text.isascii() and text.isdigit() and len(text) == _SSCC_DIGITS:
        return sscc_uri(text)
    if text.isascii() and text.isdigit() and len(text) in _GTIN_DIGITS:
        return gtin_uri(text)
    if ":" in text and not text.startswith(("(", "]")):
        return sought(text)
    return key_of(read_elements(text)).uri


def label(uri: str) -> str:
    """How people call what a canonical URI names, in a word or two. Check digits were looked at before."""
    if not uri.startswith(_OWN):
        return uri
    parts = uri[len(_OWN) :].split("/")
    ai, value, *rest = map(unquote, parts) if "%" in uri else parts
    more = dict(zip(rest[::2], rest[1::2], strict=False))
    if ai == "01" and "21" in more:
        return f"pack {value} serial {more['21']}"
    if ai == "01" and "10" in more:
        return f"lot {more['10']} of {value}"
    extension = f" ({more['254']})" if "254" in more else ""
    return f"{_WORDS[ai]} {value}{extension}" if ai in _WORDS else uri
