"""Erases a subject: first the log says so, then payloads, salts and key are destroyed, then the copies SQLite keeps.

Each step is durable before the next, and `finish` goes on where a crash came between, so that an erasure that was once
logged is carried out. Needs the site's one writer. Backups, disclosed receipts and what the disk's own controller
keeps are beyond it.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence

from chain.erasure import ERASED, MAX_RUNS, PERSON, SOURCE, Erasure, Run
from chain.errors import ErasureError
from chain.record import Record
from chain.site import SiteWriter
from chain.store.database import Database
from chain.store.erasures import ErasureState, StoredErasure

Forget = Callable[[str, bytes], Iterable[str]]
_PIECE = 32 * 2**20  # bytes that are overwritten in one transaction


def subject_named(site: SiteWriter, wanted: str) -> str:
    """The stored name of a subject that a person asks for: a pseudonym, or a source.

    Raises:
        ErasureError: there is none, or there is one of each; then the name is to be written in full.
    """
    if wanted.startswith(PERSON):
        names = [wanted]
    elif wanted.startswith(SOURCE):
        names = [wanted.removeprefix(SOURCE)]
    else:
        names = [PERSON + wanted, wanted]
    begun = {stored.erasure.tag for stored in site.erasures.unfinished()}  # asked for again, where it was cut short
    tags = {name: site.payloads.tag_of(name) for name in names}
    found = [name for name, tag in tags.items() if tag in begun or site.payloads.named(tag)[0]]
    if len(found) > 1:
        raise ErasureError(f"{wanted} is a person and a source: say person/{wanted} or source/{wanted}")
    if not found:
        raise ErasureError(f"nothing is stored of a subject {wanted!r:.80}: no person and no source has this name here")
    return found[0]


def log_erasure(site: SiteWriter, subject: str, by: str, reason: str, now_us: int) -> None:
    """Write into the log that this subject's payloads will be gone. Once this returns there is no way back. One that is
    logged and not carried out yet is not logged again."""
    tag = site.payloads.tag_of(subject)
    if any(stored.erasure.tag == tag for stored in site.erasures.unfinished()):
        return
    runs = site.payloads.leaves_of(site.payloads.named(tag)[0])
    if not runs:
        raise ErasureError(f"no payload is stored of {subject!r}")
    _log(site, _statements(tag, runs, by, reason, now_us), now_us)


def _log(site: SiteWriter, statements: Sequence[Erasure], now_us: int) -> None:
    with site.db.transaction() as tx:
        entries = append_statements(site, tx, statements, site.log.size, now_us, ErasureState.LOGGED)
        site.log.append(tx, entries)


def _log_later(site: SiteWriter) -> None:
    """Events of these subjects were stored after their erasure was logged, while it could not be carried out yet: the
    log names them too, before they go."""
    for begun in {stored.erasure.tag: stored for stored in site.erasures.unfinished()}.values():
        own = begun.erasure
        runs = site.payloads.leaves_of(site.payloads.named(own.tag)[0], begun.leaf)
        if runs:
            _log(site, _statements(own.tag, runs, own.by, own.reason, own.asked_us), time.time_ns() // 1000)


def never_stored(site: SiteWriter, tx: sqlite3.Connection, dropped: dict[str, list[Run]], at: int, now_us: int
                 ) -> list[bytes]:  # fmt: skip
    """Entries of the log, from place `at` on, which say that these leaves of subjects erased before have no payload."""
    entries: list[bytes] = []
    for subject, runs in dropped.items():
        reason = "the subject was erased before; this came later and was not stored"
        statements = _statements(site.payloads.tag_of(subject), runs, "the gateway", reason, now_us)
        entries += append_statements(site, tx, statements, at + len(entries), now_us, ErasureState.NEVER_STORED)
    return entries


def _statements(tag: bytes, runs: Sequence[Run], by: str, reason: str, now_us: int) -> list[Erasure]:
    parts = [tuple(runs[at : at + MAX_RUNS]) for at in range(0, len(runs), MAX_RUNS)]
    return [Erasure(tag, now_us, by, reason, part) for part in parts]


def append_statements(
    site: SiteWriter, tx: sqlite3.Connection, statements: Sequence[Erasure], at: int, now_us: int, state: ErasureState
) -> list[bytes]:
    """Store statements whose records will be the entries `at` …; returns these entries."""
    seq = site.erasures.count()
    for n, statement in enumerate(statements):
        site.erasures.put(tx, at + n, statement, state)
    return [statement.record(seq + n, now_us).encode() for n, statement in enumerate(statements)]


def finish(site: SiteWriter, forget: Forget = lambda subject, tag: ()) -> list[StoredErasure]:
    """Carry out what is logged and not done: everything of these subjects in the site's database, in its free pages
    and in its journal. Returns these erasures, now destroyed; `done` is for when the index has forgotten them too.

    forget: called with each subject's name and tag while the name is still known, for what others keep of it; gives
        the sources that report of this person alone.
    """
    _put_back(site)
    _log_later(site)
    todo = site.erasures.unfinished()
    for tag in dict.fromkeys(stored.erasure.tag for stored in todo):
        _, name = site.payloads.named(tag)
        if name:
            _destroy(site, name, tag, forget(name, tag))
    if todo:
        with site.db.transaction() as tx:
            for stored in todo:
                site.erasures.set_state(tx, stored.leaf, ErasureState.DESTROYED)
        scrub(site.db)
    return todo


def done(site: SiteWriter, erasures: Iterable[StoredErasure]) -> None:
    """Nothing is left of these."""
    with site.db.transaction() as tx:
        for stored in erasures:
            site.erasures.set_state(tx, stored.leaf, ErasureState.DONE)


def _put_back(site: SiteWriter) -> None:
    """Where payloads of an erasure stand there again, as after a table was restored, it is to be done again."""
    if back := site.erasures.put_back():
        with site.db.transaction() as tx:
            for leaf in back:
                site.erasures.set_state(tx, leaf, ErasureState.LOGGED)


def destroy_tag(site: SiteWriter, tag: bytes, forget: Forget) -> None:
    """In a copy that is older than an erasure: destroy what the copy still holds. Its log cannot say so."""
    _, name = site.payloads.named(tag)
    if name:
        _destroy(site, name, tag, forget(name, tag))
        scrub(site.db)


def _destroy(site: SiteWriter, name: str, tag: bytes, reporting: Iterable[str]) -> None:
    sources = {name} if not name.startswith(PERSON) else _sources(site, tag).union(reporting)
    run = site.db.connection.execute
    run("PRAGMA secure_delete = ON")
    try:
        with site.db.transaction() as tx:
            site.payloads.destroy(tx, tag)
            site.notices.forget(tx, sources, name.removeprefix(PERSON) if name.startswith(PERSON) else "")
    finally:
        run("PRAGMA secure_delete = OFF")


def _sources(site: SiteWriter, tag: bytes) -> set[str]:
    """Who reported the events that are stored of a subject. A segment is of one source."""
    segments = site.payloads.segments_of(site.payloads.named(tag)[0])
    return {Record.decode(site.entries.entry(first)).source for first, _ in segments}


def scrub(db: Database) -> None:
    """Overwrite the database's free pages, and empty its journal into it. StoreError where a reader is in the way for
    too long; then it is to be tried again."""
    page = db.connection.execute("PRAGMA page_size").fetchone()[0]
    with db.transaction() as tx:
        tx.execute("DROP TABLE IF EXISTS scrub")  # of one that was cut short
        tx.execute("CREATE TABLE scrub (zeros BLOB)")
    while free := db.connection.execute("PRAGMA freelist_count").fetchone()[0]:
        with db.transaction() as tx:  # a row that is less than what is free, so that the file does not grow
            tx.execute("INSERT INTO scrub VALUES (zeroblob(?))", (min(free * page * 9 // 10, _PIECE),))
    with db.transaction() as tx:
        tx.execute("DROP TABLE scrub")
    db.empty_journal()


def erased_name(tag: bytes) -> str:
    """What stands where a subject's name stood."""
    return ERASED + tag.hex()
