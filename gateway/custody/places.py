"""Where packs stand in their lots' trees: by the whole tree where it is here, else by a proof that was handed over."""

from collections.abc import Iterable

from chaincode.lots.items import Position
from gateway.custody.database import Store
from gateway.custody.errors import UnknownUnitError
from gateway.custody.names import pack_name
from gateway.custody.trees import Trees
from gateway.custody.units import Unit


class Places:
    """Positions of packs."""

    def __init__(self, store: Store, trees: Trees) -> None:
        self._store, self._trees = store, trees

    def in_lot(self, pack: str, lot: Unit) -> Position:
        """The pack's position in its lot's tree; UnknownUnitError where neither the tree nor its proof is here."""
        tree = self._trees.get(lot.number)
        if tree is not None:
            return self._trees.prove(tree, lot.id_of(pack))
        with self._store.reading() as db:
            row = db.execute("SELECT proof FROM place WHERE name = ?", (pack_name(pack),)).fetchone()
        if row is None:
            raise UnknownUnitError(f"no proof that {pack} is of {lot.uri} is here: it was not handed over with it")
        return Position.decode(row[0])

    def put(self, found: Iterable[tuple[str, Position]]) -> None:
        """Keep positions that came with a hand-over and were checked."""
        with self._store.transaction() as tx:
            rows = [(pack_name(pack), position.encode()) for pack, position in found]
            tx.executemany("INSERT OR REPLACE INTO place VALUES (?, ?)", rows)
