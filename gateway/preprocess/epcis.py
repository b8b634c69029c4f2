"""The kind `epcis`: one EPCIS 2.0 event as JSON-LD with its own "@context".

Trust boundary: takes untrusted bytes. What is checked: gateway.epcis.rules. An event that comes out says what its
sender says; that its sender holds the things it speaks of is the ledger's matter.
"""

from typing import Any

from chain.record import RecordFlag
from crypto.cbor import CborValue
from gateway.epcis.errors import EpcisError
from gateway.epcis.event import ErrorDeclaration, Event, Typed, open_event
from gateway.epcis.identifiers import product_of
from gateway.epcis.opened import OPENED
from gateway.epcis.published_schema import event_schema
from gateway.epcis.vocabulary import EXCEPTION, MEASUREMENT
from gateway.preprocess.errors import PayloadRejected
from gateway.preprocess.kind import FLAGS, OUTSIDE, Context, Prepared, excursion
from gateway.preprocess.units import lookup

FUTURE_US = 3_600_000_000  # an event more than an hour ahead of its reception did not happen yet
_SUSPECT = int(RecordFlag.SUSPECT)
_NAMED = frozenset((
    "@context", "type", "eventTime", "recordTime", "eventTimeZoneOffset", "eventID", "action", "bizStep", "disposition",
    "persistentDisposition", "readPoint", "bizLocation", "bizTransactionList", "sourceList", "destinationList",
    "epcList", "quantityList", "parentID", "childEPCs", "childQuantityList", "inputEPCList", "inputQuantityList",
    "outputEPCList", "outputQuantityList", "transformationID", "sensorElementList", "ilmd", "errorDeclaration",
))  # fmt: skip


class Epcis:
    """EPCIS events. Twenty-one fields, each its own commitment, so that a partner can be shown the place without the
    things, or the lot without the parties."""

    name = "epcis"
    code = 7
    version = 1

    def prepare(self, payload: bytes, context: Context) -> Prepared:
        """See Kind.prepare. Limits apply to the values of sensor reports; the series is the type of the report."""
        try:
            event = OPENED.take(payload) or open_event(payload)
        except EpcisError as e:
            raise PayloadRejected(str(e)) from e
        bits = _sensed(event, context)
        if event.time_us > context.received_us + FUTURE_US:
            bits |= _SUSPECT
        fields = fields_of(event)
        return Prepared(fields, FLAGS[bits], event.time_us, index_of(event))

    def json_schema(self) -> dict[str, Any]:
        """See Kind.json_schema."""
        return event_schema(self.name, self.version)


def fields_of(event: Event) -> tuple[tuple[str, CborValue], ...]:
    """What is committed, in its order."""
    body = event.body
    return (
        ("hash", event.hash_id),
        ("type", event.type),
        ("time_us", event.time_us),
        ("offset", event.offset),
        ("action", event.action),
        ("step", event.biz_step),
        ("disposition", event.disposition),
        ("persistent", [list(words) for words in event.persistent]),
        ("read_point", event.read_point),
        ("location", event.biz_location),
        ("things", [[t.role, t.uri, None if t.quantity is None else float(t.quantity), t.uom] for t in event.things]),
        ("transactions", _pairs(event.transactions)),
        ("sources", _pairs(event.sources)),
        ("destinations", _pairs(event.destinations)),
        ("transformation", event.transformation),
        ("sensors", list(event.sensors)),
        ("ilmd", dict(event.ilmd)),
        ("event_id", event.event_id),
        ("record_us", event.record_us),
        ("declaration", _declaration(event.error)),
        ("extensions", {name: value for name, value in body.items() if name not in _NAMED}),
    )


def index_of(event: Event) -> tuple[tuple[str, str], ...]:
    """Each thing by its canonical URI (`epc`), and by what is in it: gtin, lot, serial."""
    return tuple(dict.fromkeys(pair for thing in event.things for pair in terms_of_thing(thing.uri)))


def terms_of_thing(uri: str) -> list[tuple[str, str]]:
    """The terms of one canonical URI."""
    named = zip(("epc", "gtin", "lot", "serial"), (uri, *product_of(uri)), strict=True)
    return [(term, value) for term, value in named if value is not None]


def _pairs(given: tuple[Typed, ...]) -> CborValue:
    return [[one.type, one.uri] for one in given]


def _declaration(declared: ErrorDeclaration | None) -> CborValue:
    return None if declared is None else [declared.time_us, declared.reason, list(declared.corrective)]


def _sensed(event: Event, context: Context) -> int:
    """Flag bits of the sensor reports: what they report as an alarm, and values outside of the source's limits."""
    bits = 0
    for element in event.sensors:
        for report in element["sensorReport"]:
            if EXCEPTION.read(report.get("exception", "ERROR_CONDITION"), event.prefixes) == "ALARM_CONDITION":
                bits |= OUTSIDE
            if context.limits and "value" in report and "type" in report:
                bits |= _outside(MEASUREMENT.read(report["type"], event.prefixes), report, context)
    return bits


def _outside(series: str, report: dict[str, Any], context: Context) -> int:
    unit = lookup(report.get("uom"))
    if unit is None:
        return excursion(series, float(report["value"]), report.get("uom"), context)
    return excursion(series, unit.to_base(float(report["value"])), unit.base, context)
