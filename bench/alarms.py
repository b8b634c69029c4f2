"""How long after a logger published a warm reading the contract has found the excursion, and a listener has the alarm.

Each reading is of a logger and shipment of its own, since units that are held raise no second alarm. A listener reads
the gateway's stream of server-sent events; its alarm follows the contract's committed event, so that event was there
before. Loggers have limits as source settings, by which a reading is anchored at once; the others show what without.
"""

import json
import secrets
import socket
import threading
import time
from contextlib import closing
from functools import partial
from typing import Any

import httpx

from bench.device import Device, enrol
from bench.packets import connect, publish
from bench.program import ORIGIN, Gateway, running
from bench.rounds import Settings, percentiles
from chain.site import Folder
from gateway.access import Access, Scope, SeriesLimits, SourceSettings

SHIPMENTS, WAIT_S, PAUSE_S = 60, 30.0, 0.2
LIMITS = SourceSettings(limits=(SeriesLimits("", "Cel", 2.0, 8.0),))
POLICY = {"name": "bench", "limits": [{"direction": "above", "threshold_milli_c": 8000}], "calibration_days": None}


def alarms(settings: Settings) -> dict[str, Any]:
    """ms, p50 and p99, from PUBLISH to the alarm at a listener, idle, on the embedded ledger."""
    found: dict[str, Any] = {}
    count = settings.scaled(SHIPMENTS, 2)
    for name, of_source in (("with limits", LIMITS), ("without limits", SourceSettings())):
        settings.say(f"alarms of {count} shipments, loggers {name}")
        with running(partial(Gateway, settings.folder / name.replace(" ", "-"))) as gateway:
            took = _measured(gateway, of_source, count)
        found[name] = {"shipments": count, "alarm_ms": {n: round(v, 1) for n, v in percentiles(took).items()}}
    return found


def _measured(gateway: Gateway, of_source: SourceSettings, count: int) -> list[float]:
    devices, token = _devices(gateway, of_source, count)
    with httpx.Client(base_url=gateway.said["url"], headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        shipments = [_opened(client, device) for device in devices]
        listener = Listener(gateway.said["url"], token)
        time.sleep(1.0)
        took = []
        for device, shipment in zip(devices, shipments, strict=True):
            with closing(socket.create_connection(("127.0.0.1", gateway.port))) as line:
                line.sendall(connect(device.name, device.name, device.password))
                line.recv(64)
                (sent,) = device.messages(1, 1, payload=_warm)
                began = time.monotonic()
                line.sendall(publish(f"st/1/{device.name}/events".encode(), 0, sent))
                took.append(1000 * (listener.heard(shipment) - began))
                time.sleep(PAUSE_S)
        listener.end()
    return took


def _devices(gateway: Gateway, of_source: SourceSettings, count: int) -> tuple[list[Device], str]:
    with closing(Access(Folder.existing(gateway.data))) as access:
        codes = [access.invite(f"truck-{n}", of_source) for n in range(count)]
        token = access.new_token("bench", frozenset({Scope.OPERATOR}))
    return enrol(gateway.said["url"], codes, ORIGIN), token


def _opened(client: httpx.Client, device: Device) -> str:
    body = {
        "policy": POLICY, "recipient": "Pharmacy", "units": [secrets.token_hex(32)],
        "loggers": [{"source": device.name, "series": "cargo:temperature"}],
    }  # fmt: skip
    return str(client.post("/v1/shipments", json=body).raise_for_status().json()["id"])


def _warm(seq: int) -> bytes:
    return json.dumps([{"n": "cargo:temperature", "u": "Cel", "v": 12.5, "t": time.time()}]).encode()


class Listener:
    """Reads the stream in a thread, and notes when each shipment's excursion came."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        self._came: dict[str, float] = {}
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def heard(self, shipment: str) -> float:
        """When, by the monotonic clock."""
        with self._news:
            if not self._news.wait_for(lambda: shipment in self._came, WAIT_S):
                raise RuntimeError(f"no alarm of {shipment[:16]} within {WAIT_S:g} s")
            return self._came[shipment]

    def end(self) -> None:
        self._client.close()

    def _read(self) -> None:
        try:
            with self._client.stream("GET", "/v1/alarms/stream") as answer:
                for line in answer.iter_lines():
                    if line.startswith("data: "):
                        said, now = json.loads(line[6:]), time.monotonic()
                        if said["what"] == "excursion":
                            with self._news:
                                self._came.setdefault(said["subject"], now)
                                self._news.notify_all()
        except (httpx.HTTPError, RuntimeError, OSError):
            pass  # its end
