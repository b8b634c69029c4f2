"""Secrets of lots and logistic units, and the ids that the ledger knows them and their packs by.

Trust boundary: URIs are canonical and checked by whoever calls. Secrets lie sealed under the site key; whoever has both
files can test guesses of serials against the ledger, and do nothing else with them.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from crypto import labels
from crypto.at_rest import AtRestKey
from crypto.units import UNIT_SECRET_BYTES, new_unit_secret, unit_id
from gateway.custody.database import Store
from gateway.custody.errors import CustodyError, UnknownUnitError

PACKS_AT_ONCE = 4096
PRODUCT = "https://id.gs1.org/01/"  # how the canonical URIs of products, lots and packs begin
SERIAL = "/21/"


@dataclass(frozen=True, slots=True)
class Unit:
    """A thing with a secret of its own: a lot, by the URI of its LGTIN, or a logistic unit. `origin`: the organisation
    that handed it over, empty for one that was made here."""

    number: int
    uri: str
    secret: bytes
    origin: str

    @property
    def id(self) -> bytes:
        """What the ledger calls it, 32 bytes."""
        return unit_id(self.secret, self.uri)

    def id_of(self, uri: str) -> bytes:
        """What the ledger calls one of its packs."""
        return unit_id(self.secret, uri)


class Units:
    """Reads and adds secrets, and which pack is of which lot."""

    def __init__(self, store: Store, site_key: bytes) -> None:
        self._store, self._key = store, AtRestKey(site_key)

    def get(self, uri: str) -> Unit | None:
        """The lot or logistic unit of this URI, if its secret is known here."""
        query = "SELECT id, uri, secret, origin FROM unit WHERE uri = ?"
        with self._store.reading() as db:
            row = db.execute(query, (uri,)).fetchone()
        return None if row is None else self._unit(row)

    def of(self, uri: str) -> Unit:
        """As `get`; UnknownUnitError where it is not known."""
        found = self.get(uri)
        if found is None:
            raise UnknownUnitError(f"{uri} was neither made here nor handed over to us; its secret is not known")
        return found

    def numbered(self, number: int) -> Unit:
        with self._store.reading() as db:
            row = db.execute("SELECT id, uri, secret, origin FROM unit WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise UnknownUnitError(f"no unit has the number {number}; is this another site's custody.db?")
        return self._unit(row)

    def made(self, uri: str) -> Unit:
        """The unit of this URI, with a fresh secret where it is new."""
        return self.get(uri) or self._add(uri, new_unit_secret(), "")

    def take(self, uri: str, secret: bytes, origin: str) -> Unit:
        """Keep a secret that a partner handed over.

        Raises:
            CustodyError: it is no secret, or another one of this unit is known.
        """
        if len(secret) != UNIT_SECRET_BYTES:
            raise CustodyError(f"the secret of {uri} has {len(secret)} bytes, expected {UNIT_SECRET_BYTES}")
        known = self.get(uri)
        if known is None:
            return self._add(uri, secret, origin)
        if known.secret != secret:
            said = f"was handed over by {known.origin}" if known.origin else "was made here"
            raise CustodyError(f"{origin} hands over another secret of {uri} than the one that {said}")
        return known

    def id_of(self, uri: str) -> bytes:
        """What the ledger calls this lot, logistic unit or pack; UnknownUnitError where its secret is not known."""
        return self.lot_of(uri).id_of(uri) if is_pack(uri) else self.of(uri).id

    # -- packs

    def lot_of(self, pack: str) -> Unit:
        """The lot of a pack, by the URI of its SGTIN; UnknownUnitError where no event or hand-over named it."""
        found = self.find_lot(pack)
        if found is None:
            raise UnknownUnitError(f"no lot of {pack} is known: it was neither commissioned here nor handed over")
        return found

    def find_lot(self, pack: str) -> Unit | None:
        """As `lot_of`, None where it is not known."""
        query = "SELECT unit.id, uri, secret, origin FROM pack JOIN unit ON unit.id = pack.lot WHERE name = ?"
        with self._store.reading() as db:
            row = db.execute(query, (_name(pack),)).fetchone()
        return None if row is None else self._unit(row)

    def put_packs(self, lot: Unit, packs: Iterable[str]) -> list[str]:
        """Note packs, by the URIs of their SGTINs, as of this lot. Returns those that are of another lot already and
        stay there."""
        rows = [(_name(pack), lot.number) for pack in packs]
        with self._store.transaction() as tx:
            tx.executemany("INSERT OR IGNORE INTO pack VALUES (?, ?)", rows)
            query = "SELECT 1 FROM pack WHERE name = ? AND lot = ?"
            return [PRODUCT + name for name, number in rows if not tx.execute(query, (name, number)).fetchone()]

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

    def _add(self, uri: str, secret: bytes, origin: str) -> Unit:
        sealed = self._key.seal(secret, _place(uri))
        with self._store.transaction() as tx:
            row = (uri, sealed, origin, time.time_ns() // 1000)
            tx.execute("INSERT OR IGNORE INTO unit (uri, secret, origin, made_us) VALUES (?, ?, ?, ?)", row)
        return self.of(uri)

    def _unit(self, row: tuple[int, str, bytes, str]) -> Unit:
        number, uri, sealed, origin = row
        return Unit(number, uri, self._key.open(sealed, _place(uri)), origin)


def is_pack(uri: str) -> bool:
    """Whether a canonical URI names one pack with a serial (SGTIN)."""
    return uri.startswith(PRODUCT) and SERIAL in uri


def _name(pack: str) -> str:
    """What is stored of a pack's URI."""
    if not is_pack(pack):
        raise CustodyError(f"expected the canonical URI of a pack with a serial (SGTIN), got {pack[:120]}")
    return pack[len(PRODUCT) :]


def _place(uri: str) -> bytes:
    return labels.UNIT_SECRET + b"\x00" + uri.encode()
