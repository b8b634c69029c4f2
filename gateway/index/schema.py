"""The tables of index.db. Rows are derived from the log: a change here raises VERSION, and every index is rebuilt."""

from gateway.index.following import POSITION

VERSION = 3
BLOCK_BITS = 8  # leaves a block: 256

STORED, SEALED = 0, 1  # what a span of numbers is

SCHEMA: tuple[str, ...] = (
    POSITION,
    "CREATE TABLE IF NOT EXISTS source (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " events INTEGER NOT NULL DEFAULT 0, seals INTEGER NOT NULL DEFAULT 0, last_leaf INTEGER NOT NULL DEFAULT 0,"
    " received_us INTEGER NOT NULL DEFAULT 0)",
    # delay_us: received this much later than sensed, which takes fewer bytes than the time itself.
    # seq is the first number of a seal's range, count its length (0 for an event).
    "CREATE TABLE IF NOT EXISTS record (leaf INTEGER PRIMARY KEY, kind INTEGER NOT NULL, source INTEGER NOT NULL,"
    " boot INTEGER NOT NULL, seq INTEGER NOT NULL, count INTEGER NOT NULL, sensed_us INTEGER NOT NULL,"
    " delay_us INTEGER NOT NULL, authentication INTEGER NOT NULL, flags INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS record_flagged ON record (leaf) WHERE flags <> 0",
    "CREATE INDEX IF NOT EXISTS record_time ON record (source, boot, sensed_us, seq) WHERE count = 0",
    # Which sensed times each block of leaves holds (a time range becomes a range of leaves), and which kinds, each
    # one bit (`kind_bit`). `place` tells which blocks have leaves of a source. A search for a source or a kind looks
    # through these blocks: an entry for every leaf would be a quarter of the index.
    "CREATE TABLE IF NOT EXISTS block (id INTEGER PRIMARY KEY, low_us INTEGER NOT NULL, high_us INTEGER NOT NULL,"
    " kinds INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS place (source INTEGER NOT NULL, block INTEGER NOT NULL, kinds INTEGER NOT NULL,"
    " PRIMARY KEY (source, block)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS term (id INTEGER PRIMARY KEY, name TEXT NOT NULL, value TEXT NOT NULL,"
    " UNIQUE (name, value))",
    "CREATE TABLE IF NOT EXISTS mention (term INTEGER NOT NULL, leaf INTEGER NOT NULL,"
    " PRIMARY KEY (term, leaf)) WITHOUT ROWID",
    # Measured values; series is the id of the term ("series", name).
    "CREATE TABLE IF NOT EXISTS series (source INTEGER NOT NULL, series INTEGER NOT NULL, unit TEXT NOT NULL,"
    " PRIMARY KEY (source, series)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS point (source INTEGER NOT NULL, series INTEGER NOT NULL, time_us INTEGER NOT NULL,"
    " leaf INTEGER NOT NULL, n INTEGER NOT NULL, value REAL NOT NULL, outside INTEGER NOT NULL,"
    " PRIMARY KEY (source, series, time_us, leaf, n)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS point_outside ON point (source, series, time_us) WHERE outside = 1",
    # Numbers first … last of a boot that are stored (0) or sealed (1), merged: as many rows as gaps, plus one.
    "CREATE TABLE IF NOT EXISTS span (source INTEGER NOT NULL, boot INTEGER NOT NULL, what INTEGER NOT NULL,"
    " first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (source, boot, what, first)) WITHOUT ROWID",
)
TABLES = ("position", "source", "record", "block", "place", "term", "mention", "series", "point", "span")


def kind_bit(kind: int) -> int:
    """The bit of a kind in `kinds`. Two kinds far apart may share one: what is found there is compared."""
    return 1 << kind % 62
