"""Secrets of lots and logistic units, and the ids that the ledger knows them and their packs by.

Trust boundary: URIs are canonical and checked by whoever calls. Secrets lie sealed under the site key; whoever has both
files can test guesses of serials against the ledger, and do nothing else with them.
"""

import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crypto import labels
from crypto.at_rest import AtRestKey
from crypto.units import UNIT_SECRET_BYTES, new_unit_secret, unit_id
from gateway.custody.database import Store
from gateway.custody.errors import CustodyError, UnknownUnitError
from gateway.custody.names import PRODUCT, is_lot, is_pack, pack_name
from gateway.custody.schema import LotState, UnitKind, UnitState

PACKS_AT_ONCE = 4096
_NAMES = ("id", "uri", "generation", "kind", "secret", "origin", "state", "parent", "out_of", "leaf")
_COLUMNS = ", ".join(f"unit.{name}" for name in _NAMES)
_THERE = "SELECT pack.name FROM json_each(?) j CROSS JOIN pack ON pack.name = j.value"
_PUT = "INSERT OR IGNORE INTO pack (name, lot, leaf) SELECT value, ?, ? FROM json_each(?)"
_Row = tuple[int, str, int, int, bytes, str, int, int | None, int | None, int | None]


@dataclass(frozen=True, slots=True)
class Unit:
    """A thing with a secret of its own: a lot, by the URI of its LGTIN, or a logistic unit. `origin`: the organisation
    that handed it over, empty for one that was made here. `parent`: the number of the unit it is in; `out_of`: of the
    one that was opened around it last. `leaf`: the record of the event that made it what it is. Of a lot `state` is a
    LotState."""

    number: int
    uri: str
    generation: int
    kind: UnitKind
    secret: bytes
    origin: str
    state: int
    parent: int | None
    out_of: int | None
    leaf: int | None

    @property
    def id(self) -> bytes:
        """What the ledger calls it, 32 bytes."""
        return unit_id(self.secret, self.uri)

    def id_of(self, uri: str) -> bytes:
        """What the ledger calls one of its packs."""
        return unit_id(self.secret, uri)

    @property
    def is_lot(self) -> bool:
        return self.kind is UnitKind.LOT


class Units:
    """Reads and adds secrets, and which pack is of which lot."""

    def __init__(self, store: Store, site_key: bytes) -> None:
        self._store, self._key = store, AtRestKey(site_key)
        self._own = hmac.digest(site_key, labels.UNIT_SECRET, "sha256")

    def get(self, uri: str) -> Unit | None:
        """The lot or logistic unit of this URI, its newest generation, if its secret is known here."""
        return self._one("uri = ? ORDER BY generation DESC LIMIT 1", uri)

    def of(self, uri: str) -> Unit:
        """As `get`; UnknownUnitError where it is not known."""
        found = self.get(uri)
        if found is None:
            raise UnknownUnitError(f"{uri} was neither made here nor handed over to us; its secret is not known", uri)
        return found

    def numbered(self, number: int) -> Unit:
        found = self._one("id = ?", number)
        if found is None:
            raise UnknownUnitError(f"no unit has the number {number}; is this another site's custody.db?")
        return found

    def generations(self, uri: str) -> Iterator[Unit]:
        """All of this URI, the newest first."""
        query = f"SELECT {_COLUMNS} FROM unit WHERE uri = ? ORDER BY generation DESC"
        with self._store.reading() as db:
            rows = db.execute(query, (uri,)).fetchall()
        return map(self._unit, rows)

    def made(self, uri: str, leaf: int | None = None) -> Unit:
        """The unit of this URI, with a fresh secret where it is new."""
        return self.get(uri) or self.new(uri, kind_of(uri), leaf)

    def new(self, uri: str, kind: UnitKind, leaf: int | None = None) -> Unit:
        """A fresh generation of this URI."""
        return self._add(uri, kind, new_unit_secret(), "", int(UnitState.OPEN), leaf)

    def take(self, uri: str, kind: UnitKind, secret: bytes, origin: str) -> Unit:
        """Keep a secret that a partner handed over: it is on its way to us. A unit that was here before, and whose
        secret is another one, was opened and packed again; a lot has one secret for ever. Nobody's word takes the name
        of a unit that is here or on its way from another.

        Raises:
            CustodyError: it is no secret, or not theirs to hand over.
        """
        if len(secret) != UNIT_SECRET_BYTES:
            raise CustodyError(f"the secret of {uri} has {len(secret)} bytes, expected {UNIT_SECRET_BYTES}")
        known = list(self.generations(uri))
        for one in known:
            if one.secret == secret:
                return one
        if known:
            self._require_over(known[0], origin)
        state = int(LotState.KNOWN if kind is UnitKind.LOT else UnitState.COMING)
        return self._add(uri, kind, secret, origin, state, None)

    def _require_over(self, known: Unit, origin: str) -> None:
        """Another unit may have this URI now."""
        where = f"was handed over by {known.origin}" if known.origin else "was made here"
        if known.is_lot:
            raise CustodyError(f"{origin} hands over another secret of {known.uri} than the one that {where}")
        here = known.state == UnitState.SEALED and self.outermost(known).state != UnitState.SHIPPED
        if here or (known.state == UnitState.OPEN and self.has_contents(known)):
            raise CustodyError(f"{origin} hands over another {known.uri} than the one that {where} and is here")
        if known.state == UnitState.COMING and known.origin != origin:
            raise CustodyError(f"{origin} hands over another {known.uri} than the one on its way from {known.origin}")

    def outermost(self, unit: Unit) -> Unit:
        """The one around it that is in nothing."""
        while unit.parent is not None:
            unit = self.numbered(unit.parent)
        return unit

    def has_contents(self, unit: Unit) -> bool:
        parts = (f"EXISTS (SELECT 1 FROM {table} WHERE parent = ?1)" for table in ("pack", "unit", "amount"))
        with self._store.reading() as db:
            return bool(db.execute(f"SELECT {' OR '.join(parts)}", (unit.number,)).fetchone()[0])

    def set_state(self, unit: Unit, state: int) -> None:
        with self._store.transaction() as tx:
            tx.execute("UPDATE unit SET state = ? WHERE id = ?", (state, unit.number))

    def id_of(self, uri: str) -> bytes:
        """What the ledger calls this lot, logistic unit or pack; UnknownUnitError where its secret is not known."""
        return self.lot_of(uri).id_of(uri) if is_pack(uri) else self.of(uri).id

    def private_id(self, uri: str) -> bytes:
        """A name for a thing whose secret is not here, that nobody else can tell or guess."""
        return unit_id(self._own, uri)

    def named(self, ids: Sequence[bytes]) -> list[str]:
        """URIs of those of these ids that are known here. Looks at every unit, and at every pack of the lots among
        them: for what happens seldom."""
        wanted, found = set(ids), list[str]()
        with self._store.reading() as db:
            numbers = [row[0] for row in db.execute("SELECT id FROM unit ORDER BY id").fetchall()]
        for unit in map(self.numbered, numbers):
            if unit.id in wanted:
                found.append(unit.uri)
                if unit.is_lot:
                    found += [pack for pack in self.packs(unit) if unit.id_of(pack) in wanted]
        return found

    # -- packs

    def lot_of(self, pack: str) -> Unit:
        """The lot of a pack, by the URI of its SGTIN; UnknownUnitError where no event or hand-over named it."""
        found = self.find_lot(pack)
        if found is None:
            said = f"no lot of {pack} is known: it was neither commissioned here nor handed over"
            raise UnknownUnitError(said, pack)
        return found

    def find_lot(self, pack: str) -> Unit | None:
        """As `lot_of`, None where it is not known."""
        query = f"SELECT {_COLUMNS} FROM pack JOIN unit ON unit.id = pack.lot WHERE name = ?"
        with self._store.reading() as db:
            row = db.execute(query, (pack_name(pack),)).fetchone()
        return None if row is None else self._unit(row)

    def put_packs(self, lot: Unit, packs: list[str], leaf: int | None = None) -> list[str]:
        """Note packs, by the URIs of their SGTINs, as of this lot; `leaf` is the record of their commissioning. Returns
        those that were there already, of this lot or of another, and stay as they are."""
        names = list(map(pack_name, packs))
        listed = json.dumps(names)
        with self._store.transaction() as tx:
            # One statement for all: between two, this thread may wait for the interpreter's lock.
            there = {name for (name,) in tx.execute(_THERE, (listed,))}
            tx.execute(_PUT, (lot.number, leaf, listed))
        known: list[str] = []
        for pack, name in zip(packs, names, strict=True):
            if name in there:
                known.append(pack)
            there.add(name)
        return known

    def commissioned_at(self, pack: str) -> int | None:
        """The record of a pack's commissioning or, where that was elsewhere, of what was handed over about it."""
        with self._store.reading() as db:
            row = db.execute("SELECT leaf FROM pack WHERE name = ?", (pack_name(pack),)).fetchone()
        return None if row is None else row[0]

    def has_packs(self, lot: Unit) -> bool:
        with self._store.reading() as db:
            return bool(db.execute("SELECT EXISTS (SELECT 1 FROM pack WHERE lot = ?)", (lot.number,)).fetchone()[0])

    def count_packs(self, lot: Unit) -> int:
        with self._store.reading() as db:
            return int(db.execute("SELECT COUNT(*) FROM pack WHERE lot = ?", (lot.number,)).fetchone()[0])

    def packs(self, lot: Unit) -> Iterator[str]:
        """URIs of all its packs in their order, a few thousand at a time."""
        after = ""
        query = "SELECT name FROM pack WHERE lot = ? AND name > ? ORDER BY name LIMIT ?"
        while True:
            with self._store.reading() as db:
                rows = db.execute(query, (lot.number, after, PACKS_AT_ONCE)).fetchall()
            yield from (PRODUCT + name for (name,) in rows)
            if len(rows) < PACKS_AT_ONCE:
                return
            (after,) = rows[-1]

    def sorted_ids(self, lot: Unit) -> Iterator[bytes]:
        """Ids of all its packs in ascending order, in memory that does not grow with their number: SQLite sorts them
        on disk. As many as were there at the first one."""
        with self._store.apart() as own:
            own.connection.create_function("pack_id", 1, lambda name: unit_id(lot.secret, PRODUCT + name))
            query = "SELECT pack_id(name) FROM pack WHERE lot = ? ORDER BY 1"
            for (found,) in own.connection.execute(query, (lot.number,)):
                yield found

    def _add(self, uri: str, kind: UnitKind, secret: bytes, origin: str, state: int, leaf: int | None) -> Unit:
        with self._store.transaction() as tx:
            query = "SELECT COALESCE(MAX(generation) + 1, 0) FROM unit WHERE uri = ?"
            generation = int(tx.execute(query, (uri,)).fetchone()[0])
            row = (
                uri, generation, int(kind), self._key.seal(secret, _place(uri)), origin, state, leaf,
            )  # fmt: skip
            columns = "uri, generation, kind, secret, origin, state, leaf"
            tx.execute(f"INSERT INTO unit ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return self.of(uri)

    def _one(self, where: str, value: object) -> Unit | None:
        with self._store.reading() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM unit WHERE {where}", (value,)).fetchone()
        return None if row is None else self._unit(row)

    def _unit(self, row: _Row) -> Unit:
        number, uri, generation, kind, sealed, origin, state, parent, out_of, leaf = row
        secret = self._key.open(sealed, _place(uri))
        return Unit(number, uri, generation, UnitKind(kind), secret, origin, state, parent, out_of, leaf)


def kind_of(uri: str) -> UnitKind:
    return UnitKind.LOT if is_lot(uri) else UnitKind.LOGISTIC


def _place(uri: str) -> bytes:
    return labels.UNIT_SECRET + b"\x00" + uri.encode()
