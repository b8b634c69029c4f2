"""GS1's own JSON schema beside the hand-written check: what the schema refuses, the check refuses.

In three places the check takes what the schema does not (docs/adr/0020); the schema is widened there, and nowhere else.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, FormatChecker
from jsonschema.exceptions import best_match

from gateway.epcis.document import open_document
from gateway.epcis.errors import EpcisError
from tests.gateway.epcis.examples import CONTEXT, event, events_of, invalid_files, valid_files
from tests.gateway.epcis.mutations import changed
from tests.torture.scale import scaled

EXAMPLES = scaled(250, 20_000)


def widened(schema: dict[str, Any]) -> dict[str, Any]:
    made = copy.deepcopy(schema)
    definitions = made["definitions"]
    for kind in ("AggregationEvent", "TransactionEvent", "AssociationEvent"):
        fields = definitions[kind]["allOf"][1]
        fields["properties"]["persistentDisposition"] = {"$ref": "#/definitions/persistentDisposition"}
        fields["propertyNames"]["anyOf"][1]["enum"].append("persistentDisposition")
    definitions["measurementType"]["anyOf"].append({"type": "string", "pattern": "^[A-Z][A-Za-z_]*$"})
    report = definitions["sensorReport"]
    report["anyOf"] = [{"required": ["type"]}, {"required": ["exception"]}]
    del report["required"]
    return made


class Oracle:
    def __init__(self, folder: Path) -> None:
        self.strict = json.loads((folder / "EPCIS-JSON-Schema.json").read_text())
        self._validator = Draft7Validator(widened(self.strict), format_checker=FormatChecker())

    def fault(self, document: object) -> str | None:
        found = best_match(self._validator.iter_errors(document))
        return None if found is None else f"{list(found.absolute_path)}: {found.message:.200}"


@pytest.fixture(scope="session")
def oracle(vectors: Callable[[str], Path]) -> Oracle:
    return Oracle(vectors("epcis"))


@pytest.fixture(scope="session")
def small_documents(vectors: Callable[[str], Path]) -> list[dict[str, Any]]:
    """Each kind of event of each file, alone in a document of its own, and our own examples bare."""
    found: dict[str, dict[str, Any]] = {}
    for file in valid_files(vectors):
        document = json.loads(file.read_bytes())
        for one in events_of(document):
            key = json.dumps([one["type"], sorted(one)])
            head = {"type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": "2026-11-18T12:00:00Z"}
            body = {"@context": document["@context"], "epcisBody": {"eventList": [one]}}
            if len(json.dumps(one)) < 4_000:
                found.setdefault(key, head | body)
    kinds = ("ObjectEvent", "AggregationEvent", "TransactionEvent", "TransformationEvent", "AssociationEvent")
    return [*found.values(), *map(event, kinds)]


def refused(document: object) -> EpcisError | None:
    try:
        open_document(json.dumps(document).encode())
    except EpcisError as e:
        return e
    return None


def test_the_schema_takes_and_refuses_what_we_do(oracle: Oracle, vectors: Callable[[str], Path]) -> None:
    for file in valid_files(vectors):
        assert oracle.fault(json.loads(file.read_bytes())) is None, file.name
    for file in invalid_files(vectors):
        assert oracle.fault(json.loads(file.read_bytes())) is not None, file.name


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(seed=st.integers(0, 2**63))
def test_what_the_schema_refuses_is_refused(oracle: Oracle, small_documents: list[dict[str, Any]], seed: int) -> None:
    document = changed(small_documents, seed)
    ours = refused(document)
    if ours is None:
        assert oracle.fault(document) is None


def test_the_three_places_are_the_only_ones_where_we_take_more(oracle: Oracle) -> None:
    strict = Draft7Validator(oracle.strict, format_checker=FormatChecker())
    sensors = [{"sensorReport": [{"exception": "ALARM_CONDITION", "booleanValue": True}]}]
    for taken in (
        event("AggregationEvent", persistentDisposition={"set": ["recalled"]}),
        event(sensorElementList=sensors),
        event(sensorElementList=[{"sensorReport": [{"type": "Molar_concentration", "value": 1, "uom": "C35"}]}]),
    ):
        assert refused(taken) is None
        assert oracle.fault(taken) is None
        assert not strict.is_valid(taken)
    assert CONTEXT in event()["@context"]
