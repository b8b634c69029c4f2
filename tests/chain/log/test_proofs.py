"""Every proof the log builds verifies with crypto.merkle, and leads to the roots of the naive tree."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import LogError
from chain.log.proofs import ProofBuilder, consistency_proof, inclusion_path, inclusion_proof, root_at
from chain.log.reader import LogReader
from chain.log.tree import SCHEMA, Log
from chain.store.database import Database
from crypto.errors import ProofError, SealtrailError
from crypto.merkle import leaf_hash, lifted, root_of, verify_consistency, verify_inclusion

SMALL, LARGE = 600, 65_536 + 300
HASHES = [leaf_hash(str(number).encode()) for number in range(LARGE)]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogReader]:
    """A log of 65,836 entries: tiles on three levels."""
    db = Database(tmp_path_factory.mktemp("log") / "log.db", SCHEMA)
    with db.transaction() as tx:
        Log(db).append(tx, [str(number).encode() for number in range(LARGE)])
    yield LogReader(db)
    db.close()


def test_roots_at_every_small_size(reader: LogReader) -> None:
    for size in range(SMALL + 1):
        assert root_at(reader, size) == root_of(HASHES[:size])


def test_every_inclusion_proof_up_to_small_sizes(reader: LogReader) -> None:
    for size in [*range(1, 40), 255, 256, 257, 511, 512, 513, SMALL]:
        builder, root = ProofBuilder(reader, size), root_of(HASHES[:size])
        for index in range(size):
            verify_inclusion(HASHES[index], index, size, builder.inclusion(index), root)


def test_every_proof_holds_when_it_is_lifted(reader: LogReader) -> None:
    for size in [*range(1, 70), 255, 256, 257]:
        builder, root = ProofBuilder(reader, size), root_of(HASHES[:size])
        for index in range(size):
            proof = tuple(builder.inclusion(index))
            block = lifted(HASHES[index], index, size, proof)
            verify_inclusion(*block, root)
            # All are lifted but those of the last block, which need not be whole.
            assert (len(block[3]) == len(proof) - 4) is (index >> 4 != size - 1 >> 4)


@given(st.data())
def test_a_lifted_proof_holds_exactly_where_the_proof_does(reader: LogReader, data: st.DataObject) -> None:
    """Another leaf, place or size, hashes too many, too few or altered; or nothing of that."""
    size = data.draw(st.integers(1, 200))
    index = data.draw(st.integers(0, size - 1))
    root, proof, own = root_of(HASHES[:size]), inclusion_proof(reader, index, size), index
    place = data.draw(st.integers(0, max(0, len(proof) - 1)))
    match data.draw(st.sampled_from(("nothing", "hash", "length", "more", "less", "index", "size"))):
        case "hash" | "length" as what if proof:
            proof[place] = HASHES[place] if what == "hash" else proof[place] + b"x"
        case "more":
            proof.insert(place, HASHES[place])
        case "less":
            del proof[place : place + 1]
        case what:
            changed = data.draw(st.integers(-2, 210) | st.just(2**63))
            index, size = (changed if what == "index" else index), (changed if what == "size" else size)
    leaf = HASHES[data.draw(st.just(own) | st.just(300))]
    whole = refused(lambda: verify_inclusion(leaf, index, size, proof, root))
    assert refused(lambda: verify_inclusion(*lifted(leaf, index, size, proof), root)) is whole


def refused(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except SealtrailError:
        return True
    return False


@given(st.data())
def test_inclusion_proofs_of_any_small_tree(reader: LogReader, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, SMALL))
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(reader, index, size)
    verify_inclusion(HASHES[index], index, size, proof, root_of(HASHES[:size]))
    assert proof == inclusion_path(HASHES[:size], index)


def test_every_consistency_proof_between_small_sizes(reader: LogReader) -> None:
    roots = [root_of(HASHES[:size]) for size in range(SMALL + 1)]
    for new in [*range(40), 255, 256, 257, 511, 512, 513, SMALL]:
        builder = ProofBuilder(reader, new)
        for old in range(new + 1):
            verify_consistency(old, new, builder.consistency(old), roots[old], roots[new])


EDGES = [1, 2, 255, 256, 257, 32_768, 65_279, 65_280, 65_535, 65_536, 65_537, 65_792, LARGE - 1, LARGE]


def test_proofs_around_the_second_level(reader: LogReader) -> None:
    roots = {size: root_of(HASHES[:size]) for size in EDGES}
    for new in EDGES:
        assert root_at(reader, new) == roots[new]
        for old in (size for size in EDGES if size <= new):
            verify_consistency(old, new, consistency_proof(reader, old, new), roots[old], roots[new])
            verify_inclusion(HASHES[old - 1], old - 1, new, inclusion_proof(reader, old - 1, new), roots[new])


def test_a_proof_does_not_fit_another_place(reader: LogReader) -> None:
    root = root_of(HASHES[:300])
    with pytest.raises(ProofError):
        verify_inclusion(HASHES[7], 8, 300, inclusion_proof(reader, 7, 300), root)


@pytest.mark.parametrize(("index", "size"), [(5, 5), (-1, 5), (0, 0), (0, LARGE + 1), (0, -1)])
def test_proofs_that_do_not_exist(reader: LogReader, index: int, size: int) -> None:
    with pytest.raises(LogError):
        inclusion_proof(reader, index, size)


@pytest.mark.parametrize(("old", "new"), [(6, 5), (-1, 5), (0, LARGE + 1)])
def test_consistency_that_does_not_exist(reader: LogReader, old: int, new: int) -> None:
    with pytest.raises(LogError):
        consistency_proof(reader, old, new)


def test_proofs_read_few_tiles(reader: LogReader) -> None:
    class Counting:
        reads = 0
        size = reader.size

        def tile(self, level: int, n: int, width: int | None = None) -> bytes:
            Counting.reads += 1
            return reader.tile(level, n, width)

    inclusion_proof(Counting(), 12_345, LARGE)
    assert Counting.reads <= 6  # three levels, the path's and the right edge's tiles


def test_a_path_in_a_tree_that_has_no_such_leaf(tmp_path: Path) -> None:
    with pytest.raises(LogError):
        inclusion_path([], 0)
    with pytest.raises(LogError):
        inclusion_path(HASHES[:3], 3)
