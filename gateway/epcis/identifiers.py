"""GS1 identifiers in EPCIS: EPC URNs and Digital Links become one canonical form, with check digits verified.

Trust boundary: takes untrusted text. A key that comes out is well-formed, which catches misreading, not lying.
The canonical form is that of the event hash (CBV 2.0 section 8.9): a Digital Link at https://id.gs1.org with numeric
AIs, 14-digit GTINs, the finest level of identification only (a serial without its lot), no CPV, no query.

Sources: EPC Tag Data Standard 2.0 section 6 (URNs), GS1 Digital Link URI Syntax 1.3 sections 4 and 5, GS1 General
Specifications sections 3 and 7.9.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Self
from urllib.parse import quote, unquote

from gateway.epcis import digital_link_path, epc_urn
from gateway.epcis.errors import EpcisError
from gateway.epcis.gs1_parts import checked
from gateway.epcis.uris import require_uri
from gateway.preprocess.gs1 import check_digit

ROOT = "https://id.gs1.org"
_PRODUCT = (f"{ROOT}/01/", f"{ROOT}/8006/")
_UNRESERVED = "';="  # of character set 82, beside letters, digits, - . and _: all others are percent-encoded
_NAMES = {
    ("00", ""): "sscc", ("01", ""): "gtin", ("01", "10"): "lgtin", ("01", "21"): "sgtin", ("01", "235"): "upui",
    ("253", ""): "gdti", ("255", ""): "sgcn", ("401", ""): "ginc", ("402", ""): "gsin", ("414", ""): "sgln",
    ("414", "254"): "sgln", ("417", ""): "pgln", ("8003", ""): "grai", ("8004", ""): "giai", ("8006", ""): "itip",
    ("8006", "10"): "itip", ("8006", "21"): "itip", ("8010", ""): "cpi", ("8010", "8011"): "cpi",
    ("8017", ""): "gsrnp", ("8018", ""): "gsrn", ("8017", "8019"): "gsrnp", ("8018", "8019"): "gsrn",
}  # fmt: skip
_DROPPED_BESIDE = {"22": {"10", "21", "235"}, "10": {"21", "235"}}  # coarser qualifiers, where a finer one is there
# By far the most: a product, lot or pack in its canonical form already, of letters and digits.
_PLAIN = re.compile(r"https://id\.gs1\.org/01/(\d{14})(?:/(?:10|21)/[0-9A-Za-z]{1,20})?", re.ASCII).fullmatch
_ANY_CASE = re.compile("urn:epc:|https?://", re.IGNORECASE).match


@dataclass(frozen=True, slots=True)
class Gs1Key:
    """One GS1 identifier.

    ai: application identifier of the primary key, for example "01"; value: its value, decoded (a GTIN as 14 digits;
        a GRAI, GDTI or coupon with its serial behind the check digit).
    qualifiers: (ai, value) in the order of the Digital Link standard, for example ("10", lot), ("21", serial).
    """

    ai: str
    value: str
    qualifiers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, uri: str) -> Self | None:
        """The key in an EPC URN or a Digital Link; None where the URI is neither.

        Raises:
            EpcisError: it is one of them and malformed: a wrong check digit, length or character.
        """
        found = _parts(uri)
        return None if found is None else cls(found[0], found[1], found[2])

    @property
    def kind(self) -> str:
        """The EPC scheme: sgtin, lgtin, gtin, upui, sscc, sgln, pgln, grai, giai, gdti, gsrn, gsrnp, cpi, itip, …"""
        return _NAMES.get((self.ai, self.qualifiers[-1][0] if self.qualifiers else ""), _NAMES[self.ai, ""])

    @property
    def gtin(self) -> str | None:
        """14 digits, of a product and of its pieces."""
        return self.value[:14] if self.ai in ("01", "8006") else None

    @property
    def lot(self) -> str | None:
        return self._qualifier("10")

    @property
    def serial(self) -> str | None:
        """What tells the instance from others of its class."""
        if self.ai in ("8003", "253", "255"):
            return self.value[14 if self.ai == "8003" else 13 :] or None
        return self._qualifier("21") or self._qualifier("235") or self._qualifier("8011")

    @property
    def sscc(self) -> str | None:
        return self.value if self.ai == "00" else None

    @property
    def gln(self) -> str | None:
        """13 digits, of a place or of a party."""
        return self.value if self.ai in ("414", "417") else None

    @property
    def extension(self) -> str | None:
        """The extension of a place's GLN, AI (254)."""
        return self._qualifier("254")

    @property
    def uri(self) -> str:
        """The canonical form."""
        return _link(self.ai, self.value, self.qualifiers)

    def _qualifier(self, wanted: str) -> str | None:
        return next((value for ai, value in self.qualifiers if ai == wanted), None)


@lru_cache(maxsize=1_024)
def _digit(body: str) -> str:
    return str(check_digit(body))


@lru_cache(maxsize=4_096)
def canonical(uri: str) -> str:
    """The one form of a GS1 identifier; any other URI unchanged.

    Raises:
        EpcisError: not a URI (RFC 3986), longer than 2,048 characters, or a malformed GS1 identifier.
    """
    if (plain := _PLAIN(uri)) and plain[1][13] == _digit(plain[1][:13]):
        return uri
    found = _parts(uri)
    if found is not None:
        return _link(*found)
    require_uri(uri)
    return uri


def sought(uri: str) -> str:
    """The canonical form of what somebody asks for: as `canonical`, but whatever that gave is taken. It gives assets
    and documents of other domains, whose check digits are not verified there, at GS1's own."""
    try:
        return canonical(uri)
    except EpcisError:
        found = digital_link_path.read(uri, digits=False) if uri.startswith(f"{ROOT}/") else None
        if found is None or _link(*found) != uri:
            raise
        return uri


def lgtin_of(gtin: str, lot: str) -> str:
    """The canonical URI of a lot. `gtin` has 8, 12, 13 or 14 digits."""
    return _built("01", gtin, ("10", lot))


def sgtin(gtin: str, serial: str) -> str:
    """The canonical URI of one pack."""
    return _built("01", gtin, ("21", serial))


def gtin_uri(gtin: str) -> str:
    """The canonical URI of a product."""
    return _built("01", gtin)


def sscc_uri(sscc: str) -> str:
    """The canonical URI of a logistic unit, from 18 digits."""
    return _built("00", sscc)


def sgln_uri(gln: str, extension: str | None = None) -> str:
    """The canonical URI of a place, from 13 digits."""
    return _built("414", gln, *([("254", extension)] if extension else []))


def pgln_uri(gln: str) -> str:
    """The canonical URI of a party, from 13 digits."""
    return _built("417", gln)


def _built(ai: str, value: str, *qualifiers: tuple[str, str]) -> str:
    return _link(ai, checked(ai, value), tuple((q, checked(q, v)) for q, v in qualifiers))


def _parts(uri: str) -> tuple[str, str, tuple[tuple[str, str], ...]] | None:
    if uri.startswith("urn:epc:"):
        return epc_urn.read(uri)
    if uri.startswith("http"):
        found = digital_link_path.read(uri)
        if found is not None:
            require_uri(uri)  # the path alone was read: not host, query and fragment, and any character was taken
        return found
    start = _ANY_CASE(uri)  # of schemes, and of the name behind urn, RFC 3986 and RFC 8141 ignore the case
    return None if start is None or start[0].islower() else _parts(start[0].lower() + uri[start.end() :])


def _link(ai: str, value: str, qualifiers: tuple[tuple[str, str], ...]) -> str:
    """Finest level only: see _DROPPED_BESIDE."""
    if not qualifiers:
        return f"{ROOT}/{ai}/{_encoded(value)}"
    if len(qualifiers) == 1 and qualifiers[0][0] != "22":
        return f"{ROOT}/{ai}/{_encoded(value)}/{qualifiers[0][0]}/{_encoded(qualifiers[0][1])}"
    return f"{ROOT}/{ai}/{_encoded(value)}" + "".join(f"/{q}/{_encoded(v)}" for q, v in _finest(qualifiers))


def _finest(qualifiers: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str]]:
    there = {ai for ai, _ in qualifiers}
    for ai, value in qualifiers:
        if ai != "22" and there.isdisjoint(_DROPPED_BESIDE.get(ai, ())):
            yield ai, value


def _encoded(value: str) -> str:
    return value if value.isalnum() and value.isascii() else quote(value, safe=_UNRESERVED)


def product_of(uri: str) -> tuple[str | None, str | None, str | None]:
    """(GTIN, lot, serial) of a canonical URI; each None where it has none. Quicker than `Gs1Key.parse`, and only for
    what `canonical` gave."""
    if not uri.startswith(_PRODUCT):
        return None, None, None
    _, _, _, _, value, *rest = uri.split("/")
    qualifier, text = (rest[0], unquote(rest[1])) if rest else ("", "")
    return value[:14], text if qualifier == "10" else None, text if qualifier in ("21", "235") else None
