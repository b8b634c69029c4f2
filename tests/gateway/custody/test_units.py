"""Secrets at rest, packs of lots, and serial trees beside the plain RFC 6962 computation."""

import os
import stat
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import StoreError
from chain.store.database import Database
from crypto.errors import DecryptionError
from crypto.merkle import EMPTY_ROOT, leaf_hash, root_of, verify_inclusion
from crypto.units import unit_id
from gateway.custody.database import Store
from gateway.custody.errors import CustodyError, UnknownUnitError
from gateway.custody.schema import UnitKind
from gateway.custody.trees import Trees
from gateway.custody.units import Units

LOT = "https://id.gs1.org/01/09520002000019/10/LOT-1"
CASE = "https://id.gs1.org/00/095200020000000018"
KEY = bytes(32)


def pack(number: int) -> str:
    return f"https://id.gs1.org/01/09520002000019/21/S{number:07}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.close()


def test_a_secret_stays_and_lies_sealed(store: Store) -> None:
    units = Units(store, KEY)
    lot = units.made(LOT)
    assert units.made(LOT) == lot == units.get(LOT) == units.numbered(lot.number)
    assert lot.id == unit_id(lot.secret, LOT) == units.id_of(LOT)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    with store.reading() as db:
        assert lot.secret not in db.execute("SELECT secret FROM unit").fetchone()[0]
    with pytest.raises(DecryptionError):
        Units(store, b"\x01" * 32).get(LOT)


def test_a_secret_that_was_moved_to_another_unit_does_not_open(store: Store) -> None:
    units = Units(store, KEY)
    units.made(LOT), units.made(CASE)
    with store.transaction() as tx:
        tx.execute("UPDATE unit SET secret = (SELECT secret FROM unit WHERE uri = ?) WHERE uri = ?", (LOT, CASE))
    with pytest.raises(DecryptionError):
        units.of(CASE)


def test_a_secret_that_was_handed_over_is_kept_and_no_other_takes_its_place(store: Store) -> None:
    units, secret = Units(store, KEY), os.urandom(32)
    taken = units.take(LOT, UnitKind.LOT, secret, "MakerMSP")
    assert (taken.secret, taken.origin) == (secret, "MakerMSP")
    assert units.take(LOT, UnitKind.LOT, secret, "CarrierMSP") == taken
    with pytest.raises(CustodyError, match="another secret"):
        units.take(LOT, UnitKind.LOT, os.urandom(32), "CarrierMSP")
    with pytest.raises(CustodyError, match="16 bytes"):
        units.take(CASE, UnitKind.LOGISTIC, bytes(16), "CarrierMSP")


def test_a_logistic_unit_that_was_packed_anew_is_another_one(store: Store) -> None:
    units = Units(store, KEY)
    first = units.made(CASE)
    second = units.new(CASE, UnitKind.LOGISTIC)
    assert (first.generation, second.generation) == (0, 1)
    assert first.id != second.id
    assert units.of(CASE) == second
    assert units.take(CASE, UnitKind.LOGISTIC, first.secret, "CarrierMSP") == first
    third = units.take(CASE, UnitKind.LOGISTIC, os.urandom(32), "CarrierMSP")
    assert [unit.number for unit in units.generations(CASE)] == [third.number, second.number, first.number]


def test_packs_are_named_under_the_secret_of_their_lot(store: Store) -> None:
    units = Units(store, KEY)
    lot, other = units.made(LOT), units.made(LOT + "x")
    assert units.put_packs(lot, [pack(1), pack(2)], leaf=5) == []
    assert units.put_packs(other, [pack(2), pack(3)]) == [pack(2)]
    assert (units.commissioned_at(pack(2)), units.commissioned_at(pack(9))) == (5, None)
    assert units.lot_of(pack(2)) == lot
    assert units.id_of(pack(1)) == unit_id(lot.secret, pack(1))
    assert list(units.packs(lot)) == [pack(1), pack(2)]
    assert (units.count_packs(lot), units.count_packs(other)) == (2, 1)
    with pytest.raises(UnknownUnitError, match="no lot of"):
        units.id_of(pack(9))
    with pytest.raises(UnknownUnitError, match="neither made here"):
        units.id_of(CASE)
    with pytest.raises(CustodyError, match="SGTIN"):
        units.put_packs(lot, [CASE])


def test_ids_of_a_lot_come_sorted_however_many(store: Store) -> None:
    units = Units(store, KEY)
    lot = units.made(LOT)
    packs = [pack(n) for n in range(5000)]
    units.put_packs(lot, packs)
    assert list(units.packs(lot)) == packs
    assert list(units.sorted_ids(lot)) == sorted(unit_id(lot.secret, one) for one in packs)


@settings(max_examples=25)
@given(st.integers(0, 700), st.data())
def test_a_serial_tree_is_rfc_6962_over_the_sorted_ids(tmp_path_factory: pytest.TempPathFactory, size: int,
                                                       data: st.DataObject) -> None:  # fmt: skip
    ids = sorted(sha256(n.to_bytes(4, "big")).digest() for n in range(size))
    store = Store(tmp_path_factory.mktemp("tree"))
    trees = Trees(store)
    tree = trees.build(1, ids)
    assert (tree.size, tree.root) == (size, root_of([leaf_hash(one) for one in ids]) if ids else EMPTY_ROOT)
    assert list(trees.ids(tree)) == ids
    for _ in range(3 if ids else 0):
        index = data.draw(st.integers(0, size - 1))
        place = trees.prove(tree, ids[index])
        assert place.index == index
        verify_inclusion(leaf_hash(ids[index]), index, size, place.proof, tree.root)
    assert not trees.contains(tree, os.urandom(32))
    with pytest.raises(UnknownUnitError):
        trees.prove(tree, os.urandom(32))
    store.close()


def test_a_tree_of_three_levels(store: Store) -> None:
    ids = sorted(sha256(n.to_bytes(4, "big")).digest() for n in range(66_000))
    trees = Trees(store)
    tree = trees.build(7, iter(ids))
    assert tree.root == root_of([leaf_hash(one) for one in ids])
    for index in (0, 255, 256, 65_535, 65_536, 65_999):
        place = trees.prove(tree, ids[index])
        assert place.index == index
        verify_inclusion(leaf_hash(ids[index]), index, len(ids), place.proof, tree.root)
    assert list(trees.ids(tree, 65_990)) == ids[65_990:]
    assert trees.build(7, []) == tree == trees.get(7)


@pytest.mark.parametrize("bad", [[b"b" * 32, b"a" * 32], [b"a" * 32, b"a" * 32], [b"a" * 31]])
def test_ids_that_do_not_ascend_make_no_tree(store: Store, bad: list[bytes]) -> None:
    trees = Trees(store)
    with pytest.raises(CustodyError, match="ascend"):
        trees.build(1, bad)
    assert trees.get(1) is None
    with store.reading() as db:
        assert db.execute("SELECT COUNT(*) FROM tile").fetchone() == (0,)


def test_what_an_interrupted_building_left_goes_at_the_next_start(store: Store) -> None:
    trees = Trees(store)
    with store.transaction() as tx:
        tx.execute("INSERT INTO tile VALUES (1, 0, x'00')")
    assert Trees(store).build(3, []).root == EMPTY_ROOT
    with store.reading() as db:
        assert db.execute("SELECT COUNT(*) FROM tile").fetchone() == (0,)
    assert trees.get(3) is not None


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    Store(tmp_path).close()
    db = Database(tmp_path / "custody.db")
    db.connection.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="version 99"):
        Store(tmp_path)
