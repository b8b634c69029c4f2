"""Things that a MATCH_ parameter names: URIs, and patterns of EPC URNs with `*` at their end.

A URI matches what has the same canonical form, so an EPC URN finds a Digital Link and the other way round. A pattern
urn:epc:idpat:… (EPC Tag Data Standard 2.0 section 8) matches instances, which the index has as Digital Links; only
those of GS1's keys whose company prefix comes first can be told from their links.

Source: EPCIS 2.0 section 8.2.7.1.1.
"""

import re
from collections.abc import Sequence

from gateway.enquiry.clauses import marks
from gateway.enquiry.errors import ParameterError
from gateway.epcis.errors import EpcisError
from gateway.epcis.identifiers import ROOT, sought

_PATTERN = re.compile(r"urn:epc:idpat:([a-z]+):([^/?#]+)")
_SERIAL = {"sgtin": "21", "itip": "21", "upui": "235", "cpi": "8011", "sgln": "254"}
_PLAIN = {"sscc": "00", "grai": "8003", "giai": "8004", "gsrn": "8018", "gsrnp": "8017", "gdti": "253", "sgcn": "255"}


def things(values: Sequence[str], name: str) -> tuple[str, tuple[object, ...]]:
    """A subquery of the ids of the things that match, with its values. ParameterError for what is no URI."""
    uris, globs = _told_apart(values, name)
    parts = [f"SELECT id FROM thing WHERE uri IN ({marks(uris)})"]
    given: list[object] = list(uris)
    for glob in globs:
        start = re.split(r"[*?\[]", glob, maxsplit=1)[0]
        parts.append("SELECT id FROM thing WHERE uri >= ? AND uri < ? AND uri GLOB ?")
        given += [start, start + "\U0010ffff", glob]
    return " UNION ".join(parts), tuple(given)


def classes(values: Sequence[str], name: str) -> tuple[str, tuple[object, ...]]:
    """A condition on the column value of facts of classes, with its values. ParameterError for what is no URI."""
    uris, globs = _told_apart(values, name)
    globs = [glob.partition("/21/")[0] for glob in globs]
    return " OR ".join([f"x.value IN ({marks(uris)})", *["x.value GLOB ?"] * len(globs)]), (*uris, *globs)


def _told_apart(values: Sequence[str], name: str) -> tuple[list[str], list[str]]:
    """URIs, and patterns as GLOB has them. A pattern whose only star is the serial is also the URI of its class."""
    uris, globs = list[str](), list[str]()
    for value in values:
        pattern = value.startswith("urn:epc:idpat:")
        if pattern:
            globs.append(_glob(value, name))
        if not pattern or value.count("*") == 1:
            uris.append(uri(value, name))
    return uris, globs


def uri(value: str, name: str) -> str:
    """The canonical form. ParameterError for what is no URI."""
    try:
        return sought(value)
    except EpcisError as e:
        raise ParameterError(f"{name}: {e}") from e


def _glob(value: str, name: str) -> str:
    """The canonical URIs of the instances that a pattern stands for."""
    found = _PATTERN.fullmatch(value)
    scheme, fields = (found[1], found[2].split(".")) if found else ("", [])
    stars = [at for at, field in enumerate(fields) if field == "*"]
    if not fields or stars != list(range(len(fields) - len(stars), len(fields))) or not stars:
        raise ParameterError(
            f"{name}: expected a pattern like urn:epc:idpat:sgtin:0614141.107346.*, got {value!r:.100}"
        )
    if any("*" in field or "?" in field or "[" in field for field in fields if field != "*"):
        raise ParameterError(f"{name}: a field of a pattern is a value or *, got {value!r:.100}")
    glob = _of_scheme(scheme, fields[: len(fields) - len(stars)])
    if glob is None:
        raise ParameterError(f"{name}: patterns of the scheme {scheme!r:.20} are not answered here; name the instances")
    return f"{ROOT}/{glob}"


def _of_scheme(scheme: str, given: list[str]) -> str | None:
    if scheme in ("sgtin", "upui"):
        return f"01/{_gtin(given)}/{_SERIAL[scheme]}/*"
    if scheme == "sscc":
        company = given[0] if given else ""
        return f"00/?{company}{'?' * (17 - len(company))}" if given else "00/*"
    if scheme == "sgln":
        front = "".join(given)
        return f"414/{front}{'?' * (13 - len(front))}*"
    if scheme in ("grai", "gdti", "sgcn"):
        front = ("0" if scheme == "grai" else "") + "".join(given)
        width = 14 if scheme == "grai" else 13
        return f"{_PLAIN[scheme]}/{front}{'?' * (width - len(front))}*"
    if scheme in ("giai", "gsrn", "gsrnp"):
        return f"{_PLAIN[scheme]}/{''.join(given)}*"
    return None


def _gtin(given: list[str]) -> str:
    """14 characters: indicator, company prefix, item reference, check digit."""
    company = given[0] if given else ""
    if len(given) > 1:
        item = given[1]
        return f"{item[:1]}{company}{item[1:]}?"
    return f"?{company}{'?' * (13 - len(company))}"
