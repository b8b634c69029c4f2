"""How long a trace takes in an index of 100,000, a million and ten million EPCIS events, and how long a recall takes to
count who has which packs of a lot.

The large indexes are made of events straight by the index's own writer, in batches of the follower's size, without log
and payloads: a trace reads neither. That this gives the rows that the real way gives is checked at a small size: the
same events through capture, log and follower, compared row by row (all but the hashes, and when each was received).
"""

import gc
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from bench.rounds import Settings, percentiles
from bench.trade import PACKS, Said, case, logged, lot_of, material, pack, payload, trade
from chain.site import Folder
from chain.store.database import Database
from gateway.events.follower import EventIndex
from gateway.events.rows import write_events
from gateway.recall.holdings import holdings
from gateway.trace.answer import Answer
from gateway.trace.store import EventStore
from gateway.trace.tracing import Question, walked

SIZES = (10**5, 10**6, 10**7)
CHUNK = 4096
CHECKED = 600
QUESTIONS = 60
WIDE = 100_000  # packs in one lot
EVENTS_OF_LOT = 3_325  # about


def traces(settings: Settings) -> dict[str, Any]:
    """For each size the seconds to make the index, its bytes an event, and ms of each kind of question."""
    found: dict[str, Any] = {"rows as the real way makes them": same_rows(settings.folder / "small")}
    most = SIZES[0] if settings.scale < 1 and settings.quick else SIZES[1] if settings.quick else SIZES[2]
    for size in (size for size in SIZES if size <= most):
        settings.say(f"an index of {size:,} EPCIS events")
        path = settings.folder / f"{size}.db"
        seconds = fill(path, islice(trade(), size))
        found[f"{size}"] = {
            "events_a_second": round(size / seconds), "bytes_an_event": round(path.stat().st_size / size),
            "ms": _asked(path, size // EVENTS_OF_LOT, settings.scaled(QUESTIONS, 5)),
        }  # fmt: skip
        path.unlink()
    settings.say(f"a lot of {WIDE:,} packs")
    path = settings.folder / "wide.db"
    fill(path, islice(trade(WIDE), int(WIDE * 1.66)))
    found[f"lot of {WIDE}"] = {"ms": {
        "down": _rounded(_times(path, [Question.of(lot_of(0), "down")] * 5)),
        f"recall, lot of {WIDE:,} packs": _rounded(_counted(path, [lot_of(0)] * 3, WIDE)),
    }}  # fmt: skip
    return found


@contextmanager
def _collecting_as_a_gateway() -> Iterator[None]:
    """Python looks for garbage as seldom as in a gateway that runs (gateway.server)."""
    from gateway.server import collect_less_often

    before = gc.get_threshold()
    collect_less_often()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def fill(path: Path, events: Iterator[Said]) -> float:
    """Write an event index of these events; the seconds that writing alone takes."""
    took, number = 0.0, 0
    with closing(Database(path, EventIndex.schema)) as db:
        db.connection.execute("PRAGMA synchronous = NORMAL")
        while said := list(islice(events, CHUNK)):
            batch = [logged(one, number + n) for n, one in enumerate(said)]
            began = time.perf_counter()
            with db.transaction() as tx:
                write_events(tx, batch)
                tx.execute("INSERT OR REPLACE INTO position VALUES (0, 'bench', ?, x'', 0)", (number + len(said),))
            took += time.perf_counter() - began
            number += len(said)
        db.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return took


def _asked(path: Path, lots: int, count: int) -> dict[str, Any]:
    dice = random.Random(7)  # noqa: S311 - which question, no secret
    lot: Callable[[], int] = lambda: dice.randrange(max(lots - 1, 1))  # noqa: E731
    kinds: dict[str, Callable[[], Question]] = {
        "pack, both ways": lambda: Question.of(pack(lot(), dice.randrange(PACKS))),
        "case, both ways": lambda: Question.of(case(lot(), dice.randrange(PACKS // 20))),
        "lot of 2,000 packs, down": lambda: Question.of(lot_of(lot()), "down"),
        "material of 6,000 packs, down": lambda: Question.of(material(lot() // 3, 1), "down", limit=10_000),
    }
    found = {name: _rounded(_times(path, [make() for _ in range(count)])) for name, make in kinds.items()}
    recalled = _counted(path, [lot_of(lot()) for _ in range(count)], PACKS)
    return found | {f"recall, lot of {PACKS:,} packs": _rounded(recalled)}


def _counted(path: Path, lots: list[str], packs: int) -> list[float]:
    """Milliseconds that each of these recalls takes to count its lot, every pack of it."""
    taken = []
    with closing(Database(path, readonly=True)) as db, _collecting_as_a_gateway():
        for lot in lots:
            began = time.perf_counter()
            found = holdings(db, lot, lambda uri: uri if "/417/" in uri else None)
            taken.append(1000 * (time.perf_counter() - began))
            if sum(part.received for part in found.parts.values()) != packs:
                raise RuntimeError(f"a recall of {lot} found {found.parts}, expected {packs} packs")
    return taken


def _times(path: Path, questions: list[Question]) -> list[float]:
    taken = []
    with closing(Database(path, readonly=True)) as db, _collecting_as_a_gateway():
        for question in questions:
            began = time.perf_counter()
            with db.snapshot():
                store = EventStore(db)
                found = Answer(store, walked(store, question)).json()
            taken.append(1000 * (time.perf_counter() - began))
            if not found["steps"]:
                raise RuntimeError(f"a trace of {question.uri} found nothing")
    return taken


def _rounded(taken: list[float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in percentiles(taken).items()}


def same_rows(root: Path) -> int:
    """How many rows both ways make, all the same; RuntimeError names a table that differs."""
    said = list(islice(trade(300), CHECKED))
    root.mkdir()
    folder = really_captured(root / "real", [payload(one, n) for n, one in enumerate(said)])
    fill(root / "direct.db", iter(said))
    rows = 0
    for table in _COLUMNS:
        real, direct = (_rows(path, table) for path in (folder.events, root / "direct.db"))
        if real != direct:
            raise RuntimeError(f"table {table} is not what capture, log and follower make")
        rows += len(real)
    return rows


# Ids of words differ, because rows made directly have no facts.
_COLUMNS = {
    "thing": "id, uri",
    "part": "thing, leaf, role, quantity, (SELECT text FROM word WHERE id = uom)",
    "event": "leaf, type, action, time_us, (SELECT text FROM word WHERE id = step), read_point, location, declared,"
    " void",
}


def _rows(path: Path, table: str) -> list[tuple[Any, ...]]:
    with closing(Database(path, readonly=True)) as db:
        return sorted(db.connection.execute(f"SELECT {_COLUMNS[table]} FROM {table}").fetchall(), key=repr)


def really_captured(root: Path, payloads: list[bytes]) -> Folder:
    """A site that took these events through its pipeline into its log, and whose index followed."""
    import asyncio

    from gateway.config import Config
    from gateway.server import running

    settings = {"origin": "bench.example/trade", "data": root, "front_door": {"port": 0}, "api": {"port": 0}}

    async def run() -> None:
        async with running(Config.model_validate(settings)) as served:
            capture = served.gateway._own_log("capture", "epcis")
            await capture.append_all(payloads)
            await served.index_caught_up()

    asyncio.run(run())
    return Folder.existing(root)
