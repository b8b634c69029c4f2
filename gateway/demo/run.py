"""The demo: a gateway of its own, two real sources in processes of their own, real MQTT, then a proof checked.

Everything runs the way it does in service; nothing here knows a shortcut into the log. Bounded: two child
processes, loopback addresses, free ports, and all of them are ended before this returns.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chain.errors import ReceiptError
from chain.ledger.reading import open_reader
from chain.policies import site_policy
from chain.receipt import parse_receipt
from chain.receipts import ReceiptBuilder
from chain.report import as_text
from chain.site import Folder, SiteReader
from chain.verify import Outcome, Report, verify_receipt
from gateway.access import SeriesLimits, SourceSettings
from gateway.config import Config
from gateway.demo.errors import DemoError
from gateway.query.completeness import completeness
from gateway.query.readings import excursions
from gateway.query.view import View
from gateway.server import Running

LOGGER, LINE = "truck-logger", "packing-line-1"
LIMITS = SeriesLimits("", "Cel", 2.0, 22.0)
READINGS, PACKS = 8759, 240
CHECKED_RECEIPTS = 50
TIMEOUT_S = 900.0
MQTT_PORT_FILE = "demo-mqtt-port"


@dataclass(slots=True)
class Player:
    """A source process and the newest report of it."""

    name: str
    role: str
    total: int
    report: dict[str, Any] = field(default_factory=dict)

    def count(self, what: str) -> int:
        return int(self.report.get(what, 0))


@dataclass(frozen=True, slots=True)
class Summary:
    """What the demo did. Counts are of events; `seconds` from the first event to the last anchored."""

    sent: int
    acknowledged: int
    logged: int
    anchored: int
    rejected: int
    gaps: int
    excursions: int
    receipts_checked: int
    receipts_valid: int
    seconds: float
    ledger: str
    sample: str  # id of a record whose receipt is worth looking at
    report: str  # what the verifier says of that receipt


def demo_config(data: Path, port: int, profile: Path | None = None) -> Config:
    """Loopback only, free ports except where the caller names the API's. A data directory that was played
    before keeps its MQTT port, because its enrolled devices know that one. `profile`: of a Fabric channel."""
    known = data / MQTT_PORT_FILE
    return Config.model_validate({
        "origin": "demo.sealtrail.example/cold-chain",
        "data": data,
        "front_door": {"port": int(known.read_text()) if known.exists() else 0},
        "api": {"port": port},
        "log": {"checkpoint_interval_s": 0.5, "anchor_interval_s": 2.0},
        "storage": {"reserve_bytes": 0},
    } | ({"ledger": "fabric", "fabric": {"profile": profile}} if profile else {}))  # fmt: skip


async def play(served: Running, watch: Callable[[list[Player]], None]) -> tuple[list[Player], float]:
    """Run both sources to their end; `watch` is called with their progress. Returns them and the seconds."""
    (served.gateway.folder.root / MQTT_PORT_FILE).write_text(str(served.gateway.doors.front.port))
    players = [Player(LOGGER, "logger", READINGS), Player(LINE, "packing-line", PACKS)]
    started = time.monotonic()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.gather(*(_run(served, player, lambda: watch(players)) for player in players))
            await served.gateway.drain()
    except TimeoutError as e:
        raise DemoError(f"the demo did not end within {TIMEOUT_S:.0f} s; is the machine very busy?") from e
    watch(players)
    return players, time.monotonic() - started


async def _run(served: Running, player: Player, changed: Callable[[], None]) -> None:
    folder = served.gateway.folder.root / "demo" / player.name
    limits = (LIMITS,) if player.role == "logger" else ()
    code = "" if folder.exists() else served.gateway.invite(player.name, SourceSettings(limits=limits))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.demo.source", player.role, "--url", served.url, "--code", code,
        "--folder", str(folder), "--count", str(player.total),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        errors = asyncio.create_task(process.stderr.read())
        async for line in process.stdout:
            player.report = json.loads(line)
            changed()
        said = (await errors).decode(errors="replace").strip()
        if await process.wait() != 0:
            raise DemoError(f"the source {player.name} ended with {process.returncode}: {said[-1500:]}")
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def summarise(served: Running, players: list[Player], seconds: float) -> Summary:
    """Count from the store, the index and the devices' own buffers; then build and verify receipts."""
    folder = served.gateway.folder
    view = View.open(folder)
    try:
        anchored_size = served.gateway.status().anchored_size
        pages = {name: _events(view, name) for name in (LOGGER, LINE)}
        leaves = sorted(leaf for of_source in pages.values() for leaf in of_source)
        gaps = sum(boot.gap_count for name in pages for boot in completeness(view, name).boots)
        found = excursions(view, LOGGER, limit=500)
        checked = _sample(leaves, [e.leaf for e in found])
        reports = [_report(folder, view.site, leaf) for leaf in checked]
    finally:
        view.close()
    return Summary(
        sum(p.count("recorded") for p in players), sum(p.count("acknowledged") for p in players), len(leaves),
        sum(leaf < anchored_size for leaf in leaves), sum(p.count("rejected") for p in players), gaps, len(found),
        len(checked), sum(report is not None and report.outcome is Outcome.VALID for report in reports),
        round(seconds, 3), served.gateway.config.ledger, str(checked[0]) if checked else "",
        as_text(reports[0]) if reports and reports[0] else "there is none",
    )  # fmt: skip


def _events(view: View, source: str) -> list[int]:
    """Leaves of all events of a source, seals left out."""
    leaves: list[int] = []
    for boot in view.site.ranges.boots(source):
        for run in view.site.ranges.stored(source, boot):
            leaves += range(run.leaf, run.leaf + run.count)
    return leaves


def _sample(leaves: list[int], excursions_at: list[int]) -> list[int]:
    """Excursions first, since they matter most, then records spread over the whole log."""
    step = max(len(leaves) // CHECKED_RECEIPTS, 1)
    wanted = [*excursions_at[:10], *leaves[::step]]
    return list(dict.fromkeys(wanted))[:CHECKED_RECEIPTS]


def _report(folder: Folder, site: SiteReader, leaf: int) -> Report | None:
    """What the verifier says of a record's receipt as a file; None where none could be built."""
    ledger = open_reader(folder)
    try:
        file = ReceiptBuilder(site, ledger).build(leaf).to_json()
    except ReceiptError:
        return None
    finally:
        ledger.close()
    return verify_receipt(parse_receipt(file), site_policy(folder))
