"""The log against a naive RFC 6962 tree: any sizes, any batches, commits, rollbacks, reopening."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import LogError
from chain.log.proofs import ProofBuilder
from chain.log.reader import LogReader
from chain.log.tree import SCHEMA, Log
from chain.store.database import Database
from crypto.merkle import EMPTY_ROOT, leaf_hash, node_hash, root_of


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH as RFC 6962 section 2.1 writes it down, by recursion."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


def naive_tile(leaves: list[bytes], level: int, n: int) -> bytes:
    """Tile n of a level as c2sp.org/tlog-tiles defines it: MTH(D[(n·256+i)·256^l : (n·256+i+1)·256^l])."""
    width = 256**level
    starts = range(n * 256 * width, min((n + 1) * 256, len(leaves) // width) * width, width)
    return b"".join(naive_root(leaves[start : start + width]) for start in starts)


@contextmanager
def database() -> Iterator[Database]:
    """Hypothesis runs many examples in one test, each needs a file of its own."""
    with TemporaryDirectory() as folder:
        db = Database(Path(folder) / "log.db", SCHEMA)
        yield db
        db.close()


def entries_of(sizes: list[int], salt: int = 0) -> list[bytes]:
    return [bytes([salt]) + number.to_bytes(4, "big") * (number % 5) for number in sizes]


COUNTS = st.one_of(st.integers(0, 8), st.sampled_from([255, 256, 257, 511]))


@settings(max_examples=40)
@given(st.lists(st.tuples(COUNTS, st.booleans()), max_size=8))
def test_any_batches_and_rollbacks_equal_the_naive_tree(steps: list[tuple[int, bool]]) -> None:
    with database() as db:
        log, reader = Log(db), LogReader(db)
        leaves: list[bytes] = []
        for count, commit in steps:
            batch = entries_of(list(range(len(leaves), len(leaves) + count)), salt=commit)
            db.connection.execute("BEGIN IMMEDIATE")
            assert log.append(db.connection, batch) == len(leaves)
            assert log.root() == naive_root(leaves + batch)
            db.connection.execute("COMMIT" if commit else "ROLLBACK")
            leaves += batch if commit else []
            assert (log.size, log.root()) == (len(leaves), naive_root(leaves))
        check_stored(reader, leaves)
        reopened = Log(db)
        assert (reopened.size, reopened.root()) == (len(leaves), naive_root(leaves))


def check_stored(reader: LogReader, leaves: list[bytes]) -> None:
    """Every tile and bundle, whole and at every few widths, is what the specification says."""
    assert reader.size() == len(leaves)
    assert list(reader.entries(0, len(leaves))) == leaves
    for level in (0, 1):
        nodes = len(leaves) // 256**level
        for n in range((nodes + 255) // 256):
            width = min(256, nodes - n * 256)
            expected = naive_tile(leaves, level, n)
            for part in {1, width // 2 or 1, width}:
                assert reader.tile(level, n, part) == expected[: part * 32]
            with pytest.raises(LogError):
                reader.tile(level, n, width + 1)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "log.db", SCHEMA)
    yield opened
    opened.close()


def test_a_second_writer_and_a_rollback_of_equal_length_are_noticed(db: Database, tmp_path: Path) -> None:
    log = Log(db)
    other_db = Database(tmp_path / "log.db")
    other = Log(other_db)
    db.connection.execute("BEGIN")
    log.append(db.connection, [b"a", b"b"])
    db.connection.execute("ROLLBACK")
    with other_db.transaction() as tx:  # the same number of entries as was rolled back
        other.append(tx, [b"c", b"d"])
    with db.transaction() as tx:
        assert log.append(tx, [b"e"]) == 2
    assert log.root() == other.root() == naive_root([b"c", b"d", b"e"])
    other_db.close()


def test_readers_on_their_own_connection_see_only_whole_appends(db: Database) -> None:
    """While the writer goes on, so that bundles move from the tail to their place under the reader's eyes."""
    log, total = Log(db), 3000
    seen: list[int] = []

    def read() -> None:
        own = Database(db.path, readonly=True)
        reader, size = LogReader(own), 0
        while size < total:
            size = reader.size()
            start = max(0, size - 300)
            assert list(reader.entries(start, size)) == [b"%d" % number for number in range(start, size)]
            assert ProofBuilder(reader, size).root() == root_of(hashes[:size])
            seen.append(size)
        own.close()

    hashes = [leaf_hash(b"%d" % number) for number in range(total)]
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        for start in range(0, total, 25):
            with db.transaction() as tx:
                log.append(tx, [b"%d" % number for number in range(start, start + 25)])
        reading.result(timeout=60)
    assert seen[-1] == total
    assert all(size % 25 == 0 for size in seen)


def test_an_exception_in_the_transaction_leaves_the_log_as_it_was(db: Database) -> None:
    log = Log(db)
    with db.transaction() as tx:
        log.append(tx, [b"kept"] * 300)
    before = "\n".join(db.connection.iterdump())

    def fail() -> None:
        with db.transaction() as tx:
            log.append(tx, [b"lost"] * 700)
            raise RuntimeError("power")

    with pytest.raises(RuntimeError):
        fail()
    assert "\n".join(db.connection.iterdump()) == before
    assert (log.size, log.root()) == (300, naive_root([b"kept"] * 300))


def test_an_entry_that_is_too_long_is_refused_and_nothing_is_written(db: Database) -> None:
    log = Log(db)
    with db.transaction() as tx:
        assert log.append(tx, [bytes(65_535)]) == 0
        with pytest.raises(LogError, match="65535"):
            log.append(tx, [b"fits", bytes(65_536)])
        assert log.append(tx, [b""]) == 1
    assert list(LogReader(db).entries(0, 2)) == [bytes(65_535), b""]


def test_append_outside_a_transaction_is_refused(db: Database) -> None:
    with pytest.raises(LogError, match="transaction"):
        Log(db).append(db.connection, [b"x"])


@pytest.mark.parametrize(
    "read",
    [
        lambda r: r.entry(10), lambda r: r.entry(-1), lambda r: list(r.entries(5, 11)), lambda r: list(r.entries(3, 2)),
        lambda r: list(r.entries(-1, 2)), lambda r: r.bundle(0), lambda r: r.bundle(0, 11), lambda r: r.bundle(0, 0),
        lambda r: r.bundle(1, 1), lambda r: r.bundle(-1, 1), lambda r: r.tile(0, 0), lambda r: r.tile(1, 0, 1),
        lambda r: r.tile(64, 0, 1), lambda r: r.tile(-1, 0, 1), lambda r: r.tile(0, 2**70, 1),
        lambda r: r.tile(0, 0, 257),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused(db: Database, read: Callable[[LogReader], object]) -> None:
    with db.transaction() as tx:
        Log(db).append(tx, [b"x"] * 10)
    with pytest.raises(LogError):
        read(LogReader(db))


def test_a_damaged_edge_is_found_when_the_log_is_opened(db: Database) -> None:
    with db.transaction() as tx:
        Log(db).append(tx, [b"x"] * 300)
    with db.transaction() as tx:
        tx.execute("UPDATE log_tail SET hashes = substr(hashes, 1, 32)")
    with pytest.raises(LogError, match="tile 1 of level 0 holds 1 hashes, expected 44"):
        Log(db)


def test_a_database_without_a_log_says_so(tmp_path: Path) -> None:
    empty = Database(tmp_path / "empty.db")
    with pytest.raises(LogError, match="SCHEMA"):
        Log(empty)
    with pytest.raises(LogError):
        LogReader(empty).size()
    empty.close()
