"""GS1 Digital Link and the element strings of a DataMatrix: out of each the key, and each out of the other.

Trust boundary: takes untrusted text, for example what a scanner saw. Element strings are parsed by `biip`, which knows
every application identifier; keys are checked here once more, so that both ways in give the same key.

Sources: GS1 Digital Link URI Syntax 1.3 sections 4 and 5; GS1 General Specifications sections 3 and 7.8 (FNC1).
"""

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

from gateway.epcis.errors import EpcisError
from gateway.epcis.gs1_parts import checked
from gateway.epcis.identifiers import ROOT, Gs1Key
from gateway.epcis.uris import MAX_URI_CHARS

GS = "\x1d"  # what a scanner sends for FNC1
MAX_ELEMENT_CHARS = 512
MAX_ATTRIBUTES = 64
_SYMBOLOGY = re.compile(r"\](?:C1|e0|d2|Q3|J1)")  # identifiers that say GS1
_QUALIFIERS = {"01": ("22", "10", "21"), "8006": ("22", "10", "21"), "414": ("254",), "8010": ("8011",),
               "8017": ("8019",), "8018": ("8019",)}  # fmt: skip
_KEYS = ("01", "8006", "00", "414", "417", "8010", "253", "255", "401", "402", "8003", "8004", "8017", "8018")
# Element strings whose length everybody knows by their first two digits: no FNC1 behind them (figure 7.8.5-2).
_FIXED = frozenset(("00", "01", "02", "03", "04", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "31",
                    "32", "33", "34", "35", "36", "41"))  # fmt: skip
_AI = re.compile(r"\d{2,4}", re.ASCII).fullmatch
Elements = tuple[tuple[str, str], ...]


def parse(url: str) -> Gs1Key:
    """The key of a Digital Link, or of an EPC URN. Raises EpcisError where it is neither, or is malformed."""
    if len(url) > MAX_URI_CHARS:
        raise EpcisError(f"expected a Digital Link of at most {MAX_URI_CHARS:,} characters, got {len(url):,}")
    key = Gs1Key.parse(url)
    if key is None:
        raise EpcisError(f"expected a GS1 Digital Link as {ROOT}/01/09506000134352/21/123, got {url!r:.100}")
    return key


def link(key: Gs1Key, domain: str = ROOT, attributes: Iterable[tuple[str, str]] = ()) -> str:
    """The Digital Link of all that the key says, lot and serial both. domain: with its scheme, perhaps with a path.

    attributes: (AI, value) of what does not identify, such as ("17", "280131"); they become the query.
    """
    path = f"/{key.ai}/{_escaped(key.value)}" + "".join(f"/{ai}/{_escaped(value)}" for ai, value in key.qualifiers)
    query = "&".join(f"{ai}={_escaped(value)}" for ai, value in attributes)
    return domain.rstrip("/") + path + (f"?{query}" if query else "")


def elements_of_link(url: str) -> Elements:
    """(AI, value) of a Digital Link: key, qualifiers, then the attributes in its query that are AIs."""
    key = parse(url)
    query = url.partition("#")[0].partition("?")[2]
    pairs = (part.partition("=") for part in query.split("&")[:MAX_ATTRIBUTES])
    attributes = [(ai, unquote(value)) for ai, _, value in pairs if _AI(ai)]
    return (key.ai, key.value), *key.qualifiers, *_checked_all(attributes)


def read_elements(scanned: str) -> Elements:
    """(AI, value) of an element string as a scanner gives it: FNC1 as GS, or AIs in brackets. Raises EpcisError."""
    if not scanned or len(scanned) > MAX_ELEMENT_CHARS:
        raise EpcisError(f"expected an element string of 1 to {MAX_ELEMENT_CHARS} characters, got {len(scanned)}")
    if scanned.startswith("("):
        return _checked_all(_bracketed(scanned))
    from biip import ParseError
    from biip.gs1_messages import GS1Message

    text = _SYMBOLOGY.sub("", scanned, count=1) if scanned.startswith("]") else scanned
    try:
        message = GS1Message.parse(text.strip(GS))
    except (ParseError, ValueError) as e:
        raise EpcisError(f"expected GS1 element strings, got {scanned!r:.100}: {e}") from e
    if not message.element_strings:
        raise EpcisError(f"expected GS1 element strings, got {scanned!r:.100}")
    return _checked_all((element.ai.ai, element.value) for element in message.element_strings)


def key_of(elements: Iterable[tuple[str, str]]) -> Gs1Key:
    """The key that element strings identify, with its qualifiers. Raises EpcisError where none of them is a key."""
    found = dict(elements)
    for ai in _KEYS:
        if ai in found:
            qualifiers = tuple((q, found[q]) for q in _QUALIFIERS.get(ai, ()) if q in found)
            return Gs1Key(ai, checked(ai, found[ai]), tuple((q, checked(q, v)) for q, v in qualifiers))
    raise EpcisError(f"expected a GS1 key among the element strings, got the AIs {', '.join(found) or 'none'}")


def link_of_elements(elements: Iterable[tuple[str, str]], domain: str = ROOT) -> str:
    """The Digital Link that says the same as element strings."""
    listed = tuple(elements)
    key = key_of(listed)
    used = {key.ai, *(ai for ai, _ in key.qualifiers)}
    return link(key, domain, [(ai, value) for ai, value in listed if ai not in used])


def write_elements(elements: Iterable[tuple[str, str]]) -> str:
    """The element string: those of fixed length first, then the others, GS behind each but the last.

    FNC1 in front of all is the symbol's own (GS1 DataMatrix) and not part of the text.
    """
    listed = _checked_all(elements)
    fixed = [ai + value for ai, value in listed if ai[:2] in _FIXED]
    return "".join(fixed) + GS.join(ai + value for ai, value in listed if ai[:2] not in _FIXED)


def bracketed(elements: Iterable[tuple[str, str]]) -> str:
    """The form that people read: (01)09506000134352(10)AB(21)1."""
    return "".join(f"({ai}){value}" for ai, value in elements)


def _bracketed(text: str) -> Elements:
    """A value may hold brackets itself; only digits in brackets are an AI."""
    parts = re.split(r"\((\d{2,4})\)", text)
    if parts[0] or len(parts) < 3:
        raise EpcisError(f"expected element strings as (01)09506000134352(10)AB, got {text!r:.100}")
    return tuple(zip(parts[1::2], parts[2::2], strict=True))


def _checked_all(elements: Iterable[tuple[str, str]]) -> Elements:
    """Keys and qualifiers by their own rules, others by character set; no AI twice."""
    found: dict[str, str] = {}
    for ai, value in elements:
        if ai in found:
            raise EpcisError(f"AI ({ai}) occurs twice, as {found[ai]!r:.30} and {value!r:.30}")
        found[ai] = checked(ai, value)
    return tuple(found.items())


def _escaped(value: str) -> str:
    return quote(value, safe="';=")
