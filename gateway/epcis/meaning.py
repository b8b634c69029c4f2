"""What an event says, kept apart where the event hash runs it together.

The hash of CBV 2.0 puts names and values behind each other without a mark between, and reads texts that look like
numbers as numbers. So different events may have one hash: lots "7" and "007", or one made so on purpose. Here spellings
that mean the same come out alike as in the hash (prefixes, URNs and links, the order of members and lists, zones of
times), and where that is in doubt two events differ. Left out is what the hash leaves out.

Trust boundary: takes checked events; extensions may hold anything.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

import msgspec

from gateway.epcis.context import expanded, prefixes_of
from gateway.epcis.errors import EpcisError
from gateway.epcis.hash_values import COMMENTS, Prefixes, text_of
from gateway.epcis.moments import time_us
from gateway.epcis.vocabulary import (
    BIZ_STEP,
    COMPONENT,
    DISPOSITION,
    EXCEPTION,
    MEASUREMENT,
    PARTY,
    TRANSACTION,
    Vocabulary,
)

_LEFT_OUT = frozenset(("@context", "recordTime", "eventID", "errorDeclaration"))
_TIMES = frozenset(("eventTime", "time", "startTime", "endTime"))
_WORDS: Mapping[str, tuple[Vocabulary, ...]] = {
    "bizStep": (BIZ_STEP,), "disposition": (DISPOSITION,), "set": (DISPOSITION,), "unset": (DISPOSITION,),
    "exception": (EXCEPTION,), "component": (COMPONENT,), "type": (TRANSACTION, PARTY, MEASUREMENT),
}  # fmt: skip


def meaning(payload: bytes) -> bytes:
    """32 bytes, the same for events that say the same alone; of bytes that `open_event` took before."""
    body = msgspec.json.decode(payload)
    said = {name: value for name, value in body.items() if name not in _LEFT_OUT}
    return sha256(_text(_object(said, prefixes_of(body["@context"]))).encode()).digest()


def says_the_same(one: bytes, other: bytes) -> bool:
    """Whether these two events of one hash do."""
    return one == other or meaning(one) == meaning(other)


def _object(given: Mapping[str, Any], prefixes: Prefixes) -> list[Any]:
    members = [
        [expanded(name, prefixes), _value(name, value, prefixes)]
        for name, value in given.items()
        if name not in COMMENTS and value not in (None, [], {})
    ]
    return ["object", *sorted(members, key=_text)]


def _value(name: str, value: Any, prefixes: Prefixes) -> Any:
    if type(value) is dict:
        return _object(value, prefixes)
    if type(value) is list:  # of one is that one, as in the hash
        items = sorted((_value(name, item, prefixes) for item in value if item is not None), key=_text)
        return items[0] if len(items) == 1 else ["list", *items]
    if type(value) is str:
        return _said(name, value, prefixes)
    return int(value) if type(value) is float and value.is_integer() else value


def _said(name: str, text: str, prefixes: Prefixes) -> str:
    if name in _TIMES:
        with suppress(EpcisError):
            return f"{time_us(text) // 1000} ms"
    for vocabulary in _WORDS.get(name, ()):
        with suppress(EpcisError):
            return vocabulary.read(text, prefixes)
    return text_of(text, prefixes) if ":" in text else text


def _text(value: Any) -> str:
    return json.dumps(value)
