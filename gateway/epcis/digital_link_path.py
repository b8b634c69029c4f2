"""The identifiers in the path of a GS1 Digital Link (URI Syntax 1.3 section 4): primary key, then its qualifiers.

Trust boundary: takes untrusted text. Any company may serve Digital Links at its own domain, so a path that looks like
one is taken for one. Where only a wrong check digit speaks against it: a GTIN, an SSCC or a GLN is refused anywhere;
asset and document types (8003, 253, 255), whose check digit stands amid the value, only at GS1's own resolver, since
paths of other services look alike; and there too only where it is captured, since what came from another domain is
asked for by its canonical form.
"""

import re
from urllib.parse import unquote_to_bytes

from gateway.epcis.errors import EpcisError
from gateway.epcis.gs1_parts import checked

# Short names of the standard's versions before 1.2.
_SHORT = {
    "sscc": "00", "gtin": "01", "gdti": "253", "gcn": "255", "ginc": "401", "gsin": "402", "gln": "414",
    "party": "417", "grai": "8003", "giai": "8004", "itip": "8006", "cpid": "8010", "gsrnp": "8017", "gsrn": "8018",
    "cpv": "22", "lot": "10", "ser": "21", "glnx": "254", "cpsn": "8011", "srin": "8019",
}  # fmt: skip
_QUALIFIERS = {
    "00": (), "01": ("22", "10", "21", "235"), "253": (), "255": (), "401": (), "402": (), "414": ("254",), "417": (),
    "8003": (), "8004": (), "8006": ("22", "10", "21"), "8010": ("8011",), "8017": ("8019",), "8018": ("8019",),
}  # fmt: skip
_SURE = {"00", "01", "402", "414", "417", "8006", "8017", "8018"}  # all of the value is digits of a fixed length
_WEB = re.compile(r"https?://([^/?#\s]+)(/[^?#\s]*)", re.ASCII).match
_LIKE = re.compile(r"\d{4}.+", re.ASCII).fullmatch
_OWN = "id.gs1.org"
Parts = tuple[str, str, tuple[tuple[str, str], ...]]


def read(uri: str, digits: bool = True) -> Parts | None:
    """(AI, value, qualifiers), or None where the URI is no Digital Link. Raises EpcisError.

    digits: verify those of asset and document types at GS1's own resolver.
    """
    web = _WEB(uri)
    if not web:
        return None
    own = web[1].lower() == _OWN
    segments = web[2].split("/")[1:]
    if segments and not segments[-1]:
        segments.pop()
    for i, segment in enumerate(segments):
        ai = _name(segment)
        if ai in _QUALIFIERS and (found := _key(ai, segments[i + 1 :], own, digits)):
            return found
    if own:
        raise EpcisError(f"expected a GS1 Digital Link at {_OWN}, got {uri!r:.100}; write its AIs and values as a path")
    return None


def _key(ai: str, rest: list[str], own: bool, digits: bool) -> Parts | None:
    """The key whose AI stands before `rest`; None where that is no identifier after all."""
    if len(rest) % 2 == 0:
        return None
    value = _decoded(rest[0])
    names = [_name(segment) for segment in rest[1::2]]
    allowed = _QUALIFIERS[ai]
    if not _LIKE(value) or any(name not in allowed for name in names):
        return None
    try:
        value = checked(ai, value, digit=(own and digits) or ai in _SURE)
    except EpcisError as e:
        if own or "check digit" in e.reason:
            raise
        return None
    places = [allowed.index(name) for name in names]
    if places != sorted(set(places)):
        raise EpcisError(
            f"expected the qualifiers of AI ({ai}) once each, in the order {', '.join(allowed)}, got {names}"
        )
    return ai, value, tuple((q, checked(q, _decoded(v))) for q, v in zip(names, rest[2::2], strict=True))


def _name(segment: str) -> str:
    """The AI that a segment names."""
    name = _decoded(segment)
    return _SHORT.get(name, name)


def _decoded(segment: str) -> str:
    return unquote_to_bytes(segment).decode("latin-1") if "%" in segment else segment
