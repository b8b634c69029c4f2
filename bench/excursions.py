"""On either ledger, for bench/fabric.py: from a warm reading's arrival to the contract's committed excursion."""

import asyncio
import secrets
import statistics
import time

from bench.gateways import _config, _enrolled
from bench.setting import Bench
from chain.event import Message
from chaincode.coldchain.policy import Direction, Limit, Policy
from gateway.coldchain.shipping_order import Opening, WantedLogger
from gateway.ingest.inbound import Channel, Inbound
from gateway.service import Gateway
from tests.support.source import Source

SERIES, READINGS, WAIT_S = "cargo:temperature", 20, 60.0
POLICY = Policy("bench", (Limit(Direction.ABOVE, 8_000),), calibration_days=None)


async def excursions(bench: Bench, ledger: str) -> dict[str, float]:
    """ms, p50 and p99; each reading is of a logger and a shipment of its own."""
    async with Gateway(_config(bench, ledger, 1.0)) as gateway:
        took = [await _one(gateway, f"truck-{n}") for n in range(max(2, int(bench.scale * READINGS)))]
    ms = sorted(1000 * seconds for seconds in took)
    return {"p50_ms": round(statistics.median(ms), 1), "p99_ms": round(ms[int(len(ms) * 0.99)], 1)}


async def _one(gateway: Gateway, name: str) -> float:
    source, cold = await _enrolled(gateway, name), gateway.supply.cold
    wanted = Opening(POLICY, "PharmacyMSP", [WantedLogger(name, SERIES)], [secrets.token_hex(32)])
    shipment = (await cold.open(wanted)).shipment_id
    await asyncio.sleep(0.5)
    found = asyncio.create_task(_found(gateway, shipment))
    await asyncio.sleep(0)
    began = time.monotonic()
    _send(gateway, source)
    async with asyncio.timeout(WAIT_S):
        return await found - began


async def _found(gateway: Gateway, shipment: bytes) -> float:
    """When the ledger told of the excursion."""
    after = await asyncio.to_thread(gateway.supply.cold.after)
    wanted = b"\x58\x20" + shipment  # the event's first item, a CBOR byte string of 32 bytes
    events = gateway.ledger.events(after, lambda name, payload: name == "coldchain.excursion" and wanted in payload)
    async for _ in events:
        return time.monotonic()
    raise RuntimeError("the ledger ended")


def _send(gateway: Gateway, source: Source) -> None:
    now = time.time_ns() // 1000
    event = source.event([{"n": SERIES, "u": "Cel", "v": 12.5, "t": now / 1e6}], sensed_us=now)
    payload = Message((event,), ()).encode()
    gateway.committer.inbox.submit(
        Inbound(source.name, True, Channel.EVENTS, "", [payload], len(payload), now, "front", lambda _: None)
    )
