"""Whole gateways on either ledger: how long an event waits for its anchor, and how many events a second come in."""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.device import enrol
from bench.load import run
from bench.setting import PARTNERS, Bench
from chain.event import Message
from gateway.access import SourceSettings
from gateway.config import Config
from gateway.ingest.inbound import Channel, Inbound, Verdict
from gateway.service import Gateway
from tests.contract_suite.actors import Actor
from tests.support.source import Source

HOME = Path(__file__).resolve().parents[1]
LATENCY_S, EVENTS_A_SECOND = 20.0, 50
EVENTS, PER_MESSAGE, WINDOW, ANCHOR_S = 200_000, 64, 64, 5.0


async def latency(bench: Bench, ledger: str, interval: float) -> dict[str, float]:
    """ms from an event's arrival in the pipeline to the ledger's commit of a checkpoint that holds it: p50, p99."""
    config = _config(bench, ledger, interval)
    async with Gateway(config) as gateway:
        source = await _enrolled(gateway, f"steady-{interval:g}".replace(".", "-"))
        arrived: dict[int, float] = {}
        taken: list[float] = []
        watching, began = asyncio.create_task(_watch(gateway, arrived, taken)), time.monotonic()
        for number in range(int(bench.scale * LATENCY_S * EVENTS_A_SECOND)):
            await asyncio.sleep(max(0.0, began + number / EVENTS_A_SECOND - time.monotonic()))
            arrived[await _sent(gateway, source)] = time.monotonic()
        await gateway.anchorer.flush()
        while arrived:
            await asyncio.sleep(0.01)
        watching.cancel()
    ms = sorted(1000 * seconds for seconds in taken)
    return {"p50_ms": round(statistics.median(ms), 1), "p99_ms": round(ms[int(len(ms) * 0.99)], 1)}


async def _watch(gateway: Gateway, arrived: dict[int, float], taken: list[float]) -> None:
    while True:
        await asyncio.sleep(0.001)
        size, now = gateway.anchorer.state.anchored_size, time.monotonic()
        for leaf in [leaf for leaf in arrived if leaf < size]:
            taken.append(now - arrived.pop(leaf))


async def _sent(gateway: Gateway, source: Source) -> int:
    """One event through the pipeline; returns its place in the log."""
    answer: asyncio.Future[list[Verdict]] = asyncio.get_running_loop().create_future()
    now = time.time_ns() // 1000
    payload = Message((source.event(5.0, sensed_us=now),), ()).encode()
    gateway.committer.inbox.submit(
        Inbound(source.name, True, Channel.EVENTS, "", [payload], len(payload), now, "front", answer.set_result)
    )
    assert await answer == [Verdict.STORED]
    return gateway.status().log_size - 1


async def _enrolled(gateway: Gateway, name: str) -> Source:
    source = Source(name)
    proof = Actor(name, gateway.folder.origin, source.key).possession()
    public = source.key.public
    await gateway.enrol(gateway.invite(name, SourceSettings()), str(public.algorithm), public.raw, proof)
    return source


def _config(bench: Bench, ledger: str, interval: float) -> Config:
    return Config.model_validate({
        "origin": f"bench.example/{ledger}", "data": bench.folder / ledger, "front_door": {"port": 0},
        "api": {"port": 0}, "storage": {"reserve_bytes": 0},
        "log": {"checkpoint_interval_s": interval, "anchor_interval_s": interval},
    } | bench.ledger_settings(ledger))  # fmt: skip


def sustained(bench: Bench, ledger: str, name: str) -> float:
    """Events a second from the first byte of MQTT to the last PUBACK, `sealtrail up` and device in processes apart."""
    file = bench.folder / f"{ledger}.toml"
    file.write_text(_toml(bench, ledger))
    program = [sys.executable, "-m", "sealtrail", "up", "--config", str(file), "--json"]
    log = (bench.folder / f"{ledger}.log").open("ab")
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=log, cwd=HOME, text=True) as gateway:
        try:
            assert gateway.stdout is not None
            where = json.loads(gateway.stdout.readline())
            invite = ["source", "invite", name, "--data", str(bench.folder / ledger), "--json"]
            code = json.loads(_run("sealtrail", *invite))["code"]
            (device,), events = enrol(where["url"], [code], where["origin"]), int(bench.scale * EVENTS)
            lanes = [device.lane(list(device.messages(events, PER_MESSAGE)), receipts=False)]
            told = run(bench.folder, where["mqtt_port"], lanes, WINDOW)
        finally:
            gateway.terminate()
    log.close()
    return events / told.seconds


def _toml(bench: Bench, ledger: str) -> str:
    fabric = f'[fabric]\nprofile = "{bench.profiles[PARTNERS[0]]}"\n' if ledger == "fabric" else ""
    return (
        f'origin = "bench.example/{ledger}"\ndata = "{bench.folder / ledger}"\nledger = "{ledger}"\n{fabric}'
        f"[front_door]\nport = 0\n[api]\nport = 0\n[storage]\nreserve_bytes = 0\n"
        f"[log]\ncheckpoint_interval_s = 1.0\nanchor_interval_s = {ANCHOR_S}\n"
    )


def _run(module: str, *args: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", module, *args], cwd=HOME, capture_output=True, text=True, check=True, timeout=600
    ).stdout
