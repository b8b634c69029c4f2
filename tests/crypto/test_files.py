"""Files that survive a crash and stay private."""

import os
import stat
from pathlib import Path

import pytest

from crypto import files
from crypto.errors import FileError, KeyMaterialError
from crypto.files import private_key_at, read_private_key, secret_at, write_durably
from crypto.keys import Algorithm, PrivateKey


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    write_durably(path, b"old")
    write_durably(path, b"new and longer")
    assert path.read_bytes() == b"new and longer"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("stage", ["fsync", "replace"])
def test_a_failure_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    path = tmp_path / "key"
    write_durably(path, b"old", mode=0o600)

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, stage, fails)
    with pytest.raises(FileError, match="No space"):
        write_durably(path, b"new", mode=0o600)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_synced_before_the_name_and_the_name_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, order, sync, replace = tmp_path / "key", [], os.fsync, os.replace

    def noted_sync(descriptor: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content")
        sync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        order.append("name")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_durably(path, b"new")
    assert order == ["content", "name", "folder"]


def test_private_files_are_private_from_their_first_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        seen.append(os.fstat(descriptor).st_mode)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    secret_at(tmp_path / "site.key", 32)
    private_key_at(tmp_path / "log.pem", Algorithm.ED25519)
    assert {stat.S_IMODE(mode) for mode in seen if stat.S_ISREG(mode)} == {0o600}
    assert _mode(tmp_path / "site.key") == _mode(tmp_path / "log.pem") == 0o600


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_key_is_made_once(tmp_path: Path, algorithm: Algorithm) -> None:
    path = tmp_path / "log.pem"
    made = private_key_at(path, algorithm)
    assert private_key_at(path, algorithm).public == made.public == read_private_key(path).public


def test_a_key_of_another_algorithm_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "log.pem"
    private_key_at(path, Algorithm.ED25519)
    before = path.read_bytes()
    with pytest.raises(KeyMaterialError, match=r"log.pem: expected a key of ml-dsa-44, got ed25519"):
        private_key_at(path, Algorithm.ML_DSA_44)
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601])
def test_what_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    key, secret = tmp_path / "log.pem", tmp_path / "site.key"
    write_durably(key, PrivateKey.generate(Algorithm.ED25519).to_pem(), mode=0o600)
    secret_at(secret, 32)
    key.chmod(mode)
    secret.chmod(mode)
    with pytest.raises(KeyMaterialError, match=r"log.pem may be read by others; chmod 600 it"):
        read_private_key(key)
    with pytest.raises(KeyMaterialError, match=r"site.key may be read by others; chmod 600 it"):
        secret_at(secret, 32)


def test_what_is_not_there_or_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyMaterialError, match=r"cannot read the private file gone.pem: No such file"):
        read_private_key(tmp_path / "gone.pem")
    (tmp_path / "folder.key").mkdir(mode=0o700)
    with pytest.raises(KeyMaterialError, match=r"cannot read the private file folder.key: Is a directory"):
        secret_at(tmp_path / "folder.key", 32)


def test_a_secret_is_made_once_and_has_its_length(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    secret = secret_at(path, 32)
    assert len(secret) == 32
    assert secret_at(path, 32) == secret
    assert secret_at(tmp_path / "other.key", 32) != secret
    with pytest.raises(KeyMaterialError, match=r"site.key: expected 16 bytes, got 32"):
        secret_at(path, 16)
    path.write_bytes(secret[:-1])
    with pytest.raises(KeyMaterialError, match="expected 32 bytes, got 31"):
        secret_at(path, 32)


def test_syncing_a_folder_that_is_not_there_is_no_silence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.sync_folder(tmp_path / "gone")
