"""What anchoring on Fabric costs, beside the embedded ledger and beside one transaction an event, in one run.

`python -m bench.fabric [--rounds N] [--json FILE]`. Three organisations, four BFT orderers, three chaincode servers,
gateway, device and this program share one machine; ratios count, not the figures of a shared machine.

 1. event to committed anchor, at several checkpoint intervals, both ledgers
 2. events a second through MQTT until acknowledged, both ledgers in turn
 3. one Fabric transaction an event
 4. anchors a second of many logs on one channel, and how busy the chaincode servers are then
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.chaincode import PUT
from chain.event import Message
from chain.ledger.fabric.ledger import FabricLedger
from chain.ledger.fabric.profile import Profile, read_profile
from chaincode import contract
from gateway.access import SourceSettings
from gateway.config import Config
from gateway.ingest.inbound import Channel, Inbound, Verdict
from gateway.service import Gateway
from network.layout import Kind, lay_out
from network.lifecycle import clean, up
from network.processes import Process
from network.topology import Chaincode, Organisation, Topology
from tests.contract_suite.actors import Actor, MemoryLog, log_signers
from tests.support.source import Source

HOME = Path(__file__).resolve().parents[1]
PARTNERS = ("PlantMSP", "CarrierMSP", "PharmacyMSP")
INTERVALS_S = (0.2, 1.0, 5.0)
LATENCY_S, EVENTS_A_SECOND = 20.0, 50
EVENTS, PER_MESSAGE, WINDOW, ANCHOR_S = 200_000, 64, 64, 5.0
PER_EVENT_S, IN_FLIGHT = 10.0, 64
ANCHORS_S, LOGS = 10.0, 64


@dataclass(frozen=True, slots=True)
class Bench:
    """A network that is up, and a folder for sites."""

    folder: Path
    scale: float
    topology: Topology
    profiles: dict[str, Path]

    def profile(self, number: int) -> Profile:
        return read_profile(self.profiles[PARTNERS[number]])

    def ledger_settings(self, ledger: str) -> dict[str, Any]:
        return {"ledger": ledger} | ({"fabric": {"profile": self.profiles[PARTNERS[0]]}} if ledger == "fabric" else {})


# -- 1. event to committed anchor


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
    answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
    now = time.time_ns() // 1000
    payload = Message((source.event(5.0, sensed_us=now),), ()).encode()
    gateway.committer.submit(
        Inbound(source.name, True, Channel.EVENTS, "", payload, now, False, "front", answer.set_result)
    )
    assert await answer is Verdict.STORED
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


# -- 2. events a second


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
            options = {
                "--url": where["url"], "--code": code, "--origin": where["origin"], "--port": where["mqtt_port"],
                "--events": int(bench.scale * EVENTS), "--per-message": PER_MESSAGE, "--window": WINDOW,
            }  # fmt: skip
            said = json.loads(_run("bench.writer", *(str(part) for pair in options.items() for part in pair)))
        finally:
            gateway.terminate()
    log.close()
    return float(said["events"] / (said["ended"] - said["started"]))


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


# -- 3. one transaction an event


async def per_event(bench: Bench) -> float:
    """Transactions a second that each write one event of 300 bytes, as many in flight as does it good."""
    async with FabricLedger(bench.profile(1), is_query=_is_query) as ledger:
        return await _rate(IN_FLIGHT, bench.scale * PER_EVENT_S, lambda worker: _put(ledger, worker))


async def _put(ledger: FabricLedger, worker: int) -> None:
    await ledger.submit(PUT, f"{worker}-{time.monotonic_ns()}".encode(), os.urandom(300))


def _is_query(function: str) -> bool:
    return function in contract.FUNCTIONS and contract.FUNCTIONS[function].query


async def _rate(workers: int, seconds: float, once: Callable[[int], Awaitable[None]]) -> float:
    began, done = time.monotonic(), 0

    async def work(number: int) -> None:
        nonlocal done
        while time.monotonic() - began < seconds:
            await once(number)
            done += 1

    await asyncio.gather(*map(work, range(workers)))
    return done / (time.monotonic() - began)


# -- 4. anchors a second


async def anchors(bench: Bench) -> dict[str, float]:
    """Anchors a second of 64 logs, one in flight each, and the share of one core that each kind of process took."""
    first = Actor("bench.example/first", "bench.example/first")
    async with FabricLedger(bench.profile(2), first.key) as ledger:
        await ledger.submit("identities.bootstrap", *first.bootstrap())
        logs = await asyncio.gather(*(_registered(ledger, number) for number in range(LOGS)))
        sizes = [0] * LOGS

        async def once(number: int) -> None:
            actor, log = logs[number]
            await ledger.as_caller(actor.key).submit("logs.anchor", *log.anchor(sizes[number], sizes[number] + 1))
            sizes[number] += 1

        before, began = _cpu(bench), time.monotonic()
        rate = await _rate(LOGS, bench.scale * ANCHORS_S, once)
        took = time.monotonic() - began
        busy = {kind: (seconds - before[kind]) / took for kind, seconds in _cpu(bench).items()}
    return {"anchors_per_second": round(rate, 1)} | {f"{kind}_cores": round(share, 2) for kind, share in busy.items()}


async def _registered(ledger: FabricLedger, number: int) -> tuple[Actor, MemoryLog]:
    origin = f"bench.example/log-{number}"
    actor, log = Actor(origin, origin), MemoryLog(origin, log_signers(origin))
    await ledger.submit("identities.enrol", *actor.enrolment("gateway"))
    await ledger.as_caller(actor.key).submit("logs.register", origin.encode(), *log.vkeys())
    return actor, log


def _cpu(bench: Bench) -> dict[str, float]:
    """Processor seconds so far: of the busiest process of each kind of node, and of this program as the client."""
    layout, tick = lay_out(bench.topology), os.sysconf("SC_CLK_TCK")
    found = {"client": time.process_time()}
    for kind in Kind:
        pids = [Process(layout.run, node.name).pid() for node in layout.of_kind(kind)]
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
        found[kind.value] = max((int(fields[11]) + int(fields[12])) / tick for fields in stats)
    return found


# -- all of it


def measure(bench: Bench, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Everything, the two ledgers in turn."""
    found: dict[str, Any] = {"machine": _machine(), "latency": [], "sustained": {"embedded": [], "fabric": []}}
    for interval in INTERVALS_S:
        for ledger in ("embedded", "fabric"):
            say(f"event to anchor, {ledger}, checkpoint every {interval:g} s")
            row = asyncio.run(latency(bench, ledger, interval))
            found["latency"].append({"interval_s": interval, "ledger": ledger} | row)
    for number in range(rounds):
        for ledger in ("embedded", "fabric"):
            say(f"events a second, {ledger}, round {number + 1} of {rounds}")
            found["sustained"][ledger].append(round(sustained(bench, ledger, f"fast-{number}")))
    say("one transaction an event")
    found["per_event"] = round(asyncio.run(per_event(bench)), 1)
    say("anchors of 64 logs")
    found["anchors"] = asyncio.run(anchors(bench))
    return found | {"ratios": _ratios(found)}


def _ratios(found: dict[str, Any]) -> dict[str, float]:
    pairs = zip(found["sustained"]["fabric"], found["sustained"]["embedded"], strict=True)
    fabric = statistics.median(found["sustained"]["fabric"])
    return {
        "fabric_to_embedded": round(statistics.median(f / e for f, e in pairs), 3),
        "fabric_to_one_transaction_an_event": round(fabric / found["per_event"], 1),
    }


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {platform.system()}"


def table(found: dict[str, Any]) -> str:
    """The results in Markdown."""
    lines = [f"{found['machine']}", "", "| checkpoint every | ledger | p50 | p99 |", "|---|---|---|---|"]
    lines += [
        f"| {r['interval_s']:g} s | {r['ledger']} | {r['p50_ms']:,.0f} ms | {r['p99_ms']:,.0f} ms |"
        for r in found["latency"]
    ]
    lines += ["", "| what | events a second |", "|---|---|"]
    for ledger, rates in found["sustained"].items():
        lines.append(f"| anchored on {ledger}, median of {len(rates)} | {statistics.median(rates):,.0f} |")
    lines.append(f"| one Fabric transaction an event | {found['per_event']:,.0f} |")
    lines += ["", "| ratio | |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {value:g} |" for name, value in found["ratios"].items()]
    lines += ["", "| 64 logs anchoring | |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {value:g} |" for name, value in found["anchors"].items()]
    return "\n".join(lines)


def main() -> None:
    """Bring a network up, measure, print, take it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="length of each measurement, for a quick look")
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sealtrail-bench-") as name:
        topology = Topology(
            organisations=[Organisation(msp_id=msp_id) for msp_id in PARTNERS], data=f"{name}/network",
            chaincode=Chaincode(command=[sys.executable, "-m", "bench.chaincode"]),
        )  # fmt: skip
        try:
            bench = Bench(Path(name), wanted.scale, topology, up(topology))
            found = measure(bench, wanted.rounds, lambda line: print(line, file=sys.stderr, flush=True))
        finally:
            clean(topology)
    if wanted.json:
        wanted.json.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
