"""Capture of EPCIS events: over REST with 1, 100 and 500 events a document, and over MQTT from devices with keys.

Each event is a shipping of ten packs, of some 900 bytes; none is captured twice. Over REST four clients send one
document after the other; an answer means that its events are on disk and in the log. Over MQTT a PUBACK means the same.
"""

import json
import statistics
import threading
import time
from datetime import UTC, datetime
from typing import Any

import httpx

from bench.device import Device, enrol
from bench.front import send
from bench.program import ORIGIN, Gateway, running
from bench.rounds import Settings, percentiles
from chain.site import Folder
from gateway.access import Access, Scope, SourceSettings
from gateway.epcis.context import STANDARD
from gateway.epcis.document import epcis_document

SIZES, CLIENTS, PACKS = (1, 100, 500), 4, 10
EVENTS = {1: 2_000, 100: 20_000, 500: 40_000}
LANES, WINDOW, MQTT_EVENTS, KIND = 8, 1024, 40_000, 7
TIMEOUT_S = 60.0


def epcis(settings: Settings) -> dict[str, Any]:
    """Events a second, and milliseconds a document (p50, p99)."""
    found: dict[str, Any] = {"bytes": len(event_of(0, 0)), "rest": {}, "mqtt": {}}
    with running(lambda: Gateway(settings.folder / "epcis")) as gateway:
        series = 0
        for size in SIZES:
            rates, waits = list[float](), list[float]()
            for _ in range(settings.rounds):
                series += 1
                settings.say(f"capture over REST, {size} events a document")
                count = settings.scaled(EVENTS[size], size * CLIENTS)
                rate, ms = _rest(gateway, series, count, size)
                rates.append(rate)
                waits += ms
                gateway.quiet()
            of_size = {"rates": [round(rate) for rate in rates], "median": round(statistics.median(rates))}
            found["rest"][str(size)] = of_size | {"ms": {n: round(v, 1) for n, v in percentiles(waits).items()}}
        devices = _devices(gateway)
        for each in (1, 64):
            settings.say(f"capture over MQTT, {each} events a message")
            rates = [_mqtt(settings, gateway, devices, each) for _ in range(settings.rounds)]
            found["mqtt"][str(each)] = {"rates": [round(r) for r in rates], "median": round(statistics.median(rates))}
    return found


def event_of(series: int, number: int) -> bytes:
    """One event that no other equals."""
    moment = datetime.fromtimestamp(1_795_413_600 + number, UTC).isoformat().replace("+00:00", "Z")
    packs = [f"urn:epc:id:sgtin:4012345.012345.{series}-{number}-{n}" for n in range(PACKS)]
    place = {"id": "urn:epc:id:sgln:4012345.00001.0"}
    return json.dumps({
        "@context": [STANDARD], "type": "ObjectEvent", "eventTime": moment, "eventTimeZoneOffset": "+00:00",
        "action": "OBSERVE", "bizStep": "shipping", "disposition": "in_transit", "epcList": packs, "readPoint": place,
        "bizLocation": place,
    }, separators=(",", ":")).encode()  # fmt: skip


def _rest(gateway: Gateway, series: int, count: int, size: int) -> tuple[float, list[float]]:
    """Events a second, and milliseconds of each document."""
    documents = [
        epcis_document([event_of(series, at + n) for n in range(size)], "2026-11-23T06:00:00Z")
        for at in range(0, count, size)
    ]
    access = Access(Folder.existing(gateway.data))
    tokens = [access.new_token(f"bench-{series}-{n}", frozenset({Scope.CAPTURE})) for n in range(CLIENTS)]
    access.close()
    ms, failed = list[float](), list[str]()

    def bring(token: str, own: list[bytes]) -> None:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        with httpx.Client(base_url=gateway.said["url"], headers=headers, timeout=TIMEOUT_S) as client:
            for document in own:
                began = time.monotonic()
                answer = client.post("/epcis/capture", content=document)
                ms.append(1000 * (time.monotonic() - began))
                if answer.status_code != 202 or answer.json()["stored"] != size:
                    failed.append(answer.text[:300])

    threads = [threading.Thread(target=bring, args=(tokens[n], documents[n::CLIENTS])) for n in range(CLIENTS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise RuntimeError(f"{len(failed)} documents were not stored: {failed[0]}")
    return len(documents) * size / (time.monotonic() - began), ms


def _devices(gateway: Gateway) -> list[Device]:
    access = Access(Folder.existing(gateway.data))
    codes = [access.invite(f"scanner-{n}", SourceSettings(kinds=("epcis",))) for n in range(LANES)]
    access.close()
    devices = enrol(gateway.said["url"], codes, ORIGIN)
    for number, device in enumerate(devices):
        device.kind, device.payload = KIND, _payloads(number)
    return devices


def _payloads(number: int) -> Any:
    def payload(seq: int) -> bytes:
        return event_of(1000 + number, seq)

    return payload


def _mqtt(settings: Settings, gateway: Gateway, devices: list[Device], each: int) -> float:
    gateway.quiet()
    return send(settings, gateway, devices, settings.scaled(MQTT_EVENTS // LANES, each), each, WINDOW).rate
