"""Takes a hand-over that was checked: secrets, contents, trees and places into custody.db.

A small one is kept whole or not at all. Of a large one each step can be done again after a crash.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, groupby
from typing import Any

from chaincode.lots.items import Position
from crypto import bulk
from gateway.custody.containers import Amount, Containers
from gateway.custody.database import Store
from gateway.custody.errors import HandoverError
from gateway.custody.handover import format as form
from gateway.custody.handover.checking import Checking
from gateway.custody.handover.format import Part
from gateway.custody.handover.outline import Outline
from gateway.custody.names import PRODUCT
from gateway.custody.places import Places
from gateway.custody.schema import UnitState
from gateway.custody.trees import Tree, Trees
from gateway.custody.units import Unit, Units

SMALL = 4096  # things in units, and
SMALL_TREES = 65_536  # ids of lots' trees: of a hand-over that is kept in one transaction
UNITS_AT_ONCE = 256  # of a larger one, in each
Parts = Callable[[], Iterable[bytes]]  # the signed bytes, from the first on
Duplicate = tuple[str, str, str]  # a pack, the unit that it comes in as well, and from whom


class Taking:
    """Of one site."""

    def __init__(self, store: Store, units: Units, containers: Containers, trees: Trees, places: Places) -> None:
        self._store, self._units, self._containers = store, units, containers
        self._trees, self._places = trees, places

    def keep(self, organisation: str, outline: Outline, checking: Checking, parts: Parts) -> list[Duplicate]:
        """Secrets, contents, trees and places; what comes twice. Blocks.

        Raises:
            HandoverError: a lot's tree is not the ledger's, or a pack is not in it.
            CustodyError: what is known here does not let a secret be.
        """
        ids = sum(said.size for said in outline.contents.values())
        if ids <= SMALL and sum(outline.trees.values()) <= SMALL_TREES:
            with self._store.transaction():  # by far the most: one wait for the disk
                return self._keep(organisation, outline, checking, parts)
        return self._keep(organisation, outline, checking, parts)

    def _keep(self, organisation: str, outline: Outline, checking: Checking, parts: Parts) -> list[Duplicate]:
        """Lots come first: what may not hold of the others was compared with the ledger before."""
        units = self._take(outline.lots, outline, organisation)
        if outline.trees:
            self._keep_trees(outline, units, checking, parts)
        units |= self._take(outline.logistic, outline, organisation)
        fresh = {uri for uri in outline.logistic if _is_fresh(units[uri], outline)}
        self._begin([units[uri] for uri in fresh], organisation)
        duplicates: list[Duplicate] = []
        for part in form.parts_in(parts()):
            duplicates += self._keep_part(part, units, fresh)
        self._build_units(outline, units)
        return duplicates

    def _take(self, uris: Sequence[str], outline: Outline, organisation: str) -> dict[str, Unit]:
        units: dict[str, Unit] = {}
        for start in range(0, len(uris), UNITS_AT_ONCE):
            with self._store.transaction():
                for uri in uris[start : start + UNITS_AT_ONCE]:
                    units[uri] = self._units.take(uri, *outline.units[uri], organisation)
        return units

    def _begin(self, units: Sequence[Unit], organisation: str) -> None:
        """Those whose contents are taken."""
        with self._store.transaction() as tx:
            for unit in units:
                query = "UPDATE unit SET state = ?, parent = NULL, origin = ? WHERE id = ?"
                tx.execute(query, (int(UnitState.COMING), organisation, unit.number))
                tx.execute("DELETE FROM amount WHERE parent = ?", (unit.number,))

    def _keep_trees(self, outline: Outline, lots: dict[str, Unit], checking: Checking, parts: Parts) -> None:
        for part in form.parts_in(parts()):
            for item in part.items:
                if item[0] == form.TREE:
                    self._trees.put_ids(lots[item[1]].number, item[2], item[3])
        packs = outline.packs_by_lot()
        for uri in outline.trees:
            tree = self._build_lot(lots[uri], checking)
            if not _all_in(self._trees.ids(tree), packs[uri]):
                raise HandoverError(f"packs of {uri} are handed over that are not in the tree that the ledger has")

    def _build_units(self, outline: Outline, units: dict[str, Unit]) -> None:
        """Trees of what is in units, some in each transaction."""
        waiting, size = list[str](), 0
        for uri, said in outline.contents.items():
            waiting.append(uri)
            size += said.size
            if len(waiting) >= UNITS_AT_ONCE or size >= SMALL_TREES:
                self._build(waiting, outline, units)
                waiting, size = [], 0
        self._build(waiting, outline, units)

    def _build(self, uris: Sequence[str], outline: Outline, units: dict[str, Unit]) -> None:
        with self._store.transaction():
            for uri in uris:
                self._trees.build(units[uri].number, outline.ids_in(uri))

    def _keep_part(self, part: Part, units: dict[str, Unit], fresh: set[str]) -> list[Duplicate]:
        duplicates: list[Duplicate] = []
        with self._store.transaction() as tx:
            for item in part.items:
                if item[0] == form.INSIDE and item[1] in fresh:
                    rows = [(units[item[1]].number, units[child].number) for child in item[2]]
                    tx.executemany("UPDATE unit SET parent = ? WHERE id = ?", rows)
                elif item[0] == form.PACKS and item[1] in fresh:
                    duplicates += self._put_packs(tx, units[item[1]], units[item[2]], item[3])
                elif item[0] == form.AMOUNT and item[1] in fresh:
                    self._containers.put_amount(units[item[1]], Amount(units[item[2]], item[3]))
                elif item[0] == form.PLACES:
                    self._put_places(tx, units[item[1]], item[2])
        return duplicates

    def _put_places(self, tx: sqlite3.Connection, lot: Unit, places: Sequence[list[Any]]) -> None:
        """Of packs that are of this lot here, too: another one's is not replaced."""
        query = "SELECT name FROM json_each(?) JOIN pack ON name = value WHERE lot = ?"
        ours = {name for (name,) in tx.execute(query, (json.dumps([name for name, *_ in places]), lot.number))}
        self._places.put(
            (PRODUCT + name, Position(index, tuple(proof))) for name, index, proof in places if name in ours
        )

    def _put_packs(self, tx: sqlite3.Connection, unit: Unit, lot: Unit, names: Sequence[str]) -> list[Duplicate]:
        """A pack that is somewhere else already, by what we know, is a serial that is there twice: it stays there."""
        rows = [(name, lot.number, unit.number) for name in names]
        query = "INSERT OR IGNORE INTO pack (name, lot, parent) VALUES (?, ?, ?)"
        if tx.executemany(query, rows).rowcount == len(rows):
            return []
        duplicates: list[Duplicate] = []
        sent: dict[int | None, bool] = {None: False}
        for name in names:
            known_lot, parent = tx.execute("SELECT lot, parent FROM pack WHERE name = ?", (name,)).fetchone()
            if parent == unit.number:
                continue
            if parent not in sent:
                sent[parent] = self._units.outermost(self._units.numbered(parent)).state == UnitState.SHIPPED
            if known_lot == lot.number and sent[parent]:
                tx.execute("UPDATE pack SET parent = ?, out_of = NULL WHERE name = ?", (unit.number, name))
            else:
                duplicates.append((PRODUCT + name, unit.uri, unit.origin))
        return duplicates

    def _build_lot(self, lot: Unit, checking: Checking) -> Tree:
        """The tree of a lot that came whole, compared with the ledger."""
        wanted = checking.root_of_lot(lot.uri)
        tree = self._trees.build_from_ids(lot.number)
        if wanted != (tree.size, tree.root):
            self._trees.drop(lot.number)
            raise HandoverError(f"the ids of {lot.uri} do not make the tree that the ledger has")
        return tree


def _is_fresh(unit: Unit, outline: Outline) -> bool:
    """Whether its contents are taken: it is new here, or by the ledger on its way to us, and was not opened before the
    ledger hears of its receipt. What is ours, or on its way from us, nobody else's word changes."""
    return unit.state == UnitState.COMING or (unit.uri in outline.coming and unit.state != UnitState.OPENED)


def _all_in(tree: Iterable[bytes], packs: Iterable[bytearray]) -> bool:
    """Whether all these ids are in a tree, whose ids ascend. A sixteenth of them is in memory as objects at a time."""
    wanted = [bytearray() for _ in range(16)]
    for one in chain.from_iterable(bulk.split(bytes(ids)) for ids in packs):
        wanted[one[0] >> 4] += one
    for n, ids in groupby(tree, lambda one: one[0] >> 4):
        if set(bulk.split(bytes(wanted[n]))).difference(ids):
            return False
        wanted[n].clear()
    return not any(wanted)
