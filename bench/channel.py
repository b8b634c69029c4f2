"""The channel itself: transactions that each hold one event, and anchors of many logs at once."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.chaincode import PUT
from bench.setting import Bench
from chain.ledger.fabric.ledger import FabricLedger
from chaincode import contract
from network.layout import Kind, lay_out
from network.nodes.processes import Process
from tests.contract_suite.actors import Actor, admitted

PER_EVENT_S, IN_FLIGHT = 10.0, 64
ANCHORS_S, LOGS = 10.0, 64


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


async def anchors(bench: Bench) -> dict[str, float]:
    """Anchors a second of 64 logs, one in flight each, and the share of one core that each kind of process took."""
    first = Actor("bench.example/first", "bench.example/first")
    async with FabricLedger(bench.profile(2), first.key) as ledger:
        await ledger.submit("identities.bootstrap", *first.bootstrap())
        logs = await asyncio.gather(*(admitted(ledger, f"bench.example/log-{number}") for number in range(LOGS)))
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


def _cpu(bench: Bench) -> dict[str, float]:
    """Processor seconds so far: of the busiest process of each kind of node, and of this program as the client."""
    layout, tick = lay_out(bench.topology), os.sysconf("SC_CLK_TCK")
    found = {"client": time.process_time()}
    for kind in Kind:
        pids = [Process(layout.run, node.name).pid() for node in layout.of_kind(kind)]
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
        found[kind.value] = max((int(fields[11]) + int(fields[12])) / tick for fields in stats)
    return found
