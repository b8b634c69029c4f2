"""Every table of a site's databases: which columns a check guards, and which nothing guards, with the reason.

The one place of the drill that names tables and columns; a test compares it with the databases of a real site, so that
none is forgotten.
"""

from dataclasses import dataclass

from chain.ledger.fabric.kept import FILE as KEPT
from chain.ledger.store import FILE as LEDGER
from gateway.custody.schema import TABLES as CUSTODY_TABLES

FSCK, INDEX = "fsck", "index check"
SITE_DB, LEDGER_DB, KEPT_DB = "site.db", f"ledger/{LEDGER}", f"ledger/{KEPT}"
OUTBOX_DB, COLDCHAIN_DB, ALARMS_DB = "outbox.db", "coldchain.db", "alarms.db"
CAPTURES_DB, QUERIES_DB, RECALL_DB = "captures.db", "queries.db", "recall.db"
INDEX_DB, EVENTS_DB, ACCESS_DB, OBJECTS_DB, CUSTODY_DB, SCANS_DB = (
    "index.db", "events.db", "access.db", "objects.db", "custody.db", "scans.db",
)  # fmt: skip

# What a log is made of, for those who write it anew.
TILES, BUNDLES, TAIL, CHECKPOINTS = "log_tile", "log_bundle", "log_tail", "log_checkpoint"
EMPTY_LOG = "UPDATE log_meta SET size = 0, stamp = x'00'"

_STAMP = "stamp is a random mark by which open connections notice an append"
_NOTICE = "a notice to people, no evidence; what was refused never was in the log"
_HINT = "a hint: the witness corrects one that is too small, and one that is too large stops the signing"
_ACCESS = "who may connect is the operator's word; keys of sources are on the ledger"
_OBJECTS = "the gateway's own list of sealed objects; `sealtrail objects check` compares it with the log and the files"
_CUSTODY = "secrets and a company's own lists, no evidence: a wrong id or root is none that the ledger has"
_OUTBOX = "what waits for receivers; they check its signature, and what is lost there is told again by nobody"
_COLDCHAIN = "what the gateway remembers of shipments; the ledger has them, and says what was reported"
_ALARMS = "whom a person should hear from; what an alarm is about stands in the log or on the ledger"
_SCANS = "what the consumer page says beside a pack's state: a caution, no evidence"
_CAPTURES = "what became of a capture, and whose token brought which records; the events themselves are in the log"
_QUERIES = "what its owners asked to be told, and how far they were told; the events themselves are in the log"
_ASKED = "whom a recall was told, and their answers; those are signed, and an opened branch is verified with the ledger"
_SAID = "what was answered, to say it again; the supplier holds what was signed, and the ledger its commitment"
_CHANNEL = "read anew from the channel; what is shown to others is proved by the evidence itself"


ONE_BYTE, REMOVED, SWAPPED, INSERTED = "one byte", "a row removed", "two rows swapped", "a row inserted"


@dataclass(frozen=True, slots=True)
class Table:
    """`guarded`: columns of which no byte can change unnoticed, in the rows of the SQL condition `rows`; `acts`: what
    else is found of those rows; `says`: what the message names then (regular expression); `times`: columns found when
    all are shifted by an hour; `unguarded`: columns that nothing guards; `open`: what else nothing guards, and why."""

    file: str
    name: str
    guarded: tuple[str, ...] = ()
    check: str = FSCK
    says: str = ""
    times: tuple[str, ...] = ()
    rows: str = "1"
    acts: tuple[str, ...] = (ONE_BYTE, REMOVED, SWAPPED, INSERTED)
    unguarded: tuple[str, ...] = ()
    open: str = ""

    @property
    def columns(self) -> set[str]:
        """All that are declared here; of a table that nothing guards, none."""
        return {*self.guarded, *self.times, *self.unguarded}


def _log(file: str, says: str) -> tuple[Table, ...]:
    return (
        Table(
            file, "log_meta", ("id", "size"), says=f"{says}|log_meta|holds no log", unguarded=("stamp",), open=_STAMP
        ),
        Table(file, TILES, ("id", "hashes"), says=rf"{says}|tile \d+ of level"),
        Table(file, BUNDLES, ("n", "entries"), says=says),
        Table(file, TAIL, ("first", "entries", "hashes"), says=says),
    )


def _index(name: str, *columns: str, times: tuple[str, ...] = ()) -> Table:
    return Table(INDEX_DB, name, columns, INDEX, "index.db", times)


def _events(name: str, *columns: str, times: tuple[str, ...] = ()) -> Table:
    """One act is enough: rows are compared as those of index.db are, by the same code."""
    return Table(EVENTS_DB, name, columns, INDEX, "events.db", times, acts=(ONE_BYTE,))


TABLES: tuple[Table, ...] = (
    *_log(SITE_DB, r"\blog\b|log_|entry|entries|tile|checkpoint of size"),
    Table(
        SITE_DB, CHECKPOINTS, ("size", "root", "note", "published", "evidence"), says="checkpoint",
        times=("created_us",), rows="evidence IS NOT NULL",
        open="created_us by less than ten seconds, and rows that are not anchored yet: no other place names them",
    ),
    Table(SITE_DB, "log_witness", open=_HINT),
    Table(
        SITE_DB, "subject", ("id", "name", "wrapped_key"), says="segment|payload", rows="wrapped_key IS NOT NULL",
        open="the numbers of erased subjects' rows, which nothing refers to",
    ),
    Table(
        SITE_DB, "erasure", ("leaf", "statement"), says="erasure|payload", unguarded=("state",),
        open="state: how far an erasure has come; a start looks whether anything is there again",
    ),
    Table(SITE_DB, "erased_run", ("first", "count", "leaf"), says="erasures|payload"),
    Table(SITE_DB, "sealed_key", open="sealed to recipients: who holds a key of theirs finds it, and nobody else"),
    Table(SITE_DB, "segment", ("first_leaf", "count", "subject", "body"), says="segment|payload"),
    Table(SITE_DB, "source", ("id", "name"), says="index of ranges"),
    Table(SITE_DB, "range", ("source", "boot", "first_seq", "count", "first_leaf"), says="index of ranges"),
    Table(SITE_DB, "range_new", ("source", "boot", "first_seq", "count", "first_leaf"), says="index of ranges"),
    Table(
        SITE_DB, "seal", ("leaf", "source", "boot", "first_seq", "count", "state", "seal", "signature"), says="seal",
    ),
    Table(SITE_DB, "dead_letter", open=_NOTICE),
    Table(SITE_DB, "alert", open=_NOTICE),
    Table(SITE_DB, "dropped", open=_NOTICE),
    *_log(LEDGER_DB, "ledger|transaction"),
    Table(LEDGER_DB, "state", ("key", "value", "leaf"), says="state key|identity|ledger|checkpoint|seal"),
    Table(LEDGER_DB, "history", ("key", "leaf"), says="history"),
    Table(LEDGER_DB, "ledger_head", ("id", "note"), says="ledger"),
    Table(
        KEPT_DB, "kept", ("key", "value", "evidence"), says="kept proof|state key|identity|ledger|checkpoint|seal",
        acts=(ONE_BYTE, SWAPPED, INSERTED), open=f"rows that are gone and that no seal or mark asks for: {_CHANNEL}",
    ),
    Table(KEPT_DB, "followed", open=_CHANNEL),
    Table(KEPT_DB, "pinned", open=_CHANNEL),
    _index("position", "id", "origin", "next_leaf", "root", "erasures"),
    _index("source", "id", "name", "events", "seals", "last_leaf", "received_us", times=("received_us",)),
    _index(
        "record", "leaf", "kind", "source", "boot", "seq", "count", "sensed_us", "delay_us", "authentication",
        "flags", times=("sensed_us", "delay_us"),
    ),
    _index("block", "id", "low_us", "high_us", "kinds", times=("low_us", "high_us")),
    _index("place", "source", "block", "kinds"),
    _index("term", "id", "name", "value"),
    _index("mention", "term", "leaf"),
    _index("series", "source", "series", "unit"),
    _index("point", "source", "series", "time_us", "leaf", "n", "value", "outside", times=("time_us",)),
    _index("span", "source", "boot", "what", "first", "last"),
    _events("position", "id", "origin", "next_leaf", "root", "erasures"),
    _events("thing", "id", "uri"),
    _events("word", "id", "text"),
    _events(
        "event", "leaf", "hash", "type", "action", "time_us", "record_us", "step", "disposition", "read_point",
        "location", "declared", "void", "source", times=("time_us", "record_us"),
    ),
    _events("named", "id", "leaf"),
    _events("part", "thing", "leaf", "role", "quantity", "uom"),
    _events("fact", "name", "value", "number", "leaf"),
    Table(ACCESS_DB, "invitation", open=_ACCESS),
    Table(ACCESS_DB, "source", open=_ACCESS),
    Table(ACCESS_DB, "token", open=_ACCESS),
    Table(ACCESS_DB, "boot", open=_ACCESS),
    Table(OBJECTS_DB, "object", open=_OBJECTS),
    Table(OBJECTS_DB, "grant_file", open="a grant file opens for its recipient alone; the ledger has its digest"),
    *(Table(CUSTODY_DB, name, open=_CUSTODY) for name in CUSTODY_TABLES),
    *(Table(OUTBOX_DB, name, open=_OUTBOX) for name in ("target", "delivery", "put_out")),
    *(Table(COLDCHAIN_DB, name, open=_COLDCHAIN) for name in ("tracked", "position")),
    *(Table(ALARMS_DB, name, open=_ALARMS) for name in ("alarm", "target", "mark")),
    *(Table(SCANS_DB, name, open=_SCANS) for name in ("pack", "place", "salt", "secret")),
    *(Table(CAPTURES_DB, name, open=_CAPTURES) for name in ("bringer", "job", "brought")),
    *(Table(QUERIES_DB, name, open=_QUERIES) for name in ("query", "subscription")),
    *(Table(RECALL_DB, name, open=_ASKED) for name in ("starting", "recall", "supplier", "customer")),
    Table(RECALL_DB, "said", open=_SAID),
    Table(ACCESS_DB, "disclosure", open="the operator's own list; who was shown something holds the signed file"),
)  # fmt: skip
