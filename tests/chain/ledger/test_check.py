"""Fsck of the embedded ledger: every kind of altered row is found and its place is named."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chain.errors import FsckError, LedgerError
from chain.ledger.check import check_file
from chain.ledger.embedded import EmbeddedLedger
from chain.ledger.store import FILE, SCHEMA
from chain.ledger.transaction_leaf import Request, TransactionLeaf, open_leaf
from chain.log.reader import LogReader
from chain.log.tree import Log
from chain.store.database import Database
from crypto.checkpoint import Checkpoint, sign_checkpoint
from crypto.keys import Algorithm, PrivateKey
from crypto.note import NoteSigner
from tests.chain.ledger import site

TRANSACTIONS = 270  # more than one full bundle and tile


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ledger")

    async def fill(ledger: EmbeddedLedger) -> None:
        await site.begin(ledger, folder)
        log = site.log(folder)
        await ledger.submit("logs.anchor", *log.anchor(0, 1))
        for size in range(1, 6):
            await ledger.submit("logs.anchor", *log.anchor(size, size + 1))
        again = log.anchor(6, 6)
        for _ in range(TRANSACTIONS - 8):
            await ledger.submit("logs.anchor", *again)

    site.using(folder, fill)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of the ledger to damage."""
    return Path(shutil.copytree(original, tmp_path / "copy"))


def check(folder: Path) -> int:
    return check_file(folder / FILE, site.NAME, site.keys(folder))


def _spoil(data: bytes, at: int) -> bytes:
    """The bytes with one of them changed, whatever it was."""
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def sql(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / FILE)) as connection:
        connection.create_function("spoil", 2, _spoil)
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement
        connection.commit()


def test_a_true_ledger_passes(folder: Path) -> None:
    assert check(folder) == TRANSACTIONS
    assert site.using(folder, EmbeddedLedger.check) == TRANSACTIONS


def test_an_empty_ledger_passes(tmp_path: Path) -> None:
    assert site.using(tmp_path, EmbeddedLedger.check) == 0
    assert check(tmp_path) == 0


HEAD = f"head/{site.ORIGIN}"
SPOIL = "spoil({0}, {1})"  # a function of `sql`


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        (f"UPDATE state SET value = {SPOIL.format('value', 9)} WHERE key = '{HEAD}'", f"state key {HEAD}: its value"),
        (f"DELETE FROM state WHERE key = '{HEAD}'", f"state key {HEAD}: a transaction wrote it"),
        ("DELETE FROM state WHERE key LIKE 'role/%'", "state key role/gateway/gateway: a transaction wrote it"),
        ("INSERT INTO state VALUES ('id/intruder', x'01', 3)", "state key id/intruder: no transaction wrote it"),
        ("INSERT INTO state VALUES ('zz', x'01', 3)", "state key zz: no transaction wrote it"),
        ("UPDATE state SET key = 'id/other' WHERE key = 'id/gateway'", "state key id/gateway: a transaction wrote it"),
        (f"UPDATE state SET value = 'text' WHERE key = '{HEAD}'", f"state key '{HEAD}': it must be text"),
        (f"UPDATE state SET leaf = 3 WHERE key = '{HEAD}'", f"state key {HEAD}: it says transaction 3 wrote it last"),
        (f"UPDATE state SET leaf = x'03' WHERE key = '{HEAD}'", f"state key '{HEAD}': it must be text"),
        (f"UPDATE log_bundle SET entries = {SPOIL.format('entries', 1000)}", "transaction 1: .*does not verify"),
        ("UPDATE log_bundle SET entries = CAST(substr(entries, 1, 5000) AS BLOB)", "ends inside entry"),
        ("UPDATE log_bundle SET entries = 5", "cannot be read"),
        ("DELETE FROM history WHERE leaf = 0", "history: expected key and transaction .'id/gateway', 0., found .'log/"),
        ("INSERT INTO history VALUES ('id/gateway', 1)", "history: expected .*, found .'id/gateway', 1"),
        ("INSERT INTO history VALUES ('zz', 1)", "history: expected key and transaction None, found .'zz', 1"),
        ("UPDATE history SET leaf = 3 WHERE key = 'id/gateway'", "history: .* found .'id/gateway', 3."),
        ("DELETE FROM log_bundle", "after transaction 0"),
        (f"UPDATE log_tail SET entries = {SPOIL.format('entries', 900)} WHERE first = 260", "transaction 260: "),
        ("DELETE FROM log_tail WHERE first = 269", "after transaction 25."),
        ("UPDATE log_meta SET size = 269", "269 transactions are stored"),
        (f"UPDATE log_tile SET hashes = {SPOIL.format('hashes', 100)} WHERE id = 0", "tile 0 of level 0: leaf 3 "),
        (f"UPDATE log_tail SET hashes = {SPOIL.format('hashes', 1)} WHERE first = 260", "tile 1 of level 0: leaf 260 "),
        (f"UPDATE log_tile SET hashes = {SPOIL.format('hashes', 10)} WHERE id = 1 << 56", "tile 0 of level 1: hash 0 "),
        ("DELETE FROM log_tile WHERE id = 0", "tile 0 of level 0"),
        ("DELETE FROM ledger_head", "270 transactions are stored, the checkpoint is of 0"),
        ("UPDATE ledger_head SET note = replace(note, '270', '271')", "ledger checkpoint: .*does not verify"),
        ("UPDATE ledger_head SET note = 'no note'", "ledger checkpoint: "),
        ("UPDATE ledger_head SET note = x'ff'", "ledger checkpoint: "),
    ],
)
def test_altered_rows_are_found(folder: Path, statement: str, place: str) -> None:
    sql(folder, statement)
    with pytest.raises(FsckError, match=place):
        check(folder)


def test_an_altered_outcome_is_found(folder: Path) -> None:
    """What the contract made of a request is not under the caller's signature, but under the ledger's root."""
    db = Database(folder / FILE, SCHEMA)
    leaf, bundle = LogReader(db).entry(5), LogReader(db).bundle(0)
    spoilt = bundle.replace(leaf, leaf[:-1] + bytes([leaf[-1] ^ 1]))
    db.connection.execute("UPDATE log_bundle SET entries = ? WHERE n = 0", (spoilt,))
    db.close()
    with pytest.raises(FsckError, match="tile 0 of level 0: leaf 5 does not"):
        check(folder)


def test_two_transactions_swapped_are_found(folder: Path) -> None:
    def swapped(entries: list[bytes]) -> list[bytes]:
        return [*entries[:3], entries[4], entries[3], *entries[5:]]

    rewrite(folder, swapped, resign=False)
    with pytest.raises(FsckError, match="its leaves have the root"):
        check(folder)


def test_whoever_holds_the_ledgers_keys_cannot_speak_for_callers(folder: Path) -> None:
    def forged(entries: list[bytes]) -> list[bytes]:
        leaf, mallory = open_leaf(entries[5]), PrivateKey.generate(Algorithm.ED25519)
        request = Request(site.NAME, "logs.head", (), leaf.request.caller, leaf.request.time_us, bytes(16))
        invented = TransactionLeaf(request, request.sign(mallory), (), None, b"")
        return [*entries[:5], invented.encode(), *entries[6:]]

    rewrite(folder, forged)
    with pytest.raises(FsckError, match=r"transaction 5: .*does not verify"):
        check(folder)


def test_a_transaction_played_twice_is_found(folder: Path) -> None:
    rewrite(folder, lambda entries: [*entries, entries[40]])
    with pytest.raises(FsckError, match=r"transaction 270: .* twice"):
        check(folder)


def test_a_transaction_left_out_is_found(folder: Path) -> None:
    rewrite(folder, lambda entries: [*entries[:7], *entries[8:]])  # the last anchor that moved the head
    with pytest.raises(FsckError, match=r"state key .*: "):
        check(folder)


def test_a_transaction_of_another_ledger_is_found(folder: Path, tmp_path: Path) -> None:
    foreign = NoteSigner("other", site.signers(folder)[0].type, site.signers(folder)[0].private)
    key = site.gateway(folder).key

    def borrowed(entries: list[bytes]) -> list[bytes]:
        request = Request(foreign.name, "logs.head", (), key.public, 1, bytes(16))
        return [*entries, TransactionLeaf(request, request.sign(key), (), None, b"").encode()]

    rewrite(folder, borrowed)
    with pytest.raises(FsckError, match="transaction 270 was signed for the ledger 'other'"):
        check(folder)


def rewrite(folder: Path, change: Callable[[list[bytes]], list[bytes]], *, resign: bool = True) -> None:
    """The operator's attack: a whole new log over changed leaves, signed with the ledger's true keys."""
    db = Database(folder / FILE, SCHEMA)
    entries = change(list(LogReader(db).entries(0, TRANSACTIONS)))
    with db.transaction() as connection:
        for table in ("log_tile", "log_bundle", "log_tail"):
            connection.execute(f"DELETE FROM {table}")
        connection.execute("UPDATE log_meta SET size = 0, stamp = x'00'")
        rebuilt = Log(db)
        rebuilt.append(connection, entries)
        if resign:
            head = Checkpoint(site.NAME, rebuilt.size, rebuilt.root())
            note = sign_checkpoint(head, site.signers(folder), 1).marshal()
            connection.execute("UPDATE ledger_head SET note = ?", (note,))
    db.close()


def test_a_ledger_whose_checkpoint_contradicts_it_does_not_open(folder: Path) -> None:
    sql(folder, f"UPDATE log_tail SET hashes = {SPOIL.format('hashes', 1)} WHERE first = 260")
    with pytest.raises(LedgerError, match="run fsck"):
        site.opened(folder)


def test_a_ledger_does_not_open_with_other_keys(folder: Path) -> None:
    for path in folder.glob("plant.example-ledger-*.pem"):
        path.unlink()
    with pytest.raises(LedgerError, match="not signed with the keys"):
        site.opened(folder)
    with pytest.raises(FsckError, match="ledger checkpoint: "):
        check(folder)


def test_a_file_that_is_no_ledger_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database" * 100)
    with pytest.raises(Exception, match="cannot open"):
        site.opened(tmp_path)
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE thing (x)")
    with pytest.raises(FsckError, match="cannot be read"):
        check_file(tmp_path / "other.db", site.NAME, site.keys(tmp_path))
