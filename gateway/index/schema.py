"""The tables of index.db. Rows are derived from the log: a change here raises VERSION, and every index is rebuilt."""

VERSION = 1
BLOCK_BITS = 10  # leaves a block of the time map: 1,024

STORED, SEALED = 0, 1  # what a span of numbers is

SCHEMA: tuple[str, ...] = (
    # One row: how far the log was followed, and the root that the log had there.
    "CREATE TABLE IF NOT EXISTS position (id INTEGER PRIMARY KEY CHECK (id = 0), origin TEXT NOT NULL,"
    " next_leaf INTEGER NOT NULL, root BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS source (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " events INTEGER NOT NULL DEFAULT 0, seals INTEGER NOT NULL DEFAULT 0, last_leaf INTEGER NOT NULL DEFAULT 0,"
    " received_us INTEGER NOT NULL DEFAULT 0)",
    # seq is the first number of a seal's range, count its length (0 for an event).
    "CREATE TABLE IF NOT EXISTS record (leaf INTEGER PRIMARY KEY, kind INTEGER NOT NULL, source INTEGER NOT NULL,"
    " boot INTEGER NOT NULL, seq INTEGER NOT NULL, count INTEGER NOT NULL, sensed_us INTEGER NOT NULL,"
    " received_us INTEGER NOT NULL, authentication INTEGER NOT NULL, flags INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS record_source ON record (source)",
    "CREATE INDEX IF NOT EXISTS record_kind ON record (kind)",
    "CREATE INDEX IF NOT EXISTS record_flagged ON record (leaf) WHERE flags <> 0",
    "CREATE INDEX IF NOT EXISTS record_time ON record (source, boot, sensed_us, seq) WHERE count = 0",
    # Which sensed times each block of leaves holds: a time range becomes a range of leaves.
    "CREATE TABLE IF NOT EXISTS block (id INTEGER PRIMARY KEY, low_us INTEGER NOT NULL, high_us INTEGER NOT NULL)",
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
TABLES = ("position", "source", "record", "block", "term", "mention", "series", "point", "span")
