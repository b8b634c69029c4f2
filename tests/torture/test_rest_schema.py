"""Schemathesis reads the gateway's own OpenAPI and asks everything it allows and forbids: no fault, no answer that is
not documented, every answer as its schema says."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import positive_data_acceptance

from gateway.custody.handover.format import MEDIA_TYPE as HANDOVER
from gateway.recall.statements import MEDIA_TYPE as RECALL
from tests.e2e.programs import Up, until
from tests.support.source import Source, message
from tests.torture.doors import Device, enrolled, metrics, plain, unshaken
from tests.torture.scale import scaled

EXAMPLES = scaled(3, 3_000)  # of each operation
STREAM = "GET /v1/alarms/stream"  # has no end; what comes in the first second is read
for signed in (HANDOVER, RECALL):  # bodies that a partner signed; anything that is none must be refused
    schemathesis.serializer.alias(signed, "application/octet-stream")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """With records of a sealed and of a plain source, and dead letters."""
    with unshaken(tmp_path_factory.mktemp("rest")) as running:
        device, meter = enrolled(running, Source("cold-1")), plain(running, "meter")
        _fill(device, meter)
        until(lambda: metrics(running)['sealtrail_log_entries{stage="indexed"}'] >= 22)
        until(lambda: metrics(running)['sealtrail_log_entries{stage="anchored"}'] >= 22)
        yield running


def _fill(device: Device, meter: Device) -> None:
    from tests.gateway.ingest.mqtt_support import publish

    with device.login() as client:
        source = device.source
        for payload in (message(source.batch(20, 5.0), source.seal()), b"junk", message([source.event(b"no reading")])):
            client.send(publish("st/1/cold-1/events", payload, 1, v5=True))
            assert client.read()[0] == 0x40
    with meter.login() as client:
        client.send(publish("st/1/meter/plain/reading", b'[{"n":"t","u":"Cel","v":5}]', 1, v5=True))
        assert client.read()[0] == 0x40


def _ask(gateway: Up, operation: APIOperation) -> None:
    """All checks but one: what a schema allows may still be refused with a documented 422, like a cursor that was not
    given out here, a proof for a tree that is smaller, or a key that is none."""
    headers = {"Authorization": f"Bearer {gateway.token}"}
    timeout = 1 if operation.label == STREAM else 30

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(operation.as_strategy(GenerationMode.POSITIVE) | operation.as_strategy(GenerationMode.NEGATIVE))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=headers, timeout=timeout, excluded_checks=[positive_data_acceptance])

    ask()


def test_every_operation_answers_as_it_says(gateway: Up) -> None:
    schema = schemathesis.openapi.from_url(f"{gateway.url}/v1/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 25
    assert STREAM in {operation.label for operation in operations}
    failed = []
    for operation in operations:
        try:
            _ask(gateway, operation)
        except (Exception, FailureGroup) as e:  # each operation is asked, whatever another one answered
            failed.append(f"{operation.label}: {e}")
    assert not failed, "\n\n".join(failed)
