"""The tables of custody.db, mode 0600: secrets of units, what is in which lot and in which container, and serial trees.

Unlike an index this file cannot be built again from the log: secrets are in no event.
"""

VERSION = 1
SCHEMA: tuple[str, ...] = (
    # A thing that has a secret of its own: a lot (its LGTIN) or a logistic unit (its SSCC), by canonical URI. `secret`
    # is sealed under the site key. `origin` is the organisation that handed it over; empty: made here.
    "CREATE TABLE IF NOT EXISTS unit (id INTEGER PRIMARY KEY, uri TEXT NOT NULL UNIQUE, secret BLOB NOT NULL,"
    " origin TEXT NOT NULL, made_us INTEGER NOT NULL)",
    # Packs, by the lot whose secret names them. `name` is the URI behind https://id.gs1.org/01/.
    "CREATE TABLE IF NOT EXISTS pack (name TEXT PRIMARY KEY, lot INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS pack_lot ON pack (lot, name)",
    # A serial tree: of what it is (the id of a unit, and a number where it was made anew), its size and root.
    "CREATE TABLE IF NOT EXISTS tree (id INTEGER PRIMARY KEY, unit INTEGER NOT NULL, number INTEGER NOT NULL,"
    " size INTEGER NOT NULL, root BLOB NOT NULL, UNIQUE (unit, number))",
    # Its tiles as in a log: 256 hashes of a level each, but of level 0 the unit ids themselves, ascending.
    "CREATE TABLE IF NOT EXISTS tile (tree INTEGER NOT NULL, id INTEGER NOT NULL, hashes BLOB NOT NULL,"
    " PRIMARY KEY (tree, id))",
)
