"""Values in the event hash: texts, numbers, identifiers and words in their one form, and what is in no fixed order.

Trust boundary: takes checked events. Extensions may hold anything at any depth; what they hold is no identifier of
the event, so one that is malformed there stays as it is.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.epcis.context import expanded, identifier, written_out
from gateway.epcis.errors import EpcisError
from gateway.epcis.identifiers import Gs1Key
from gateway.epcis.vocabulary import CBV, PARTY, TRANSACTION, Vocabulary

Prefixes = Mapping[str, str]
COMMENTS = frozenset(("comment", "rdfs:comment"))
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII).fullmatch
_URNS = tuple(
    (f"urn:epcglobal:cbv:{short}:", CBV + web)
    for short, web in (("bizstep", "BizStep-"), ("disp", "Disp-"), ("btt", "BTT-"), ("sdt", "SDT-"), ("er", "ER-"))
)
PAIRS: Mapping[str, tuple[str, Vocabulary]] = {
    "bizTransactionList": ("bizTransaction", TRANSACTION), "sourceList": ("source", PARTY),
    "destinationList": ("destination", PARTY),
}  # fmt: skip


def word(vocabulary: Vocabulary, name: str, value: Any, prefixes: Prefixes) -> str:
    """A word by its full URI."""
    found = vocabulary.read(value, prefixes)
    return f"{name}={_identifier(found) if ':' in found else vocabulary.root + found}"


def extensions(given: Mapping[str, Any], known: tuple[str, ...], prefixes: Prefixes) -> str:
    """What an object of EPCIS holds beside its `known` fields."""
    if all(name in known for name in given):
        return ""
    return "".join(
        sorted(t for n in given if n not in known and n not in COMMENTS for t in other(n, given[n], prefixes))
    )


def other(name: str, value: Any, prefixes: Prefixes) -> Iterator[str]:
    """What has no fixed order: master data and extensions, at any depth. One string for each item of a list."""
    key = expanded(name, prefixes)
    for item in value if type(value) is list else (value,):
        if item is not None:
            yield key + _inside(item, prefixes)


def _inside(value: Any, prefixes: Prefixes) -> str:
    if type(value) is dict:
        own = text_of(value.get("#text"), prefixes) if "#text" in value else ""
        inner = sorted(t for n in value if n not in COMMENTS and n != "#text" for t in other(n, value[n], prefixes))
        return (f"={own}" if own else "") + "".join(inner)
    if type(value) is list:
        return "".join(sorted(_inside(item, prefixes) for item in value))
    text = text_of(value, prefixes)
    return f"={text}" if text else ""


def pairs(name: str, value: Any, prefixes: Prefixes) -> str:
    """A list of business transactions, sources or destinations: type and value of each, in order."""
    inner, vocabulary = PAIRS[name]
    return name + "".join(sorted(_pair(inner, vocabulary, item, prefixes) for item in value)) if value else ""


def _pair(inner: str, vocabulary: Vocabulary, item: Mapping[str, Any], prefixes: Prefixes) -> str:
    kind = word(vocabulary, "type", item["type"], prefixes) if "type" in item else ""
    return f"{kind}{inner}={identifier(item[inner], prefixes)}"


def text_of(value: Any, prefixes: Prefixes) -> str:
    """One value in its canonical form."""
    if value is True or value is False:
        return "true" if value else "false"
    if type(value) is not str:
        return "" if value is None else _number(str(value))
    text = value.strip()
    if ":" not in text:
        return _number(text)
    text = written_out(text, prefixes)
    if text.startswith("urn:epcglobal:cbv:"):
        for urn, web in _URNS:
            text = text.replace(urn, web)
    return _identifier(text)


def _identifier(text: str) -> str:
    try:
        key = Gs1Key.parse(text)
    except EpcisError:  # inside an extension, where it need not be one
        return text
    return text if key is None else key.uri


def _number(text: str) -> str:
    """Without leading or trailing zeros, sign +, or exponent where it can be done without."""
    if not _NUMBER(text):
        return text
    value = float(text)
    if value in (float("inf"), float("-inf")):
        return text
    return str(int(value)) if value == int(value) else str(value)
