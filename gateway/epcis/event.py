"""One EPCIS event: strictly read from its bytes, with its things, times and words in one form, and its hash.

Trust boundary: `open_event` takes untrusted bytes. A bare event is a JSON object with its own "@context". Steps:
 1. size and depth, before parsing
 2. strict JSON: UTF-8, no key twice, no NaN
 3. an @context is there, and says which prefixes may be used
 4. the fields (gateway.epcis.rules)
 5. identifiers to their canonical form, check digits verified; the event hash
`read_event` is for bytes that were opened before, for example out of the log: steps 3 and 5 alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from gateway.epcis.context import identifier, prefixes_of
from gateway.epcis.errors import EpcisError
from gateway.epcis.event_hash import event_hash, hash_id
from gateway.epcis.moments import time_us
from gateway.epcis.rules import check_event, check_terms
from gateway.epcis.vocabulary import BIZ_STEP, DISPOSITION, ERROR_REASON, PARTY, TRANSACTION, Vocabulary
from gateway.preprocess.errors import PayloadRejected
from gateway.preprocess.strictjson import MAX_BYTES, check_bounds, check_keys, decode

MAX_EVENT_BYTES = MAX_BYTES
MAX_EVENT_DEPTH = 12  # what its fields need, committed as CBOR, is less than the 16 that CBOR may have here
_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


class Thing(NamedTuple):
    """What an event is about. role: epc, parent, child, input or output. uri: canonical. A class (a lot, a product) may
    have a quantity, and that a unit of UN/ECE Recommendation 20; without a unit it is a count."""

    role: str
    uri: str
    quantity: float | None = None
    uom: str | None = None


class Typed(NamedTuple):
    """A business transaction, a source or a destination. type: CBV's bare word, or a URI."""

    type: str | None
    uri: str


@dataclass(frozen=True, slots=True)
class ErrorDeclaration:
    """The event is declared erroneous. reason: CBV's bare word, or a URI. corrective: ids of those in its place."""

    time_us: int
    reason: str | None
    corrective: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """Times are microseconds since the Unix epoch. Words are CBV's bare ones, or URIs. URIs are canonical.

    persistent: dispositions set and unset. body: the JSON as sent, with its "@context"; prefixes: what that declares.
    """

    type: str
    time_us: int
    record_us: int | None
    offset: str
    action: str | None
    biz_step: str | None
    disposition: str | None
    persistent: tuple[tuple[str, ...], tuple[str, ...]]
    read_point: str | None
    biz_location: str | None
    things: tuple[Thing, ...]
    transactions: tuple[Typed, ...]
    sources: tuple[Typed, ...]
    destinations: tuple[Typed, ...]
    transformation: str | None
    ilmd: Mapping[str, Any]
    sensors: tuple[Mapping[str, Any], ...]
    error: ErrorDeclaration | None
    event_id: str | None
    hash: bytes
    body: Mapping[str, Any]
    prefixes: Mapping[str, str]

    @property
    def hash_id(self) -> str:
        """The hash as the URI that CBV 2.0 gives it."""
        return hash_id(self.hash)


def open_event(payload: bytes) -> Event:
    """Steps 1 to 5. Raises EpcisError."""
    body = strict_json(payload, MAX_EVENT_DEPTH, MAX_EVENT_BYTES)
    if type(body) is not dict:
        raise EpcisError(f"expected an EPCIS event, a JSON object, got {type(body).__name__}")
    prefixes = check_bare(body)
    return build(body, prefixes)


def read_event(payload: bytes, digest: bytes | None = None) -> Event:
    """Steps 3 and 5, of bytes that `open_event` took before. `digest`: their event hash, where it is known already."""
    body = _DECODER.decode(payload)
    return build(body, prefixes_of(body["@context"]), digest)


def strict_json(payload: bytes, depth: int, size: int) -> Any:
    """Steps 1 and 2. Raises EpcisError."""
    try:
        check_bounds(payload, depth, size)
        value = decode(_DECODER, payload)
        if payload.count(b'"') != 2 * _texts(value):
            check_keys(payload)
    except PayloadRejected as e:
        raise EpcisError(str(e)) from e
    return value


def _texts(value: Any) -> int:
    """How many texts the decoder kept, names of members included. Where the payload has two quotation marks for each
    and no more, no member stands twice: that would add two, an escaped mark one, and nothing takes one away."""
    count, left = 0, [value]
    while left:
        item = left.pop()
        if type(item) is dict:
            count += len(item)
            left.extend(item.values())
        elif type(item) is list:
            left.extend(item)
        elif type(item) is str:
            count += 1
    return count


def check_bare(body: Mapping[str, Any], outer: object = None) -> Mapping[str, str]:
    """Steps 3 and 4; `outer` is the context of the document around it. Returns the prefixes that hold in it."""
    own = body.get("@context")
    if own is None and (outer is None or "@context" in body):
        raise EpcisError('expected an "@context" that names the vocabulary; add GS1\'s, and those of your extensions')
    try:
        prefixes = prefixes_of(outer, own)
        check_terms(prefixes)
    except EpcisError as e:
        raise e.inside("@context") from None
    check_event(body, prefixes)
    return prefixes


def build(body: Mapping[str, Any], prefixes: Mapping[str, str], digest: bytes | None = None) -> Event:
    """Step 5, of a body that was checked."""
    record = body.get("recordTime")
    persistent = body.get("persistentDisposition") or {}
    return Event(
        body["type"],
        time_us(body["eventTime"]),
        None if record is None else time_us(record),
        body["eventTimeZoneOffset"],
        body.get("action"),
        _word(BIZ_STEP, body.get("bizStep"), prefixes),
        _word(DISPOSITION, body.get("disposition"), prefixes),
        (_words(persistent.get("set", ()), prefixes), _words(persistent.get("unset", ()), prefixes)),
        _place(body.get("readPoint"), prefixes),
        _place(body.get("bizLocation"), prefixes),
        _things(body, prefixes),
        _typed(body.get("bizTransactionList"), "bizTransaction", TRANSACTION, prefixes),
        _typed(body.get("sourceList"), "source", PARTY, prefixes),
        _typed(body.get("destinationList"), "destination", PARTY, prefixes),
        _uri(body.get("transformationID"), prefixes),
        body.get("ilmd") or {},
        tuple(body.get("sensorElementList") or ()),
        _declaration(body.get("errorDeclaration"), prefixes),
        body.get("eventID"),
        digest or event_hash(body, prefixes),
        body,
        prefixes,
    )


# Where things stand, by type of event: (field, role, whether it is a list of quantities).
_WHERE: Mapping[str, tuple[tuple[str, str, bool], ...]] = {
    "ObjectEvent": (("epcList", "epc", False), ("quantityList", "epc", True)),
    "AggregationEvent": (("childEPCs", "child", False), ("childQuantityList", "child", True)),
    "TransactionEvent": (("epcList", "epc", False), ("quantityList", "epc", True)),
    "TransformationEvent": (
        ("inputEPCList", "input", False), ("inputQuantityList", "input", True),
        ("outputEPCList", "output", False), ("outputQuantityList", "output", True),
    ),
    "AssociationEvent": (("childEPCs", "child", False), ("childQuantityList", "child", True)),
}  # fmt: skip


def _things(body: Mapping[str, Any], prefixes: Mapping[str, str]) -> tuple[Thing, ...]:
    """In the order of the fields above, the parent first; each EPC once a role."""
    found = [Thing("parent", identifier(body["parentID"], prefixes))] if "parentID" in body else []
    for field, role, quantities in _WHERE[body["type"]]:
        given = body.get(field)
        if given and quantities:
            found += [Thing(role, identifier(q["epcClass"], prefixes), q.get("quantity"), q.get("uom")) for q in given]
        elif given:
            found += [Thing(role, uri) for uri in dict.fromkeys([identifier(epc, prefixes) for epc in given])]
    return tuple(found)


def _word(vocabulary: Vocabulary, value: Any, prefixes: Mapping[str, str]) -> str | None:
    return None if value is None else vocabulary.read(value, prefixes)


def _words(values: Any, prefixes: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(DISPOSITION.read(value, prefixes) for value in values)


def _place(value: Any, prefixes: Mapping[str, str]) -> str | None:
    return None if value is None else identifier(value["id"], prefixes)


def _uri(value: Any, prefixes: Mapping[str, str]) -> str | None:
    return None if value is None else identifier(value, prefixes)


def _typed(given: Any, field: str, vocabulary: Vocabulary, prefixes: Mapping[str, str]) -> tuple[Typed, ...]:
    return tuple(Typed(_word(vocabulary, i.get("type"), prefixes), identifier(i[field], prefixes)) for i in given or ())


def _declaration(given: Any, prefixes: Mapping[str, str]) -> ErrorDeclaration | None:
    if given is None:
        return None
    reason = _word(ERROR_REASON, given.get("reason"), prefixes)
    return ErrorDeclaration(time_us(given["declarationTime"]), reason, tuple(given.get("correctiveEventIDs", ())))
