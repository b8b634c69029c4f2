"""The tables of events.db. Rows are derived from the log: a change here raises VERSION, and every index is rebuilt.

A thing is whatever an event speaks of by a URI in canonical form (gateway.epcis.identifiers): an instance, a lot, a
class, a logistic unit, a place, a party, a transformation. Ids are given in the order in which the log first names
them, so that two indexes of one log are equal row by row.
"""

from enum import IntEnum

from gateway.index.following import POSITION

VERSION = 5
PARTNER = "partner."  # how names of sources begin that hold what partners handed over


class Type(IntEnum):
    """What kind of EPCIS event it is; OTHER is an extension's own."""

    OTHER = 0
    OBJECT = 1
    AGGREGATION = 2
    TRANSACTION = 3
    TRANSFORMATION = 4
    ASSOCIATION = 5


class Action(IntEnum):
    """NONE: a transformation has no action."""

    NONE = 0
    ADD = 1
    OBSERVE = 2
    DELETE = 3


class Role(IntEnum):
    """What a thing is in an event. The first five stand in the event; what of them has a quantity is class-level. The
    others are derived: the lot that the event's ilmd gives its things, the transformationID, and the parties and
    places of sourceList and destinationList, whose type is `uom`."""

    EPC = 0
    PARENT = 1
    CHILD = 2
    INPUT = 3
    OUTPUT = 4
    LOT = 5
    TRANSFORMATION = 6
    SOURCE = 7
    DESTINATION = 8


STATED = (Role.EPC, Role.PARENT, Role.CHILD, Role.INPUT, Role.OUTPUT)  # as the event lists them

SCHEMA: tuple[str, ...] = (
    POSITION,
    "CREATE TABLE IF NOT EXISTS thing (id INTEGER PRIMARY KEY, uri TEXT NOT NULL UNIQUE)",
    "CREATE TABLE IF NOT EXISTS word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
    # source is who reported it here (a word). record_us is when it was received, whatever the event says. declared: it
    # declares another event to be erroneous; void: another one declares that of it (the same hash or eventID) and may:
    # a partner speaks of its own events alone.
    "CREATE TABLE IF NOT EXISTS event (leaf INTEGER PRIMARY KEY, hash BLOB NOT NULL, type INTEGER NOT NULL,"
    " action INTEGER NOT NULL, time_us INTEGER NOT NULL, record_us INTEGER NOT NULL, step INTEGER,"
    " disposition INTEGER, read_point INTEGER, location INTEGER, declared INTEGER NOT NULL, void INTEGER NOT NULL,"
    " source INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS event_hash ON event (hash)",
    "CREATE INDEX IF NOT EXISTS event_time ON event (time_us)",
    # For queries by one step, disposition or place, and for the lists of those there are.
    "CREATE INDEX IF NOT EXISTS event_record ON event (record_us)",
    "CREATE INDEX IF NOT EXISTS event_step ON event (step) WHERE step IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS event_disposition ON event (disposition) WHERE disposition IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS event_read_point ON event (read_point) WHERE read_point IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS event_location ON event (location) WHERE location IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS event_declared ON event (hash) WHERE declared = 1",
    # eventIDs that are not the event's own hash.
    "CREATE TABLE IF NOT EXISTS named (id TEXT NOT NULL, leaf INTEGER NOT NULL, PRIMARY KEY (id, leaf)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS part (thing INTEGER NOT NULL, leaf INTEGER NOT NULL, role INTEGER NOT NULL,"
    " quantity REAL, uom INTEGER, PRIMARY KEY (thing, leaf, role)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS part_event ON part (leaf, role, thing)",
    # What gateway.events.facts finds in an event beside its things: text, number, or both.
    "CREATE TABLE IF NOT EXISTS fact (name INTEGER NOT NULL, value TEXT, number REAL, leaf INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS fact_value ON fact (name, value, leaf) WHERE value IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS fact_number ON fact (name, number, leaf) WHERE number IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS fact_event ON fact (leaf)",
)
TABLES = ("position", "thing", "word", "event", "named", "part", "fact")
