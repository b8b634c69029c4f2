"""What the ledger refused, or this gateway before it was asked, of what the events of a trace say happened.

An event is somebody's word, and a trace is of events; where custody could not follow one of ours, its step says so.
Read from custody.db beside the event index, whether a gateway runs or not. Trust boundary: none; both are this
gateway's own. Partners are not shown it (gateway.trace.sharing).
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from chain.store.database import Database
from crypto import cbor
from gateway.custody.database import NAME
from gateway.custody.lots import COMMISSION
from gateway.custody.schema import TaskState
from gateway.custody.sealing import PACK
from gateway.custody.tasks import MAX_WORK_BYTES

MAX_REFUSALS = 10_000  # of one trace
_ANY = "SELECT EXISTS (SELECT 1 FROM task WHERE state = ?)"
_REFUSED = """SELECT task.leaf, task.name, task.work, task.reason FROM json_each(?) j
CROSS JOIN task ON task.leaf = j.value AND task.state = ? ORDER BY task.id LIMIT ?"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """`things`: which of the event's it is about, by URI; None: all."""

    things: frozenset[str] | None
    reason: str

    def is_about(self, uri: str) -> bool:
        return self.things is None or uri in self.things


Refusals = Mapping[int, list[Refusal]]  # by the record of the event
NONE: Refusals = {}


def refusals(folder: Path, leaves: Iterable[int]) -> Refusals:
    """Of these records. StoreError where custody.db is there and does not open."""
    path = folder / NAME
    if not path.exists():
        return NONE
    found: dict[int, list[Refusal]] = defaultdict(list)
    with closing(Database(path, readonly=True)) as database:
        run = database.connection.execute
        if run(_ANY, (int(TaskState.REFUSED),)).fetchone()[0]:
            asked = (json.dumps(list(leaves)), int(TaskState.REFUSED), MAX_REFUSALS)
            for leaf, name, work, reason in run(_REFUSED, asked):
                found[leaf].append(Refusal(_about(name, work), reason))
    return found


def _about(name: str, work: bytes) -> frozenset[str] | None:
    """A lot or a unit is refused with all that the event says of it; so is an event that was refused whole."""
    things, detail = cbor.decode(work, MAX_WORK_BYTES)
    whole = name in (COMMISSION, PACK) or (type(detail) is dict and detail["place"] is None)
    return None if whole else frozenset(things)
