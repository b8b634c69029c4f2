"""The kind `epcis`: what is committed, flagged and found, and an event on its whole way through the log."""

import json
from pathlib import Path
from typing import Any

import pytest

from chain.record import RecordFlag
from chain.site import SiteReader
from chain.verify import Outcome, verify_receipt
from gateway.access import SourceSettings
from gateway.epcis.event import MAX_EVENT_DEPTH, open_event
from gateway.index.terms import terms_of
from gateway.preprocess import kinds
from gateway.preprocess.errors import PayloadRejected
from gateway.preprocess.kind import Context, Limits
from gateway.query.detail import record_detail
from gateway.query.records import RecordFilter, list_records
from gateway.query.summary import summary_of
from gateway.query.view import View
from tests.gateway.api.site import SECOND, START_US, Site
from tests.gateway.epcis.examples import EPC, event, payload

KIND = kinds.by_name("epcis")
EVENT_US = 1_795_000_000_000_000 - 1_795_000_000_000_000 % 86_400_000_000 + 11 * 3_600_000_000
RECEIVED = Context(EVENT_US, EVENT_US)
FULL: dict[str, Any] = {
    "action": "ADD", "bizStep": "commissioning", "disposition": "active",
    "epcList": [EPC, "urn:epc:id:sscc:4012345.0000000333"],
    "quantityList": [{"epcClass": "urn:epc:class:lgtin:4012345.012345.L-1", "quantity": 200, "uom": "KGM"}],
    "readPoint": {"id": "urn:epc:id:sgln:4012345.00005.0"}, "bizLocation": {"id": "urn:epc:id:sgln:4012345.00011.987"},
    "bizTransactionList": [{"type": "po", "bizTransaction": "urn:x:po"}, {"bizTransaction": "urn:x:other"}],
    "sourceList": [{"type": "owning_party", "source": "urn:epc:id:pgln:4012345.00225"}],
    "destinationList": [{"type": "urn:own:party", "destination": "urn:epc:id:pgln:0614141.00777"}],
    "ilmd": {"ex:expiry": "2028-01-31"}, "eventID": "urn:uuid:1", "recordTime": "2026-11-18T12:00:01Z",
    "persistentDisposition": {"set": ["completeness_verified"]},
    "errorDeclaration": {
        "declarationTime": "2026-11-18T13:00:00Z", "reason": "incorrect_data", "correctiveEventIDs": ["urn:uuid:2"],
    },
    "ex:extra": [1, {"ex:x": "y"}], "certificationInfo": "urn:x:cert",
}  # fmt: skip


def test_the_fields_and_their_order() -> None:
    prepared = KIND.prepare(payload(**FULL), RECEIVED)
    assert prepared.sensed_us == EVENT_US
    assert prepared.fields == (
        ("hash", open_event(payload(**FULL)).hash_id),
        ("type", "ObjectEvent"),
        ("time_us", EVENT_US),
        ("offset", "+01:00"),
        ("action", "ADD"),
        ("step", "commissioning"),
        ("disposition", "active"),
        ("persistent", [["completeness_verified"], []]),
        ("read_point", "https://id.gs1.org/414/4012345000054"),
        ("location", "https://id.gs1.org/414/4012345000115/254/987"),
        (
            "things",
            [
                ["epc", EPC, None, None],
                ["epc", "https://id.gs1.org/00/040123450000003338", None, None],
                ["epc", "https://id.gs1.org/01/04012345123456/10/L-1", 200.0, "KGM"],
            ],
        ),
        ("transactions", [["po", "urn:x:po"], [None, "urn:x:other"]]),
        ("sources", [["owning_party", "https://id.gs1.org/417/4012345002256"]]),
        ("destinations", [["urn:own:party", "https://id.gs1.org/417/0614141007776"]]),
        ("transformation", None),
        ("sensors", []),
        ("ilmd", {"ex:expiry": "2028-01-31"}),
        ("event_id", "urn:uuid:1"),
        ("record_us", EVENT_US + 3_601_000_000),
        ("declaration", [EVENT_US + 7_200_000_000, "incorrect_data", ["urn:uuid:2"]]),
        ("extensions", {"ex:extra": [1, {"ex:x": "y"}], "certificationInfo": "urn:x:cert"}),
    )


def test_every_event_has_the_same_fields() -> None:
    names = [name for name, _ in KIND.prepare(payload(**FULL), RECEIVED).fields]
    for kind in ("ObjectEvent", "AggregationEvent", "TransactionEvent", "TransformationEvent", "AssociationEvent"):
        assert [name for name, _ in KIND.prepare(payload(kind), RECEIVED).fields] == names


def test_things_are_found_by_what_is_in_them() -> None:
    prepared = KIND.prepare(payload(**FULL), RECEIVED)
    assert prepared.index == (
        ("epc", EPC), ("gtin", "09506000134352"), ("serial", "1"), ("epc", "https://id.gs1.org/00/040123450000003338"),
        ("epc", "https://id.gs1.org/01/04012345123456/10/L-1"), ("gtin", "04012345123456"), ("lot", "L-1"),
    )  # fmt: skip
    assert terms_of(KIND.code, prepared.fields) == prepared.index
    assert summary_of(KIND.code, prepared.fields) == "commissioning, 3 things, at https://id.gs1.org/414/4012345000054"


def sensor(**report: Any) -> bytes:
    return payload(sensorElementList=[{"sensorReport": [{"type": "Temperature", "uom": "FAH"} | report]}])


def test_flags() -> None:
    warm = Context(EVENT_US, EVENT_US, (("Temperature", Limits(2.0, 8.0, "Cel")),))
    outside = RecordFlag.OUT_OF_RANGE | RecordFlag.URGENT
    assert KIND.prepare(sensor(value=41), warm).flags == RecordFlag.NONE  # 5 °C
    assert KIND.prepare(sensor(value=50), warm).flags == outside
    assert KIND.prepare(sensor(value=50), RECEIVED).flags == RecordFlag.NONE
    assert KIND.prepare(sensor(exception="gs1:ALARM_CONDITION"), RECEIVED).flags == outside
    early = Context(EVENT_US, EVENT_US - 3_600_000_001)
    assert KIND.prepare(payload(), early).flags == RecordFlag.SUSPECT


def test_a_refusal_says_where() -> None:
    with pytest.raises(PayloadRejected, match=r"^/epcList/0: a GS1 key is misread"):
        KIND.prepare(payload(epcList=["https://id.gs1.org/01/09506000134353"]), RECEIVED)


def nested(depth: int) -> Any:
    return {"ex:a": nested(depth - 1)} if depth else "x"


def test_an_event_goes_through_the_log_and_one_field_is_proved_alone(site: Site) -> None:
    device = site.device("line-1", SourceSettings(kinds=("epcis",)))
    deep = event(**FULL) | {"ilmd": nested(MAX_EVENT_DEPTH - 1)}
    raw = device.event("epcis", deep, START_US)
    site.take("line-1", [raw], [device.seal(START_US)], received_us=START_US + SECOND)
    site.anchor()
    site.follow()
    view = View.open(site.folder)
    try:
        for term in (("epc", EPC), ("serial", "1"), ("lot", "L-1"), ("gtin", "04012345123456")):
            found = list_records(view, RecordFilter(kind="epcis", terms=(term,)), 10, payloads=True).records
            assert [row.leaf for row in found] == [0], term
        content = record_detail(view, 0).content
        assert content is not None
        assert json.loads(content.event.payload) == deep
    finally:
        view.close()
    reader = SiteReader.open(site.folder)
    try:
        made = [site.receipts(reader).build(0, disclose) for disclose in (["read_point"], None)]
    finally:
        reader.close()
    assert [verify_receipt(one, site.policy).outcome for one in made] == [Outcome.VALID] * 2
    assert [field.path for field in made[0].fields] == ["read_point"]


def test_the_published_schema_takes_what_the_kind_takes(tmp_path: Path) -> None:
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(KIND.json_schema())
    Draft202012Validator.check_schema(KIND.json_schema())
    for kind in ("ObjectEvent", "AggregationEvent", "TransactionEvent", "TransformationEvent", "AssociationEvent"):
        assert validator.is_valid(event(kind))
        assert not validator.is_valid(event(kind, eventTime=None))
        assert not validator.is_valid(event(kind, plain="x"))
    assert validator.is_valid(event(**FULL))
