"""The "@context" of a document or an event: which prefixes are declared there.

Trust boundary: takes untrusted values. Nothing is ever fetched: GS1's own context is known here by its prefixes, and
of any other only what is written out in the document is known.

Source: JSON-LD 1.1 sections 3.1 and 4.1.5; https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.epcis.errors import EpcisError
from gateway.epcis.identifiers import canonical

STANDARD = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
MAX_ENTRIES = 64
GS1_PREFIXES: Mapping[str, str] = {
    "epcis": "https://ref.gs1.org/epcis/", "cbv": "https://ref.gs1.org/cbv/", "cbvmda": "urn:epcglobal:cbv:mda:",
    "gs1": "https://gs1.org/voc/", "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "owl": "http://www.w3.org/2002/07/owl#", "xsd": "http://www.w3.org/2001/XMLSchema#",
    "dcterms": "http://purl.org/dc/terms/",
}  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x1f\x7f]").search
_ABSOLUTE = frozenset(("http", "https", "urn"))
_KEYWORDS = frozenset(("@version", "@protected"))  # others, as @vocab and @import, change what plain names mean


def prefixes_of(*contexts: object) -> Mapping[str, str]:
    """Prefix -> namespace, of contexts from the outermost to the innermost; later ones win. Raises EpcisError."""
    found: dict[str, str] | None = None
    for context in contexts:
        for entry in _entries(context):
            if type(entry) is dict:
                found = dict(GS1_PREFIXES) if found is None else found
                _declare(entry, found)
    return GS1_PREFIXES if found is None else found


def check_name(key: str, prefixes: Mapping[str, str]) -> None:
    """That `key` may name an extension: in a declared namespace, or a full URI. Raises EpcisError."""
    prefix, colon, local = key.partition(":")
    if not colon:
        raise EpcisError(f"field {key!r:.60} is not EPCIS's; put a prefix before it that @context declares")
    if prefix not in prefixes and prefix not in _ABSOLUTE:
        raise EpcisError(f"prefix {prefix!r:.60} of {key!r:.80} is not declared; add it to @context with its namespace")
    if not local:
        raise EpcisError(f"field {key!r:.60} has no name behind its prefix")
    if prefix not in _ABSOLUTE:
        canonical(key)
    elif _CONTROL(key):
        raise EpcisError(f"expected a name without control characters, got {key!r:.80}")


def check_values(value: object, prefixes: Mapping[str, str]) -> None:
    """That what is inside an extension uses declared prefixes only, and numbers that everybody reads alike."""
    kind = type(value)
    if kind is dict:
        for key, inner in value.items():  # type: ignore[attr-defined]
            try:
                if ":" in key:
                    check_name(key, prefixes)
                check_values(inner, prefixes)
            except EpcisError as e:
                raise e.inside(key) from None
    elif kind is list:
        for i, inner in enumerate(value):  # type: ignore[arg-type]
            try:
                check_values(inner, prefixes)
            except EpcisError as e:
                raise e.inside(i) from None
    elif kind is int and not -(2**53) <= value <= 2**53:  # type: ignore[operator]
        raise EpcisError(f"expected whole numbers within 2^53, got {value}; send it as text")


def identifier(value: str, prefixes: Mapping[str, str]) -> str:
    """The canonical form of a URI; a CURIE of a declared prefix is read as what it stands for. Raises EpcisError."""
    return canonical(written_out(value, prefixes))


def written_out(value: str, prefixes: Mapping[str, str]) -> str:
    """What a CURIE of a declared prefix stands for; anything else as it is. Behind a prefix there is never `//`."""
    prefix, colon, rest = value.partition(":")
    return prefixes[prefix] + rest if colon and prefix in prefixes and not rest.startswith("//") else value


def expanded(key: str, prefixes: Mapping[str, str]) -> str:
    """The name as the event hash writes it: {namespace}local; full URIs and bare words as they are."""
    prefix, colon, local = key.partition(":")
    return f"{{{prefixes[prefix]}}}{local}" if colon and prefix in prefixes else key


def merged(outer: object, inner: object) -> list[Any]:
    """One context of two, each entry once, and GS1's own once, whichever of its addresses the inner one uses."""
    own = list(_entries(inner))
    gs1 = [entry for entry in own if _is_gs1(entry)]
    more = [e for e in _entries(outer) if e not in own and not (gs1 and _is_gs1(e))]
    return gs1 + more + [e for e in own if e not in gs1] if more else own


def _is_gs1(entry: object) -> bool:
    return type(entry) is str and entry.endswith("/epcis-context.jsonld")


def _entries(context: object) -> Iterator[object]:
    if type(context) is list:
        if not 1 <= len(context) <= MAX_ENTRIES:
            raise EpcisError(f"expected 1 to {MAX_ENTRIES} contexts, for example {STANDARD}, got {len(context)}")
        for i, entry in enumerate(context):
            if type(entry) not in (str, dict) or entry in context[:i]:
                raise EpcisError("expected URIs and objects, each once").inside(i)
            yield _uri_or_object(entry)
    elif type(context) in (str, dict):
        yield _uri_or_object(context)
    elif context is not None:
        raise EpcisError(f"expected a URI, an object or a list of them, got {type(context).__name__}")


def _uri_or_object(entry: object) -> object:
    if type(entry) is str:
        canonical(entry)
    return entry


def _declare(entry: dict[str, Any], found: dict[str, str]) -> None:
    for term, meaning in entry.items():
        if term in _ABSOLUTE or (term.startswith("@") and term not in _KEYWORDS):
            raise EpcisError(f"{term!r:.40} in @context would change what others read; leave it out").inside(term)
        if type(meaning) is dict:
            meaning = meaning.get("@id")
        if type(meaning) is str and ":" not in term and not term.startswith("@"):
            if _CONTROL(meaning):
                raise EpcisError(f"expected a namespace without control characters, got {meaning!r:.80}").inside(term)
            prefix, colon, rest = meaning.partition(":")
            found[term] = found[prefix] + rest if colon and prefix in found and not rest.startswith("//") else meaning
