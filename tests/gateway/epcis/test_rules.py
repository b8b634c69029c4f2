"""What events may and must have: each rule broken once, refused at its place."""

from typing import Any

import pytest

from gateway.epcis.errors import EpcisError
from gateway.epcis.event import open_event
from tests.gateway.epcis.examples import CONTEXT, EPC, payload

SENSORS = "/sensorElementList/0/sensorReport/0"


def sensor(**members: Any) -> dict[str, Any]:
    return {"sensorElementList": [{"sensorReport": [{"type": "Temperature"} | members]}]}


def metadata(**members: Any) -> dict[str, Any]:
    return {"sensorElementList": [{"sensorMetadata": members, "sensorReport": [{"type": "Count"}]}]}


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    # what must be there
    ("ObjectEvent", {"@context": None}, "", "@context"),
    ("ObjectEvent", {"type": None}, "", "expected one of ObjectEvent"),
    ("ObjectEvent", {"type": "ex:Event"}, "/type", "expected one of ObjectEvent"),
    ("ObjectEvent", {"eventTime": None}, "", "eventTime"),
    ("ObjectEvent", {"eventTimeZoneOffset": None}, "", "eventTimeZoneOffset"),
    ("ObjectEvent", {"action": None}, "", "action"),
    ("ObjectEvent", {"epcList": None}, "", "expected epcList"),
    ("ObjectEvent", {"epcList": None, "quantityList": []}, "", "expected epcList"),
    ("ObjectEvent", sensor(exception="ALARM_CONDITION") | {"epcList": None}, "", "readPoint"),
    ("AggregationEvent", {"parentID": None}, "", "parentID"),
    ("AggregationEvent", {"parentID": None, "action": "DELETE"}, "", "parentID"),
    ("AggregationEvent", {"childEPCs": []}, "", "children"),
    ("AssociationEvent", {"parentID": None, "action": "OBSERVE"}, "", "parentID"),
    ("TransactionEvent", {"bizTransactionList": None}, "", "bizTransactionList"),
    ("TransactionEvent", {"bizTransactionList": []}, "/bizTransactionList", "at least one"),
    ("TransactionEvent", {"epcList": None}, "", "epcList or quantityList"),
    ("TransformationEvent", {"outputEPCList": None}, "", "inputs and outputs"),
    ("TransformationEvent", {"inputEPCList": [], "outputEPCList": [], "transformationID": "urn:x:1"}, "", "inputs"),
    # what may not be there
    ("ObjectEvent", {"parentID": "urn:x:1"}, "/parentID", "not EPCIS's"),
    ("TransformationEvent", {"action": "ADD"}, "/action", "not EPCIS's"),
    ("AggregationEvent", {"ilmd": {}}, "/ilmd", "not EPCIS's"),
    ("ObjectEvent", {"ilmd": {"ex:a": "1"}}, "/ilmd", "action ADD only"),
    ("ObjectEvent", {"action": "ADD", "ilmd": {"lotNumber": "1"}}, "/ilmd/lotNumber", "prefix"),
    ("ObjectEvent", {"action": "ADD", "ilmd": {"no:lot": "1"}}, "/ilmd/no:lot", "not declared"),
    ("ObjectEvent", {"no:field": 1}, "/no:field", "not declared"),
    ("ObjectEvent", {"ex:": 1}, "/ex:", "no name"),
    ("ObjectEvent", {"http://x.example/a\0b": 1}, "/http:~1~1x.example~1a\0b", "control characters"),
    ("ObjectEvent", {"ex:a": {"urn:x:\0": 1}}, "/ex:a/urn:x:\0", "control characters"),
    ("ObjectEvent", {"ex:a\0": 1}, "/ex:a\0", "expected a URI"),
    ("ObjectEvent", {"@context": [CONTEXT, {"ex": "http://x.example/\0"}]}, "/@context/ex", "control characters"),
    ("ObjectEvent", {"ex:a": {"b": [{"no:c": 1}]}}, "/ex:a/b/0/no:c", "not declared"),
    ("ObjectEvent", {"ex:a": 2**53 + 1}, "/ex:a", "2\\^53"),
    ("ObjectEvent", {"ex:a/b~c": 2**60}, "/ex:a~1b~0c", "2\\^53"),
    ("ObjectEvent", {"readPoint": {"id": "urn:x:1", "plain": 1}}, "/readPoint/plain", "prefix"),
    ("ObjectEvent", {"@context": [CONTEXT, 7]}, "/@context/1", "URIs and objects"),
    # contexts by which other readers would read something else
    *(
        ("ObjectEvent", {"@context": [CONTEXT, {"ex": "urn:x:", term: "urn:evil:"}]}, f"/@context/{term}", reason)
        for term, reason in (
            ("https", "others read"), ("http", "others read"), ("urn", "others read"), ("@vocab", "others read"),
            ("@import", "others read"), ("@base", "others read"), ("epcList", "own name"), ("quantity", "own name"),
            ("shipping", "own name"), ("recalled", "own name"), ("sensorReport", "own name"), ("id", "own name"),
        )
    ),
    # times
    *(
        ("ObjectEvent", {"eventTime": wrong}, "/eventTime", "expected a time")
        for wrong in (
            "2026-11-18T12:00:00", "2026-11-18", "18-11-2026", "2026-11-18 12:00:00Z", "2026-02-29T12:00:00Z",
            "2026-11-18T24:00:00Z", "2026-11-18T12:60:00Z", "2026-11-18T12:00:60Z", "1969-12-31T23:59:59Z",
            "9999-12-31T23:59:59Z", "2026-11-18T12:00:00.Z", "2026-11-18T12:00:00Z\n", "２026-11-18T12:00:00Z", 7, None,
        )
        if wrong is not None
    ),
    ("ObjectEvent", {"eventTime": "2026-11-18T12:00:00+24:00"}, "/eventTime", "expected an offset"),
    ("ObjectEvent", {"recordTime": "now"}, "/recordTime", "expected a time"),
    *(
        ("ObjectEvent", {"eventTimeZoneOffset": wrong}, "/eventTimeZoneOffset", "expected an offset")
        for wrong in ("Z", "01:00", "+1:00", "+14:30", "+15:00", "+01:60", "+01:00 ", 1)
    ),
    # words
    ("ObjectEvent", {"action": "add"}, "/action", "expected ADD"),
    ("ObjectEvent", {"action": ["ADD"]}, "/action", "expected ADD"),
    ("ObjectEvent", {"bizStep": "transforming"}, "/bizStep", "business step"),
    ("ObjectEvent", {"bizStep": "Shipping"}, "/bizStep", "business step"),
    ("ObjectEvent", {"bizStep": "urn:epcglobal:cbv:bizstep:shipping"}, "/bizStep", "last part"),
    ("ObjectEvent", {"bizStep": "https://ns.gs1.org/cbv/BizStep-shipping"}, "/bizStep", "last part"),
    ("ObjectEvent", {"bizStep": "https://ref.gs1.org/cbv/BizStep-nonsense"}, "/bizStep", "business step"),
    ("ObjectEvent", {"bizStep": "cbv:BizStep-nonsense"}, "/bizStep", "business step"),
    ("ObjectEvent", {"bizStep": "a step: of mine"}, "/bizStep", "URI"),
    *(
        ("ObjectEvent", {"bizStep": wrong}, "/bizStep", "business step")
        for wrong in (
            "https://ref.gs1.org/cbv/Disp-active", "cbv:Disp-active", "https://ref.gs1.org/cbv/BTT-po",
            "https://ref.gs1.org/cbv/anything", "https://ref.gs1.org/cbv/", "https://ref.gs1.org/cbv/BizStep-",
            "HTTPS://REF.gs1.org/cbv/BizStep-foo", "https://ref.gs1.org/cbv/bizstep-shipping", "gs1:Temperature",
        )
    ),
    ("ObjectEvent", {"bizStep": "http://ref.gs1.org/cbv/BizStep-foo"}, "/bizStep", "last part"),
    ("ObjectEvent", {"@context": {"a": "https://ref.gs1.org/"}, "bizStep": "a:cbv/Disp-active"}, "/bizStep", "step"),
    ("ObjectEvent", {"disposition": "cbv:BizStep-shipping"}, "/disposition", "disposition"),
    ("ObjectEvent", {"sourceList": [{"type": "cbv:SDT-owner", "source": "urn:x:1"}]}, "/sourceList/0/type", "source"),
    ("ObjectEvent", {"sourceList": [{"type": "cbv:Disp-active", "source": "urn:x:1"}]}, "/sourceList/0/type", "source"),
    ("ObjectEvent", {"bizTransactionList": [{"type": "cbv:Disp-active", "bizTransaction": "urn:x:1"}]},
     "/bizTransactionList/0/type", "transaction type"),
    ("ObjectEvent", sensor(type="cbv:Disp-active"), f"{SENSORS}/type", "measurement type"),
    ("ObjectEvent", sensor(component="gs1:Temperature"), f"{SENSORS}/component", "component"),
    ("ObjectEvent", {"disposition": "in_transport"}, "/disposition", "disposition"),
    ("ObjectEvent", {"persistentDisposition": {}}, "/persistentDisposition", "neither"),
    ("ObjectEvent", {"persistentDisposition": {"set": []}}, "/persistentDisposition/set", "list of 1"),
    ("ObjectEvent", {"persistentDisposition": {"set": ["x"]}}, "/persistentDisposition/set/0", "disposition"),
    ("ObjectEvent", {"persistentDisposition": {"set": ["recalled", "recalled"]}}, "/persistentDisposition/set", "once"),
    ("ObjectEvent", {"persistentDisposition": {"set": ["recalled"], "unset": ["recalled"]}}, "/persistentDisposition",
     "both"),
    ("ObjectEvent", {"bizTransactionList": [{"type": "x", "bizTransaction": "urn:x:1"}]}, "/bizTransactionList/0/type",
     "transaction type"),
    ("ObjectEvent", {"bizTransactionList": [{"type": "po"}]}, "/bizTransactionList/0", "bizTransaction"),
    ("ObjectEvent", {"sourceList": [{"source": "urn:x:1"}]}, "/sourceList/0", "type"),
    ("ObjectEvent", {"sourceList": [{"type": "owner", "source": "urn:x:1"}]}, "/sourceList/0/type", "source or"),
    ("ObjectEvent", {"destinationList": [{"type": "location", "source": "urn:x:1"}]}, "/destinationList/0/source",
     "does not belong"),
    ("ObjectEvent", {"errorDeclaration": {}}, "/errorDeclaration", "declarationTime"),
    ("ObjectEvent", {"errorDeclaration": {"declarationTime": "2026-11-18T12:00:00Z", "reason": "oops"}},
     "/errorDeclaration/reason", "error reason"),
    ("ObjectEvent", {"errorDeclaration": {"declarationTime": "2026-11-18T12:00:00Z", "correctiveEventIDs": ["x"]}},
     "/errorDeclaration/correctiveEventIDs/0", "URI"),
    ("ObjectEvent", {"certificationInfo": ["x"]}, "/certificationInfo/0", "URI"),
    ("ObjectEvent", {"certificationInfo": 7}, "/certificationInfo", "URI"),
    # things
    ("ObjectEvent", {"epcList": [EPC, EPC]}, "/epcList", "once"),
    ("ObjectEvent", {"epcList": [EPC, "https://id.gs1.org/01/09506000134353"]}, "/epcList/1", "check digit"),
    ("ObjectEvent", {"epcList": "x"}, "/epcList", "list"),
    ("ObjectEvent", {"@context": {"gtin": "https://id.gs1.org/01/"}, "epcList": ["gtin:09506000134353"]}, "/epcList/0",
     "check digit"),
    ("ObjectEvent", {"quantityList": [{"quantity": 1}]}, "/quantityList/0", "epcClass"),
    ("ObjectEvent", {"quantityList": [{"epcClass": "urn:x:1", "quantity": True}]}, "/quantityList/0/quantity",
     "number"),
    ("ObjectEvent", {"quantityList": [{"epcClass": "urn:x:1", "quantity": 1.5}]}, "/quantityList/0/quantity", "uom"),
    ("ObjectEvent", {"quantityList": [{"epcClass": "urn:x:1", "quantity": -1, "uom": "KGM"}]},
     "/quantityList/0/quantity", "count"),
    ("ObjectEvent", {"quantityList": [{"epcClass": "urn:x:1", "uom": "KGM"}]}, "/quantityList/0/uom", "quantity"),
    ("ObjectEvent", {"quantityList": [{"epcClass": "urn:x:1", "quantity": 1, "uom": "kg"}]}, "/quantityList/0/uom",
     "Recommendation 20"),
    # sensors
    ("ObjectEvent", {"sensorElementList": [{}]}, "/sensorElementList/0", "sensorReport"),
    ("ObjectEvent", {"sensorElementList": [{"sensorReport": []}]}, "/sensorElementList/0/sensorReport", "1 or more"),
    ("ObjectEvent", {"sensorElementList": [{"sensorReport": [{"value": 1}]}]}, SENSORS, "field type"),
    ("ObjectEvent", sensor(type="temperature"), f"{SENSORS}/type", "measurement type"),
    ("ObjectEvent", sensor(exception="ALARM"), f"{SENSORS}/exception", "sensor exception"),
    ("ObjectEvent", sensor(component="w"), f"{SENSORS}/component", "component"),
    ("ObjectEvent", sensor(value=5), SENSORS, "unit"),
    ("ObjectEvent", sensor(value=5, uom="KGM"), f"{SENSORS}/uom", "does not measure"),
    ("ObjectEvent", sensor(value="5", uom="CEL"), f"{SENSORS}/value", "number"),
    ("ObjectEvent", sensor(booleanValue="true"), f"{SENSORS}/booleanValue", "true or false"),
    ("ObjectEvent", sensor(hexBinaryValue="f0\n"), f"{SENSORS}/hexBinaryValue", "hexadecimal"),
    ("ObjectEvent", sensor(minValue=2, maxValue=1, uom="CEL"), f"{SENSORS}/maxValue", "at least"),
    ("ObjectEvent", sensor(plain=1), f"{SENSORS}/plain", "prefix"),
    ("ObjectEvent", metadata(startTime="2026-11-18T12:00:00Z", endTime="2026-11-18T12:00:00+01:00"),
     "/sensorElementList/0/sensorMetadata/endTime", "at or after"),
    ("ObjectEvent", metadata(deviceID="logger 7"), "/sensorElementList/0/sensorMetadata/deviceID", "URI"),
]  # fmt: skip
TAKEN: list[tuple[str, dict[str, Any]]] = [
    ("ObjectEvent", {"bizStep": "https://example.com/steps/blessing", "disposition": "urn:own:blessed"}),
    ("ObjectEvent", {"bizStep": "https://ref.gs1.org/cbv/BizStep-shipping", "disposition": "cbv:Disp-active"}),
    ("ObjectEvent", {"sourceList": [{"type": "cbv:my_own_party", "source": "urn:x:1"}]}),
    ("ObjectEvent", sensor(type="gs1:Flavour", component="cbv:Comp-x")),
    ("ObjectEvent", {"epcList": [], "quantityList": [{"epcClass": "urn:x:1"}]}),
    ("ObjectEvent", {"epcList": None, "readPoint": {"id": "geo:1,2"}} | sensor(value=5.5, uom="CEL")),
    ("ObjectEvent", sensor(value=1, uom="A unit of ours")),
    ("ObjectEvent", sensor(type="ex:humour", value=1)),
    ("ObjectEvent", {"action": "ADD", "ilmd": {"ex:a": {"plain": None}, "cbvmda:lotNumber": "7", "urn:x:y": 1}}),
    ("ObjectEvent", {"readPoint": {"id": "urn:x:1", "ex:bay": 7}, "rdfs:comment": "x", "https://example.com/a": 1}),
    ("ObjectEvent", {"@context": {"ex": "urn:x:"}}),
    ("ObjectEvent", {"@context": CONTEXT}),
    ("ObjectEvent", {"certificationInfo": ["urn:x:1", "urn:x:2"]}),
    ("ObjectEvent", {"ex:a": {"sourceList": [{"type": 7}, 8], "epcList": {"quantityList": "x"}}}),
    ("ObjectEvent", {"eventTime": "2024-02-29T23:59:59.123456789123-14:00"}),
    ("AggregationEvent", {"action": "DELETE", "childEPCs": None}),
    ("AggregationEvent", {"action": "OBSERVE", "parentID": None}),
    ("AggregationEvent", {"childEPCs": [], "childQuantityList": [{"epcClass": "urn:x:1", "quantity": 3}]}),
    ("TransactionEvent", {"action": "DELETE", "epcList": None, "parentID": "urn:x:1"}),
    ("TransformationEvent", {"inputEPCList": None, "transformationID": "urn:x:1", "ilmd": {"ex:a": 1}}),
]


@pytest.mark.parametrize(("kind", "change", "place", "reason"), REFUSED)
def test_refused(kind: str, change: dict[str, Any], place: str, reason: str) -> None:
    open_event(payload(kind))
    with pytest.raises(EpcisError, match=reason) as caught:
        open_event(payload(kind, **change))
    assert caught.value.place == place
    assert str(caught.value).startswith(place)


@pytest.mark.parametrize(("kind", "change"), TAKEN)
def test_taken(kind: str, change: dict[str, Any]) -> None:
    open_event(payload(kind, **change))


def test_what_an_event_says() -> None:
    found = open_event(
        payload("TransformationEvent", inputQuantityList=[{"epcClass": "urn:x:1", "quantity": 2.5, "uom": "KGM"}])
    )
    assert [(t.role, t.quantity, t.uom) for t in found.things] == [
        ("input", None, None), ("input", 2.5, "KGM"), ("output", None, None),
    ]  # fmt: skip
    assert found.action is None
    packed = open_event(payload("AggregationEvent", bizStep="cbv:BizStep-packing"))
    assert [(t.role, t.uri) for t in packed.things] == [
        ("parent", "https://id.gs1.org/00/040123450000003338"),
        ("child", EPC),
    ]
    assert packed.biz_step == "packing"
    both = open_event(payload(epcList=[EPC, "https://example.com/gtin/9506000134352/ser/1"]))
    assert [t.uri for t in both.things] == [EPC]
    short = open_event(
        payload(**{"@context": {"gtin": "https://id.gs1.org/01/"}, "epcList": ["gtin:09506000134352/21/1"]})
    )
    assert (short.things, short.hash) == (both.things[:1], open_event(payload()).hash)
