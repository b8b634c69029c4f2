"""What anchoring on Fabric costs, beside the embedded ledger and beside one transaction an event, in one run.

`python -m bench.fabric [--rounds N] [--json FILE] [--plot FILE]`. Three organisations, four BFT orderers, three
chaincode servers, gateway, device and this program share one machine; ratios count, not a shared machine's figures.

 1. event to committed anchor, at several checkpoint intervals, both ledgers
 2. events a second through MQTT until acknowledged, both ledgers in turn
 3. one Fabric transaction an event
 4. a warm reading to the contract's committed excursion, both ledgers
 5. anchors a second of many logs on one channel, and how busy each kind of process is then
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.channel import anchors, per_event
from bench.excursions import excursions
from bench.gateways import latency, sustained
from bench.report import plot, table
from bench.setting import PARTNERS, Bench
from network.lifecycle import clean, up
from network.topology import Chaincode, Organisation, Topology

INTERVALS_S = (0.2, 1.0, 5.0)


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
    for ledger in ("embedded", "fabric"):
        say(f"warm reading to committed excursion, {ledger}")
        found.setdefault("excursions", {})[ledger] = asyncio.run(excursions(bench, ledger))
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


def main() -> None:
    """Bring a network up, measure, print, take it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="length of each measurement, for a quick look")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, help="SVG file")
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
    if wanted.plot:
        wanted.plot.write_text(plot(found))
    print(table(found))


if __name__ == "__main__":
    main()
