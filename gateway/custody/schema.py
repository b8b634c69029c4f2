"""The tables of custody.db, mode 0600: secrets of units, what is in which lot and container, and what is to be done.

Unlike an index this file cannot be built again from the log: secrets are in no event. Back it up with the site.
"""

from enum import IntEnum

VERSION = 1


class UnitKind(IntEnum):
    """What has a secret of its own. A consignment is what was shipped without a logistic unit: the gateway makes one of
    it, named after the shipping event. A slice is a part of a unit that has more in it than the contract takes."""

    LOT = 0
    LOGISTIC = 1
    CONSIGNMENT = 2
    SLICE = 3


class UnitState(IntEnum):
    """What this gateway knows of a unit that is no lot, from its events. The ledger may say otherwise."""

    OPEN = 0  # being packed: the ledger does not know it yet
    SEALED = 1  # the ledger was told, or is being told
    SHIPPED = 2
    COMING = 3  # handed over to us, and not received yet
    OPENED = 4  # unpacked or destroyed: its life is over


class LotState(IntEnum):
    """How far a lot of our own making is. CLOSED: the ledger is being told."""

    OPEN = 0
    CLOSED = 1
    KNOWN = 2  # the ledger has it
    REFUSED = 3  # the contract did not take it


class TaskState(IntEnum):
    """Of one transition that the ledger is to be told."""

    PENDING = 0
    WAITING = 1  # for a lot to be closed, or for a hand-over: `reason` says which
    DONE = 2
    REFUSED = 3
    VOID = 4  # its event was declared erroneous before the ledger was told


class HandoverState(IntEnum):
    """How far a hand-over is. The first five are of one from us, the others of one to us."""

    BUILDING = 0
    SENT = 1
    TAKEN = 2  # the recipient's gateway has checked and taken it
    ARRIVED = 3  # the recipient has received the goods
    REFUSED = 4  # the recipient's gateway did not take it
    COMING = 5  # parts are missing
    CHECKING = 6
    KEPT = 7  # checked and taken here
    RECEIVED = 8  # the goods are here, too
    REJECTED = 9  # it is not what the ledger says


SCHEMA: tuple[str, ...] = (
    "CREATE TABLE IF NOT EXISTS position (id INTEGER PRIMARY KEY CHECK (id = 0), next_leaf INTEGER NOT NULL,"
    " root BLOB NOT NULL)",
    # Hashes of events that were taken: the same event captured twice is one event.
    # By the event hash, or of a later event that has the hash of another one by the SHA-256 of hash and meaning.
    "CREATE TABLE IF NOT EXISTS seen (hash BLOB PRIMARY KEY, leaf INTEGER NOT NULL) WITHOUT ROWID",
    # A thing that has a secret of its own: a lot (its LGTIN) or a logistic unit (its SSCC), by canonical URI. A unit
    # that was opened and packed again is another one for the ledger: a new generation with a new secret. `secret` is
    # sealed under the site key. `origin` is the organisation that handed it over; empty: made here. `leaf`: the record
    # of the event that made it what it is. Of a lot `state` is a LotState.
    "CREATE TABLE IF NOT EXISTS unit (id INTEGER PRIMARY KEY, uri TEXT NOT NULL, generation INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, secret BLOB NOT NULL, origin TEXT NOT NULL,"
    " state INTEGER NOT NULL, parent INTEGER, out_of INTEGER, leaf INTEGER, UNIQUE (uri, generation))",
    "CREATE INDEX IF NOT EXISTS unit_parent ON unit (parent) WHERE parent IS NOT NULL",
    # What only lots have. `declared`: the amount that an event gave, as gateway.custody.amounts counts it. `inputs`:
    # what it was made of, CBOR [[URI, amount] …].
    "CREATE TABLE IF NOT EXISTS lot (unit INTEGER PRIMARY KEY, declared INTEGER, uom TEXT, expiry_day INTEGER,"
    " inputs BLOB)",
    # Packs, by the lot whose secret names them. `name` is the URI behind https://id.gs1.org/01/, `leaf` the record of
    # its commissioning, `parent` what it is in, `out_of` the unit that was opened around it last.
    "CREATE TABLE IF NOT EXISTS pack (name TEXT PRIMARY KEY, lot INTEGER NOT NULL, parent INTEGER, leaf INTEGER,"
    " out_of INTEGER) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS pack_lot ON pack (lot, name)",
    "CREATE INDEX IF NOT EXISTS pack_parent ON pack (parent, name) WHERE parent IS NOT NULL",
    # Amounts of lots without serials in a unit.
    "CREATE TABLE IF NOT EXISTS amount (parent INTEGER NOT NULL, lot INTEGER NOT NULL, count INTEGER NOT NULL,"
    " PRIMARY KEY (parent, lot)) WITHOUT ROWID",
    # Where packs stand in their lot's tree, where the whole tree is not here: CBOR [index, [hash …]].
    "CREATE TABLE IF NOT EXISTS place (name TEXT PRIMARY KEY, proof BLOB NOT NULL) WITHOUT ROWID",
    # A serial tree: of which unit, its size and root.
    "CREATE TABLE IF NOT EXISTS tree (id INTEGER PRIMARY KEY, unit INTEGER NOT NULL UNIQUE, size INTEGER NOT NULL,"
    " root BLOB NOT NULL)",
    # Its tiles as in a log: 256 hashes of a level each, but of level 0 the unit ids themselves, ascending.
    "CREATE TABLE IF NOT EXISTS tile (tree INTEGER NOT NULL, id INTEGER NOT NULL, hashes BLOB NOT NULL,"
    " PRIMARY KEY (tree, id))",
    # Transitions for the ledger, in order. `work`: CBOR, by `name`. `waits`: the URI of a lot or thing it waits for.
    # `behind`: an earlier open task about the same thing; when that ends, it is looked whether there is another.
    # `until_us`: when it is given up. `sent`: it was submitted, and may have been taken though no answer came.
    "CREATE TABLE IF NOT EXISTS task (id INTEGER PRIMARY KEY AUTOINCREMENT, leaf INTEGER NOT NULL, name TEXT NOT NULL,"
    " work BLOB NOT NULL, state INTEGER NOT NULL, waits TEXT, until_us INTEGER, sent INTEGER NOT NULL DEFAULT 0,"
    " made_us INTEGER NOT NULL, ended_us INTEGER, reason TEXT NOT NULL DEFAULT '', code TEXT NOT NULL DEFAULT '',"
    " tx_id TEXT NOT NULL DEFAULT '', told INTEGER NOT NULL DEFAULT 0, behind INTEGER)",
    "CREATE INDEX IF NOT EXISTS task_state ON task (state, id)",
    "CREATE INDEX IF NOT EXISTS task_waits ON task (waits, id) WHERE state = 1",
    "CREATE INDEX IF NOT EXISTS task_leaf ON task (leaf)",
    "CREATE INDEX IF NOT EXISTS task_free ON task (id) WHERE state = 0 AND behind IS NULL",
    "CREATE INDEX IF NOT EXISTS task_behind ON task (behind) WHERE behind IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS task_until ON task (until_us) WHERE state = 1 AND until_us IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS task_untold ON task (id) WHERE state = 3 AND told = 0",
    "CREATE INDEX IF NOT EXISTS task_not_ours ON task (id)"
    " WHERE state = 3 AND name = 'ship' AND code = 'not-custodian'",
    "CREATE INDEX IF NOT EXISTS task_given_up ON task (id) WHERE state = 3 AND code = 'no-data'",
    # What a task is about: two tasks about one thing are done in their order.
    "CREATE TABLE IF NOT EXISTS about (uri TEXT NOT NULL, task INTEGER NOT NULL, PRIMARY KEY (uri, task))"
    " WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS about_task ON about (task)",
    # Records of events that name a lot or unit.
    "CREATE TABLE IF NOT EXISTS mention (uri TEXT NOT NULL, leaf INTEGER NOT NULL, PRIMARY KEY (uri, leaf))"
    " WITHOUT ROWID",
    # Events that partners handed over: where they stand in this log (`leaf`) and in their own, and the proof of that:
    # CBOR [size, record, [source, boot, seq, schema, sensed, blind], [hash …]].
    "CREATE TABLE IF NOT EXISTS shared (leaf INTEGER PRIMARY KEY, origin TEXT NOT NULL, number INTEGER NOT NULL,"
    " proof BLOB NOT NULL, UNIQUE (origin, number))",
    # Hand-overs, from us and to us. `units`: CBOR list of URIs of what was shipped; `leaf`: the record of the shipping
    # event, where it is ours; `parts`: how many there are, once that is known; `nbytes`: of the parts that are here;
    # `anchored`: the checkpoint in which the events of one from us are proved, the same when it is made again.
    "CREATE TABLE IF NOT EXISTS handover (id BLOB PRIMARY KEY, incoming INTEGER NOT NULL, organisation TEXT NOT NULL,"
    " state INTEGER NOT NULL, leaf INTEGER, units BLOB NOT NULL, made_us INTEGER NOT NULL, changed_us INTEGER NOT NULL,"
    " parts INTEGER, reason TEXT NOT NULL DEFAULT '', until_us INTEGER, nbytes INTEGER NOT NULL DEFAULT 0,"
    " anchored INTEGER) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS handover_state ON handover (state, organisation, made_us)",
    "CREATE INDEX IF NOT EXISTS handover_until ON handover (until_us) WHERE until_us IS NOT NULL",
    # The units that were shipped with those that are kept here.
    "CREATE TABLE IF NOT EXISTS handed (uri TEXT NOT NULL, handover BLOB NOT NULL, PRIMARY KEY (uri, handover))"
    " WITHOUT ROWID",
    # Parts of those that are not taken yet.
    "CREATE TABLE IF NOT EXISTS part (handover BLOB NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL,"
    " PRIMARY KEY (handover, number))",
    # What is to be told to partners, until the outbox has it. `body`: CBOR.
    "CREATE TABLE IF NOT EXISTS say (id INTEGER PRIMARY KEY AUTOINCREMENT, organisation TEXT NOT NULL,"
    " handover BLOB NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS say_organisation ON say (organisation, id)",
    # Exceptions, reported by us or to us. `facts`: CBOR [things, records, compared]; `ledger_id`: what the ledger calls
    # it; `cause`: what it was opened for, once.
    "CREATE TABLE IF NOT EXISTS exception (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL,"
    " state TEXT NOT NULL, owner TEXT NOT NULL, organisation TEXT NOT NULL, facts BLOB NOT NULL, leaf INTEGER NOT NULL,"
    " ledger_id BLOB UNIQUE, opened_us INTEGER NOT NULL, changed_us INTEGER NOT NULL, deadline_us INTEGER NOT NULL,"
    " answer TEXT NOT NULL DEFAULT '', resolution TEXT NOT NULL DEFAULT '', remark TEXT NOT NULL DEFAULT '',"
    " trouble TEXT NOT NULL DEFAULT '', cause TEXT NOT NULL UNIQUE)",
    "CREATE INDEX IF NOT EXISTS exception_state ON exception (state, id)",
    # Lot and expiry that a receiving event says, by its record: compared once its goods are here.
    "CREATE TABLE IF NOT EXISTS label (leaf INTEGER PRIMARY KEY, lot TEXT, expiry INTEGER)",
    # One row while events of a hand-over, or of a notice about one, are being logged: where the log stood before.
    "CREATE TABLE IF NOT EXISTS logging (handover BLOB NOT NULL, notice INTEGER NOT NULL, first_leaf INTEGER NOT NULL,"
    " PRIMARY KEY (handover, notice)) WITHOUT ROWID",
)
TABLES = (
    "position", "seen", "unit", "lot", "pack", "amount", "place", "tree", "tile", "task", "about",
    "mention", "shared", "handover", "handed", "part", "say", "exception", "label", "logging",
)  # fmt: skip
