"""Alterations of a whole history: records rewritten with their tiles and signatures, older copies put back."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import islice

from msgspec.structs import replace

from chain.errors import StoreError
from chain.log.checkpoints import Checkpoints, StoredCheckpoint
from chain.log.publish import Publisher
from chain.log.reader import LogReader
from chain.log.tree import Log
from chain.record import Record
from chain.site import SCHEMA, SiteReader
from chain.store.database import Database
from crypto.checkpoint import Checkpoint
from crypto.note import parse_note
from gateway.access import SourceSettings
from gateway.drill.alteration import NotApplicableError, Trial
from gateway.drill.checks import CHECKPOINT_FILE, loopback_config
from gateway.drill.copies import put_back
from gateway.drill.rows import HOUR_US
from gateway.drill.tables import BUNDLES, CHECKPOINTS, EMPTY_LOG, TAIL, TILES
from gateway.ingest.inbound import Channel, Inbound, Verdict
from gateway.service import Gateway

Change = Callable[[Iterator[bytes], int], Iterator[bytes]]
_EVENT = b'[{"n":"drill","v":1}]'
_BATCH = 4096
_TIMEOUT_S = 120.0


# -- records, with their tiles, as whoever can write every file would do it


def rewrite(change: Change, trial: Trial, *, sign: bool = False) -> str:
    """Log changed records anew, tiles and all; with `sign` also under checkpoints that the site's own keys sign."""
    with closing(SiteReader.open(trial.untouched)) as reader:
        place, total = trial.random.randrange(_bound(reader, sign)), reader.entries.size()
        _log_anew(trial, change(reader.entries.entries(0, total), place), sign)
    return f"record {place} of {total:,}"


def _bound(reader: SiteReader, anchored: bool) -> int:
    """Which records, but for the last one, are under a checkpoint that stands in the way."""
    newest = reader.checkpoints.latest_anchored() if anchored else reader.checkpoints.newest_signed()
    note = "" if newest is None else newest.note if isinstance(newest, StoredCheckpoint) else newest[0]
    size = Checkpoint.parse(parse_note(note).text).size if note else 0
    if size < 2:
        raise NotApplicableError("no two records are anchored" if anchored else "no two records are signed for")
    return size - 1


def _log_anew(trial: Trial, entries: Iterator[bytes], sign: bool) -> None:
    with closing(Database(trial.folder.database, SCHEMA)) as db:
        with db.transaction() as tx:
            for table in (TILES, BUNDLES, TAIL, *((CHECKPOINTS,) if sign else ())):
                tx.execute(f"DELETE FROM {table}")
            tx.execute(EMPTY_LOG)
        log = Log(db)
        while batch := list(islice(entries, _BATCH)):
            with db.transaction() as tx:
                log.append(tx, batch)
        if sign:
            Publisher(LogReader(db), Checkpoints(db), trial.folder.log_signers()).prepare()


def later_times(entries: Iterator[bytes], place: int) -> Iterator[bytes]:
    """Every record is said to have been logged an hour later."""
    for entry in entries:
        record = Record.decode(entry)
        yield replace(record, logged_us=record.logged_us + HOUR_US).encode()


def one_gone(entries: Iterator[bytes], place: int) -> Iterator[bytes]:
    yield from (entry for index, entry in enumerate(entries) if index != place)


def one_more(entries: Iterator[bytes], place: int) -> Iterator[bytes]:
    """A record that nobody reported: another time and content."""
    for index, entry in enumerate(entries):
        yield entry
        if index == place:
            record = Record.decode(entry)
            yield replace(record, content_hash=os.urandom(32), sensed_us=record.sensed_us + 1).encode()


def two_swapped(entries: Iterator[bytes], place: int) -> Iterator[bytes]:
    for index, entry in enumerate(entries):
        if index == place:
            yield next(entries)
        yield entry


# -- older copies: a gateway goes on with the copy for one event, then files of before are put back


def older_log(trial: Trial) -> str:
    before, after = _go_on(trial)
    put_back(trial.folder.database, trial.untouched.database)
    return f"site.db of {before:,} entries, the ledger of {after:,}"


def older_ledger(trial: Trial) -> str:
    before, after = _go_on(trial)
    for path in trial.untouched.ledger.glob("*.db"):
        put_back(trial.folder.ledger / path.name, path)
    return f"the ledger of {before:,} entries, site.db of {after:,}"


def older_site(trial: Trial) -> str:
    """Both of them; somebody has kept the newer checkpoint."""
    _, after = _go_on(trial)
    with closing(SiteReader.open(trial.folder)) as reader:
        newest = reader.checkpoints.latest()
    assert newest is not None
    (trial.kept / CHECKPOINT_FILE).write_text(newest.note)
    put_back(trial.folder.database, trial.untouched.database)
    for path in trial.untouched.ledger.glob("*.db"):
        put_back(trial.folder.ledger / path.name, path)
    return f"log and ledger; kept is the checkpoint of {after:,} entries"


def no_ledger(trial: Trial) -> str:
    loopback_config(trial.folder)  # not where it is a channel: that goes on without the site
    with closing(SiteReader.open(trial.untouched)) as reader:
        if reader.checkpoints.latest_anchored() is None:
            raise NotApplicableError("nothing is anchored")
    for path in trial.folder.ledger.iterdir():
        path.unlink()
    return "all files in ledger/"


def _go_on(trial: Trial) -> tuple[int, int]:
    """Let a gateway log and anchor one event in the copy. Returns the sizes of the log before and after."""
    return asyncio.run(_one_event(trial))


async def _one_event(trial: Trial) -> tuple[int, int]:
    async with asyncio.timeout(_TIMEOUT_S), Gateway(loopback_config(trial.folder)) as gateway:
        before, source = gateway.status().log_size, f"drill-{os.urandom(8).hex()}"
        await gateway.add_plain(source, SourceSettings(allow_plain=True))
        answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        now, done = time.time_ns() // 1000, partial(_tell, answer)
        gateway.committer.inbox.submit(
            Inbound(source, True, Channel.PLAIN, "reading", [_EVENT], len(_EVENT), now, "front", done)
        )
        if await answer is not Verdict.STORED:
            raise StoreError(f"the copy in {trial.folder.root} takes no event: {'; '.join(gateway.status().problems)}")
        await gateway.drain()
        return before, gateway.status().log_size


def _tell(answer: asyncio.Future[Verdict], verdicts: list[Verdict]) -> None:
    answer.set_result(*verdicts)
