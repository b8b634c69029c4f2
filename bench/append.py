"""Appending to the log without a door: records, payloads and numbers in durable batches, beside Tessera and others."""

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.device import PAYLOAD, payload_of
from bench.peers import ledger, table, tessera_log
from bench.rounds import Settings, medians
from chain.event import BLIND_BYTES, Event, content_hash
from chain.record import Authentication, Record, RecordFlag
from chain.site import Folder, SiteWriter
from chain.store.ranges import Range
from chain.store.segment import StoredEvent, encode_event
from crypto.commitments import SEED_BYTES
from gateway.preprocess.kind import Context
from gateway.preprocess.kinds import by_name

EVENTS, SMALL = 100_000, 2_000
BATCHES = (64, 256, 1024)
SOURCE, BOOT, NOW_US = "logger", 1, 1_795_413_600_000_000


@dataclass(frozen=True, slots=True)
class Made:
    """An event with all that is computed before it is written."""

    record: bytes
    event: bytes
    stored: bytes  # the event and its fields as a segment holds them


def append(settings: Settings) -> dict[str, Any]:
    """Events a second at each batch size, ours and Tessera in turn; then one commit an event, of two kinds."""
    made = [_made(seq) for seq in range(settings.scaled(EVENTS, 4096))]
    program = tessera_log.build(settings.folder)
    found: dict[str, Any] = {} if program else {"tessera": "skipped: there is no Go, or it cannot fetch Tessera"}
    for batch in BATCHES:
        settings.say(f"append in batches of {batch}")
        found[f"batch {batch}"] = medians(_turns(settings, program, made, batch))
    settings.say("one commit an event")
    few = [m.event for m in made[: settings.scaled(SMALL, 200)]]
    singles: dict[str, list[float]] = {"ours": [], "ledger": [], "table": []}
    for number in range(settings.rounds):
        singles["ours"].append(_ours(settings, made, BATCHES[-1]))
        for name, peer in (("ledger", ledger), ("table", table)):
            folder = settings.folder / f"{name}-{number}"
            folder.mkdir()
            singles[name].append(peer.rate(folder, few))
    return found | {"one commit an event": medians(singles)}


def _turns(settings: Settings, program: Path | None, made: Sequence[Made], batch: int) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {"ours": []}
    for _ in range(settings.rounds):
        rates["ours"].append(_ours(settings, made, batch))
        for name, dedup in (("tessera", False), ("tessera with dedup", True)) if program else ():
            folder, count = settings.folder / "tessera-log", settings.scaled(EVENTS // 4, 4096)
            assert program is not None
            rates.setdefault(name, []).append(tessera_log.rate(program, folder, count, PAYLOAD, batch, dedup))
    return rates


def _made(seq: int) -> Made:
    payload = payload_of(seq)
    raw = Event(SOURCE, BOOT, seq, 1, 1, NOW_US, os.urandom(BLIND_BYTES), payload).encode()
    prepared = by_name("reading").prepare(payload, Context(NOW_US, NOW_US, ()))
    session, none = Authentication.SESSION, RecordFlag.NONE
    record = Record(
        1, SOURCE, BOOT, seq, NOW_US, NOW_US, NOW_US, session, none, content_hash(raw), os.urandom(32)
    )  # fmt: skip
    return Made(record.encode(), raw, encode_event(StoredEvent(raw, prepared.fields)))


def _ours(settings: Settings, made: Sequence[Made], batch: int) -> float:
    """Each event's number looked up, then record, payload and number written, one durable commit a batch."""
    folder = settings.folder / "appended"
    site = SiteWriter.open(Folder.create(folder, "bench.example/append"))
    batches = [made[at : at + batch] for at in range(0, len(made), batch)]
    began, seq = time.perf_counter(), 0
    for part in batches:
        _commit(site, part, seq)
        seq += len(part)
    seconds = time.perf_counter() - began
    if site.log.size != len(made):
        raise RuntimeError(f"appended {len(made)}, the log has {site.log.size}")
    site.db.close()
    shutil.rmtree(folder)
    return len(made) / seconds


def _commit(site: SiteWriter, part: Sequence[Made], first: int) -> None:
    new = [m for n, m in enumerate(part) if site.ranges.leaf_of(SOURCE, BOOT, first + n) is None]
    seed = os.urandom(SEED_BYTES)
    with site.db.transaction() as tx:
        leaf = site.log.append(tx, [m.record for m in new])
        site.payloads.put(tx, leaf, SOURCE, seed, len(new), [m.stored for m in new])
        site.ranges.add(tx, SOURCE, Range(BOOT, first, len(new), leaf))
        site.payloads.flush(tx)
        site.ranges.flush(tx)
