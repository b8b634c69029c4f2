"""Private files under one passphrase: a gateway's keys and a device's, as the program reads and writes them."""

import io
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crypto import cbor
from crypto.errors import DecryptionError, FileError, FormatError, KeyMaterialError, LimitError, SealtrailError
from crypto.files import private_key_at, read_private_key, read_secret, secret_at, write_secret
from crypto.keys import Algorithm, PrivateKey
from crypto.keystore import vault
from crypto.keystore.passphrase import VARIABLE, Passphrase
from crypto.keystore.vault import LOCK_FILE, MAGIC, lock_all, make_lock
from tests.crypto.keystore.test_files import CHEAP


@pytest.fixture(autouse=True)
def passphrase(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Give another passphrase, as a new process would have it."""

    def give(words: str) -> None:
        vault._unlocked.cache_clear()
        monkeypatch.setenv(VARIABLE, words)

    give("sesame")
    yield give
    vault._unlocked.cache_clear()


def _locked(folder: Path) -> PrivateKey:
    """A folder with two keys of one kind and a secret."""
    make_lock(folder, Passphrase(), CHEAP)
    private_key_at(folder / "ledger.pem", Algorithm.ED25519)
    secret_at(folder / "site.key", 32)
    return private_key_at(folder / "log.pem", Algorithm.ED25519)


def test_files_are_locked_and_read(tmp_path: Path) -> None:
    key = _locked(tmp_path)
    vault._unlocked.cache_clear()
    assert read_private_key(tmp_path / "log.pem").public == key.public
    assert len(secret_at(tmp_path / "site.key", 32)) == 32
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        stored = path.read_bytes()
        assert key.secret not in stored
        assert b"PRIVATE KEY" not in stored
        assert stored.startswith(MAGIC) is (path.name != LOCK_FILE)


def test_one_derivation_serves_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _locked(tmp_path)
    vault._unlocked.cache_clear()
    derived, derive = [], vault.derive

    def counted(*args: object) -> object:
        derived.append(args)
        return derive(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(vault, "derive", counted)
    for name in ("log.pem", "ledger.pem", "site.key"):
        read_secret(tmp_path / name)
    assert len(derived) == 1


def test_a_new_folder_is_locked_where_there_is_a_passphrase(tmp_path: Path) -> None:
    """At the recommended cost."""
    secret_at(tmp_path / "site.key", 32)
    lock = cbor.decode((tmp_path / LOCK_FILE).read_bytes(), 256)
    assert lock[1] == [65_536, 3, 4]
    assert (tmp_path / "site.key").read_bytes().startswith(MAGIC)


def test_a_plain_folder_stays_plain_until_it_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passphrase: Callable[[str], None]
) -> None:
    monkeypatch.delenv(VARIABLE)
    key = private_key_at(tmp_path / "log.pem", Algorithm.ED25519)
    (tmp_path / "ca.pem").write_text("public")
    passphrase("sesame")
    secret = secret_at(tmp_path / "site.key", 32)
    assert (tmp_path / "site.key").read_bytes() == secret
    assert lock_all(tmp_path, Passphrase(), CHEAP) == ["log.pem", "site.key"]
    assert (tmp_path / "ca.pem").read_text() == "public"
    assert secret_at(tmp_path / "site.key", 32) == secret
    assert read_private_key(tmp_path / "log.pem").public == key.public
    assert lock_all(tmp_path, Passphrase(), CHEAP) == []


def test_locking_leaves_no_key_in_clear_that_a_crash_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passphrase: Callable[[str], None]
) -> None:
    monkeypatch.delenv(VARIABLE)
    key = private_key_at(tmp_path / "log.pem", Algorithm.ED25519).to_pem()
    with monkeypatch.context() as crash:
        crash.setattr(Path, "unlink", lambda *_, **__: None)  # a dead process tidies nothing up
        crash.setattr(os, "getpid", lambda: 1)
        crash.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(FileError):
            write_secret(tmp_path / "log.pem", key)
    passphrase("sesame")
    lock_all(tmp_path, Passphrase(), CHEAP)
    assert not any(key in path.read_bytes() for path in tmp_path.iterdir())


def test_locking_that_was_cut_short_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    secrets = {name: secret_at(tmp_path / name, 32) for name in ("a.key", "b.key")}
    monkeypatch.setenv(VARIABLE, "sesame")
    write, written = vault.write_durably, []

    def dies(path: Path, content: bytes, *, mode: int) -> None:
        if path.name == "b.key":
            raise OSError("power cut")
        written.append(path.name)
        write(path, content, mode=mode)

    monkeypatch.setattr(vault, "write_durably", dies)
    with pytest.raises(OSError, match="power cut"):
        lock_all(tmp_path, Passphrase(), CHEAP)
    monkeypatch.setattr(vault, "write_durably", write)
    assert written == [LOCK_FILE, "a.key"]
    with pytest.raises(KeyMaterialError, match=r"b\.key is not locked, but the folder is; `sealtrail keys encrypt`"):
        read_secret(tmp_path / "b.key")
    assert lock_all(tmp_path, Passphrase(), CHEAP) == ["b.key"]
    assert {name: read_secret(tmp_path / name) for name in secrets} == secrets


def test_a_wrong_passphrase_or_none(
    tmp_path: Path, passphrase: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    _locked(tmp_path)
    passphrase("open")
    with pytest.raises(DecryptionError, match=r"the passphrase of .* is another one, or its passphrase\.lock was alt"):
        read_secret(tmp_path / "log.pem")
    with pytest.raises(DecryptionError):
        write_secret(tmp_path / "new.key", b"never written under another passphrase")
    assert not (tmp_path / "new.key").exists()
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(KeyMaterialError, match="no passphrase: set SEALTRAIL_PASSPHRASE"):
        read_secret(tmp_path / "log.pem")


def test_the_attacks_of_who_may_write_in_the_folder(tmp_path: Path) -> None:
    _locked(tmp_path)
    log, ledger, lock = (tmp_path / name for name in ("log.pem", "ledger.pem", LOCK_FILE))
    true, kept = log.read_bytes(), lock.read_bytes()
    # 1. Another file of the folder under this name.
    log.write_bytes(ledger.read_bytes())
    with pytest.raises(DecryptionError, match="another file under this name"):
        read_private_key(log)
    # 2. A key of the attacker's, in clear.
    log.write_bytes(PrivateKey.generate(Algorithm.ED25519).to_pem())
    with pytest.raises(KeyMaterialError, match="is not locked, but the folder is"):
        read_private_key(log)
    # 3. Any byte altered, any part cut off.
    for place in (len(MAGIC), len(MAGIC) + 20, len(true) - 1):
        log.write_bytes(true[:place] + bytes((true[place] ^ 1,)) + true[place + 1 :])
        with pytest.raises(DecryptionError):
            read_private_key(log)
        log.write_bytes(true[:place])
        with pytest.raises(DecryptionError):
            read_private_key(log)
    log.write_bytes(true)
    # 4. The lock gone, so that plain files would be taken again.
    lock.unlink()
    with pytest.raises(KeyMaterialError, match=r"is locked and passphrase\.lock is gone"):
        read_private_key(log)
    # 5. Readable by others.
    lock.write_bytes(kept)
    lock.chmod(0o644)
    with pytest.raises(KeyMaterialError, match="may be read by others"):
        read_private_key(log)


@pytest.mark.parametrize(
    ("place", "value", "error"),
    [
        (0, 2, FormatError), (1, [64, 2, 1], DecryptionError), (1, [2**30, 1, 1], LimitError),
        (1, [64, 1], FormatError), (1, [64, True, 1], FormatError), (2, bytes(16), DecryptionError),
        (2, bytes(8), FormatError), (3, bytes(28), DecryptionError), (3, b"", DecryptionError), (3, None, FormatError),
    ],
)  # fmt: skip
def test_an_altered_lock(tmp_path: Path, place: int, value: cbor.CborValue, error: type[SealtrailError]) -> None:
    _locked(tmp_path)
    vault._unlocked.cache_clear()
    lock = cbor.decode((tmp_path / LOCK_FILE).read_bytes(), 256)
    lock[place] = value
    (tmp_path / LOCK_FILE).write_bytes(cbor.encode(lock))
    with pytest.raises(error):
        read_secret(tmp_path / "site.key")
