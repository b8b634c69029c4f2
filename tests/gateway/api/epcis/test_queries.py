"""Queries by the parameters of EPCIS 2.0 section 8.2.7.1, on a small history whose answers are known."""

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from gateway.access import Scope
from gateway.api.epcis.asking import FRESH_WITHIN_S
from gateway.enquiry.fixed import FIXED
from gateway.epcis.event import open_event
from tests.gateway.api.epcis.asking import captured, events_in, listed, refused
from tests.support.served import Served
from tests.support.trade import CONTEXT, case, event, lot, objects, pack, packed, place, when

EXT = {"ext": "https://ns.example.com/epcis/"}
EXTENSIONS = {"GS1-Extensions": "x=https://ns.example.com/epcis/"}
UUID = "urn:uuid:9a2f0c3e-0000-4000-8000-000000000001"


def _rich() -> bytes:
    """An event with something of everything."""
    body = json.loads(objects(20, "inspecting", pack(2, 1), disposition="damaged"))
    return json.dumps(body | {
        "@context": [*CONTEXT, EXT], "eventID": UUID, "readPoint": {"id": "urn:epc:id:sgln:4012345.00001.gate7"},
        "bizLocation": {"id": "urn:epc:id:sgln:4012345.00001.0"}, "persistentDisposition": {"set": ["recalled"]},
        "bizTransactionList": [{"type": "po", "bizTransaction": "https://example.com/po/7"}],
        "sourceList": [{"type": "owning_party", "source": "urn:epc:id:pgln:4012345.00001"}],
        "destinationList": [{"type": "owning_party", "destination": "urn:epc:id:pgln:4012345.00002"}],
        "quantityList": [{"epcClass": lot(3, "A7"), "quantity": 12.5, "uom": "KGM"}],
        "sensorElementList": [{
            "sensorMetadata": {"time": when(19), "deviceID": "urn:epc:id:giai:4012345.dev7"},
            "sensorReport": [{"type": "Temperature", "value": 9.5, "uom": "CEL", "minValue": 2.5},
                             {"type": "RelativeHumidity", "value": 50, "uom": "P1", "booleanValue": True}],
        }],
        "ext:count": 5, "ext:due": when(30), "ext:box": {"ext:colour": "red"},
    }).encode()  # fmt: skip


EVENTS = [
    objects(0, "commissioning", pack(2, 1), pack(2, 2), action="ADD", at=place(1), ilmd={"ext:grade": "B"},
            **{"@context": [*CONTEXT, EXT]}),
    packed(5, case(1), pack(2, 1), pack(2, 2), at=place(1)),
    objects(10, "shipping", case(1), at=place(2), disposition="in_transit"),
    event("Transformation", 15, "creating_class_instance", inputEPCList=[pack(2, 2)], outputEPCList=[pack(4, 1)],
          inputQuantityList=[{"epcClass": lot(5, "R1"), "quantity": 3, "uom": "KGM"}],
          transformationID="https://example.com/batch/9"),
    _rich(),
    objects(25, "receiving", "urn:epc:id:sgtin:0614141.107346.2018", at=place(3)),
]  # fmt: skip
ALL = set(range(6))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("queries") / "data") as running:
        captured(running.client(Scope.CAPTURE), listed(*EVENTS))
        yield running


@pytest.fixture(scope="module")
def client(site: Served) -> httpx.Client:
    return site.client(Scope.AUDITOR)


def numbers(answer: httpx.Response) -> list[int]:
    known = [{k: v for k, v in json.loads(event).items() if k != "@context"} for event in EVENTS]
    return [known.index(found) for found in events_in(answer)]


HASH_2 = open_event(EVENTS[2]).hash_id
QUERIES: list[tuple[dict[str, str], set[int]]] = [
    ({}, ALL),
    ({"eventType": "AggregationEvent|TransformationEvent"}, {1, 3}),
    ({"GE_eventTime": when(10)}, {2, 3, 4, 5}), ({"LT_eventTime": when(10)}, {0, 1}),
    ({"GE_eventTime": when(5), "LT_eventTime": when(15)}, {1, 2}),
    ({"GE_eventTime": when(10).replace("Z", "+00:00")}, {2, 3, 4, 5}),
    ({"GE_recordTime": "2020-01-01T00:00:00Z"}, ALL), ({"LT_recordTime": "2020-01-01T00:00:00Z"}, set()),
    ({"EQ_action": "ADD"}, {0, 1}), ({"EQ_action": "OBSERVE|DELETE"}, {2, 4, 5}),
    ({"EQ_bizStep": "shipping|receiving"}, {2, 5}), ({"EQ_bizStep": "https://ref.gs1.org/cbv/BizStep-packing"}, {1}),
    ({"EQ_disposition": "in_transit"}, {2}), ({"EQ_disposition": "damaged|in_transit"}, {2, 4}),
    ({"EQ_persistentDisposition_set": "recalled"}, {4}), ({"EQ_persistentDisposition_unset": "recalled"}, set()),
    ({"EQ_readPoint": place(1)}, {0, 1}), ({"EQ_readPoint": "urn:epc:id:sgln:4012345.00001.gate7"}, {4}),
    ({"WD_readPoint": "urn:epc:id:sgln:4012345.00001.0"}, {0, 1, 4}), ({"EQ_bizLocation": place(2)}, {2}),
    ({"WD_bizLocation": place(1)}, {0, 1, 4}),
    ({"EQ_bizTransaction_po": "https://example.com/po/7"}, {4}),
    ({"EQ_bizTransaction_inv": "https://example.com/po/7"}, set()),
    ({"EQ_source_owning_party": "urn:epc:id:pgln:4012345.00001"}, {4}),
    ({"EQ_destination_owning_party": "urn:epc:id:pgln:4012345.00001"}, set()),
    ({"EQ_transformationID": "https://example.com/batch/9"}, {3}),
    ({"MATCH_epc": pack(2, 1)}, {0, 1, 4}), ({"MATCH_parentID": case(1)}, {1}), ({"MATCH_epc": case(1)}, {2}),
    ({"MATCH_inputEPC": pack(2, 2)}, {3}), ({"MATCH_outputEPC": pack(4, 1)}, {3}),
    ({"MATCH_anyEPC": pack(2, 2)}, {0, 1, 3}), ({"MATCH_anyEPC": f"{case(1)}|{pack(4, 1)}"}, {1, 2, 3}),
    ({"MATCH_epc": "https://id.gs1.org/01/10614141073464/21/2018"}, {5}),
    ({"MATCH_epc": "urn:epc:idpat:sgtin:0614141.107346.*"}, {5}),
    ({"MATCH_epc": "urn:epc:idpat:sgtin:0614141.*.*"}, {5}),
    ({"MATCH_anyEPC": "urn:epc:idpat:sscc:4012345.*"}, {1, 2}),
    ({"MATCH_epc": "urn:epc:idpat:sgtin:0614142.*.*"}, set()),
    ({"MATCH_epcClass": lot(3, "A7")}, {4}), ({"MATCH_epc": lot(3, "A7")}, set()),
    ({"MATCH_anyEPC": lot(3, "A7")}, set()),
    ({"MATCH_inputEPCClass": lot(5, "R1")}, {3}), ({"MATCH_outputEPCClass": lot(5, "R1")}, set()),
    ({"MATCH_anyEPCClass": f"{lot(5, 'R1')}|{lot(3, 'A7')}"}, {3, 4}),
    ({"EQ_quantity": "3"}, {3}), ({"GT_quantity": "3"}, {4}), ({"GE_quantity_KGM": "3"}, {3, 4}),
    ({"LE_quantity": "3.0"}, {3}),
    ({"LT_quantity_LTR": "100"}, set()),
    ({"EQ_eventID": UUID}, {4}), ({"EQ_eventID": f"{UUID}|{HASH_2}"}, {2, 4}),
    ({"EXISTS_errorDeclaration": "true"}, set()), ({"EXISTS_errorDeclaration": "false"}, ALL),
    ({"EQ_type": "Temperature"}, {4}), ({"EQ_type": "Pressure"}, set()), ({"EXISTS_sensorElementList": "true"}, {4}),
    ({"GE_value_CEL": "9.5"}, {4}), ({"GT_value_CEL": "9.5"}, set()), ({"EQ_value_P1": "50"}, {4}),
    ({"LT_minValue_CEL": "3"}, {4}),
    ({"EQ_deviceID": "urn:epc:id:giai:4012345.dev7"}, {4}), ({"EQ_booleanValue": "true"}, {4}),
    ({"EQ_booleanValue": "false"}, set()), ({"GE_time": when(19), "LT_time": when(20)}, {4}),
    ({"GE_time": when(20)}, set()),
    ({"EQ_x:count": "5"}, {4}), ({"GT_x:count": "4.5"}, {4}), ({"LT_x:count": "5"}, set()),
    ({"EXISTS_x:box": "true"}, {4}),
    ({"EQ_https://ns.example.com/epcis/count": "5"}, {4}),
    ({"GE_x:due": when(30)}, {4}), ({"LT_x:due": when(30)}, set()), ({"EQ_INNER_x:colour": "red|blue"}, {4}),
    ({"EQ_x:colour": "red"}, set()), ({"EQ_ILMD_x:grade": "B"}, {0}), ({"EXISTS_ILMD_x:grade": "true"}, {0}),
    ({"EQ_bizStep": "shipping", "EQ_action": "ADD"}, set()), ({"MATCH_anyEPC": pack(2, 1), "EQ_action": "ADD"}, {0, 1}),
]  # fmt: skip


@pytest.mark.parametrize(("query", "wanted"), QUERIES)
def test_parameters(client: httpx.Client, query: dict[str, str], wanted: set[int]) -> None:
    found = numbers(client.get("/epcis/events", params=query, headers=EXTENSIONS))
    assert (set(found), len(found)) == (wanted, len(wanted))


@pytest.mark.parametrize(("query", "words"), [
    ("EQ_bizstep=shipping", "unknown"), ("colour=red", "unknown"), ("EQ_bizStep=flying", "flying"),
    ("EQ_bizStep=", "1 to"),
    ("GE_eventTime=yesterday", "a time"), ("EQ_action=MOVE", "ADD"), ("perPage=0", "1 to"), ("perPage=1001", "1 to"),
    ("eventType=Event", "ObjectEvent"), ("MATCH_epc=nonsense", "URI"), ("MATCH_epc=urn:epc:id:sgtin:1.2", "TDS"),
    ("MATCH_epc=urn:epc:idpat:sgtin:*.1.1", "pattern"), ("EQ_quantity=many", "number"),
    ("GE_quantity=1|2", "one value"),
    ("eventCountLimit=1", "orderBy"), ("orderBy=colour", "orderBy"), ("orderDirection=ASC", "orderBy"),
    ("maxEventCount=1&eventCountLimit=1&orderBy=eventTime", "exclude"), ("EQ_nope:x=1", "GS1-Extensions"),
    ("nextPageToken=xx", "damaged"), ("EXISTS_errorDeclaration=1", "true or false"),
    ("EQ_action=ADD&EQ_action=ADD", "twice"),
    ("HASATTR_x:a=b", "unknown"), ("EQ_eventID=%00", "printable"), ("GE_value_=1", "unknown"),
    ("orderBy=eventTime&orderDirection=UP", "ASC"),
])  # fmt: skip
def test_what_is_not_understood_is_refused(client: httpx.Client, query: str, words: str) -> None:
    refused(client.get(f"/epcis/events?{query}"), 400, "QueryParameterException", words)


def test_order_and_counts(client: httpx.Client) -> None:
    newest = {"orderBy": "eventTime", "eventCountLimit": "2"}
    assert numbers(client.get("/epcis/events", params=newest)) == [5, 4]
    oldest = {"orderBy": "eventTime", "orderDirection": "ASC", "perPage": "3"}
    first = client.get("/epcis/events", params=oldest)
    assert numbers(first) == [0, 1, 2]
    assert numbers(client.get(_next(first))) == [3, 4, 5]
    limited = client.get("/epcis/events", params=newest | {"eventCountLimit": "3", "perPage": "2"})
    assert numbers(client.get(_next(limited))) == [3]
    refused(client.get("/epcis/events?maxEventCount=5"), 413, "QueryTooLargeException", "maxEventCount")
    assert len(numbers(client.get("/epcis/events?maxEventCount=6"))) == 6
    by_field = {"orderBy": "x:count", "eventCountLimit": "1"}
    assert numbers(client.get("/epcis/events", params=by_field, headers=EXTENSIONS)) == [4]


ORDERS = ["", "&orderBy=eventTime", "&orderBy=recordTime&orderDirection=ASC", "&GE_eventTime=2020-01-01T00:00:00Z"]


def test_pages_neither_repeat_nor_skip_while_events_are_captured(tmp_path: Path) -> None:
    with Served(tmp_path / "data") as site:
        maker, reader = site.client(Scope.CAPTURE), site.client(Scope.AUDITOR)
        for number, order in enumerate(ORDERS):
            early = [objects(i % 3, "shipping", pack(number, i), at=place(number)) for i in range(7)]
            captured(maker, listed(*early))
            answer = reader.get(f"/epcis/events?perPage=3{order}&EQ_readPoint={place(number)}")
            seen = list[str]()
            for late in range(10):
                seen += [found["epcList"][0] for found in events_in(answer)]
                captured(maker, objects(late % 3, "shipping", pack(number + 50, late), at=place(number)))
                if "link" not in answer.headers:
                    break
                answer = reader.get(_next(answer))
            assert sorted(seen) == sorted(pack(number, i) for i in range(7))


def test_questions_that_wait_for_the_index_hold_no_thread(gateway: Served, auditor: httpx.Client) -> None:
    """Else as many as there are threads would keep the index from ever coming on."""
    capture = gateway.gateway.supply.capture.capture

    async def crowded() -> float:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
        size, capture.size = capture.size, gateway.gateway.status().log_size + 1  # as if more was stored a moment ago
        began = time.monotonic()
        headers = auditor.headers
        async with httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=30) as client:
            asked = [asyncio.create_task(client.get("/epcis/events")) for _ in range(6)]
            await asyncio.sleep(0.3)
            waited = -time.monotonic()
            await asyncio.to_thread(int)
            waited += time.monotonic()
            assert not any(one.done() for one in asked)
            assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}
        capture.size = size
        assert time.monotonic() - began >= FRESH_WITHIN_S - 0.1  # none was answered before the index had it
        return waited

    assert gateway.run(crowded()) < 1.0


def test_a_token_belongs_to_its_question(client: httpx.Client) -> None:
    token = _next(client.get("/epcis/events?perPage=1")).rpartition("=")[2]
    assert len(numbers(client.get(f"/epcis/events?perPage=3&nextPageToken={token}"))) == 3
    wrong = client.get(f"/epcis/events?EQ_action=ADD&nextPageToken={token}")
    refused(wrong, 400, "QueryParameterException", "another question")


def test_what_the_gateway_knows_of_an_event_is_given_where_it_is_asked_for(client: httpx.Client) -> None:
    answer = client.get(f"/epcis/events?EQ_eventID={HASH_2}", headers={"Prefer": "sealtrail-recorded"})
    (found,) = events_in(answer)
    assert answer.headers["preference-applied"] == "sealtrail-recorded"
    assert (found["eventID"], found["sealtrail:record"]) == (HASH_2, 2)
    assert found["recordTime"].endswith("Z")


@pytest.mark.parametrize(("path", "wanted"), [
    ("bizSteps", {"commissioning", "packing", "shipping", "creating_class_instance", "inspecting", "receiving"}),
    ("dispositions", {"in_transit", "damaged"}),
    ("bizLocations", {place(1), place(2), place(3)}),
    ("readPoints", {place(1), place(2), place(3), f"{place(1)}/254/gate7"}),
    ("epcs", {pack(2, 1), pack(2, 2), pack(4, 1), case(1), "https://id.gs1.org/01/10614141073464/21/2018"}),
    ("eventTypes", {"ObjectEvent", "AggregationEvent", "TransactionEvent", "TransformationEvent", "AssociationEvent"}),
])  # fmt: skip
def test_collections_page_by_page(client: httpx.Client, path: str, wanted: set[str]) -> None:
    answer, members = client.get(f"/epcis/{path}?perPage=2"), list[str]()
    while True:
        assert answer.status_code == 200, answer.text
        members += answer.json()["member"]
        if "link" not in answer.headers:
            break
        answer = client.get(_next(answer))
    assert (set(members), len(members)) == (wanted, len(wanted))
    one = next(iter(wanted)).replace("/", "%2F")
    assert client.get(f"/epcis/{path}/{one}").json()["member"] == ["events"]


def test_events_of_a_member(client: httpx.Client) -> None:
    assert numbers(client.get("/epcis/bizSteps/shipping/events")) == [2]
    assert numbers(client.get("/epcis/eventTypes/ObjectEvent/events?EQ_action=ADD")) == [0]
    urn = "urn:epc:id:sgtin:0614141.107346.2018"
    assert numbers(client.get(f"/epcis/epcs/{urn}/events")) == [5]
    refused(client.get("/epcis/bizSteps/shipping/events?EQ_bizStep=packing"), 400, "QueryParameterException", "path")
    refused(client.get(f"/epcis/epcs/{pack(99, 1).replace('/', '%2F')}"), 404, "NoSuchNameException")


def test_a_uri_by_a_prefix_is_found_by_what_it_stands_for(tmp_path: Path) -> None:
    gtin, device = "https://id.gs1.org/01/04012345123456", "https://example.com/device/"
    said = objects(
        1, "inspecting", **{"@context": [*CONTEXT, {"lot": f"{gtin}/10/", "dev": device}]},
        quantityList=[{"epcClass": "lot:A7"}],
        sensorElementList=[{"sensorMetadata": {"deviceID": "dev:7"}, "sensorReport": [{"type": "Temperature"}]}],
    )  # fmt: skip
    with Served(tmp_path / "data") as site:
        captured(site.client(Scope.CAPTURE), said)
        client = site.client(Scope.AUDITOR)
        for query in ({"EQ_deviceID": f"{device}7"}, {"MATCH_epcClass": f"{gtin}/10/A7"}):
            assert len(events_in(client.get("/epcis/events", params=query))) == 1, query
        assert client.get("/epcis/epcs").json()["member"] == []


def test_every_fixed_parameter_is_tried(client: httpx.Client) -> None:
    """With its plainest value each is answered, so none is only known by name."""
    tried = {name for query, _ in QUERIES for name in query}
    plain = {"errorReason": "did_not_occur", "stringValue": "a", "hexBinaryValue": "aa", "correctiveEventID": "urn:a:b"}
    for name in FIXED.keys() - tried:
        value = plain.get(name[3:], when(1) if name[:3] in ("GE_", "LT_") else "https://example.com/a")
        assert numbers(client.get("/epcis/events", params={name: value})) is not None, name


def _next(answer: httpx.Response) -> str:
    return answer.headers["link"].partition(">")[0][1:]
