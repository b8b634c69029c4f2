"""What an EPCIS document must be around its events: the JSON schema of GS1 for documents, in code.

Trust boundary: takes decoded JSON of anybody. The events are checked elsewhere (gateway.epcis.rules).
"""

import re
from collections.abc import Mapping
from typing import Any

from gateway.epcis.context import prefixes_of
from gateway.epcis.errors import EpcisError
from gateway.epcis.forms import Check, anything, listed, record, text, uri
from gateway.epcis.moments import time_us

_VERSION = re.compile(r"2(\.\d+)*", re.ASCII).fullmatch


def check_form(value: Mapping[str, Any]) -> tuple[str, ...]:
    """The document's own fields; returns the way to its list of events. Raises EpcisError."""
    kind, context = value.get("type"), value.get("@context")
    if type(kind) is not str or kind not in _DOCUMENTS:
        raise EpcisError(
            f"expected EPCISDocument, EPCISQueryDocument or a type of event, got {kind!r:.60}",
            "/type" if "type" in value else "",
        )
    if context is None:
        raise EpcisError('expected an "@context" that names the vocabulary; add GS1\'s, and those of your extensions')
    try:
        prefixes = prefixes_of(context)
    except EpcisError as e:
        raise e.inside("@context") from None
    _DOCUMENTS[kind](value, prefixes)
    return _PATHS[kind]


def _time(value: Any, _: Mapping[str, str]) -> None:
    time_us(value)


def _version(value: Any, _: Mapping[str, str]) -> None:
    if type(value) is not str or not _VERSION(value):
        raise EpcisError(f"expected a version 2.x of EPCIS, got {value!r:.40}")


def _taken(value: Any, _: Mapping[str, str]) -> None:
    """Checked elsewhere: the context before, the events after."""


def _listing(value: Any, _: Mapping[str, str]) -> None:
    if type(value) is not list:
        raise EpcisError(f"expected a list of events, got {type(value).__name__}")


def _attributes(value: Any, prefixes: Mapping[str, str]) -> None:
    """Each with an id; its other members are free."""
    if type(value) is not dict or "id" not in value:
        raise EpcisError("expected an attribute, an object with an id")
    uri(value["id"], prefixes)
    inner = value.get("attribute", "")
    if type(inner) not in (int, float, str, dict):
        raise EpcisError(f"expected a number, a text or an object, got {inner!r:.40}", "/attribute")
    anything(value, prefixes)


def _open_record(fields: Mapping[str, Check], required: tuple[str, ...] = ()) -> Check:
    """An object in which the schema leaves further members free."""

    def of(value: Any, prefixes: Mapping[str, str]) -> None:
        if type(value) is not dict:
            raise EpcisError(f"expected an object, got {value!r:.60}")
        record(fields, required)({name: v for name, v in value.items() if name in fields}, prefixes)
        anything({name: v for name, v in value.items() if name not in fields}, prefixes)

    return of


_ELEMENT = _open_record({"id": uri, "attributes": listed(_attributes), "children": listed(uri)}, ("id",))
_VOCABULARY = _open_record({"type": uri, "vocabularyElementList": listed(_ELEMENT)}, ("type",))
_HEADER = record({"epcisMasterData": _open_record({"vocabularyList": listed(_VOCABULARY)})}, extensible=True)
_COMMON: dict[str, Check] = {
    "@context": _taken, "type": _taken, "id": uri, "schemaVersion": _version, "creationDate": _time,
}  # fmt: skip
_RESULTS = record(
    {
        "queryName": text, "subscriptionID": text,
        "resultsBody": record(
            {"eventList": _listing, "vocabularyList": listed(_VOCABULARY)}, ("eventList",), extensible=True
        ),
    },
    ("queryName", "resultsBody"), extensible=True,
)  # fmt: skip
_DOCUMENTS: Mapping[str, Check] = {
    "EPCISDocument": record(
        _COMMON | {
            "instanceIdentifier": text, "sender": text, "receiver": text, "epcisHeader": _HEADER,
            "epcisBody": _open_record({"eventList": _listing}, ("eventList",)),
        },
        ("schemaVersion", "creationDate", "epcisBody"), extensible=True,
    ),
    "EPCISQueryDocument": record(
        _COMMON | {"epcisBody": record({"queryResults": _RESULTS}, ("queryResults",), extensible=True)},
        ("epcisBody",), extensible=True,
    ),
}  # fmt: skip
_PATHS = {
    "EPCISDocument": ("epcisBody", "eventList"),
    "EPCISQueryDocument": ("epcisBody", "queryResults", "resultsBody", "eventList"),
}
