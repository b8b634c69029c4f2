"""The key files of a site and of a device that exist already are locked by `sealtrail keys encrypt`."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from chain.cli import encrypt_keys
from chain.errors import StoreError
from chain.site import Folder, Lock
from crypto.files import read_secret, write_secret
from crypto.keystore.vault import LOCK_FILE, MAGIC

app = typer.Typer()
app.command()(encrypt_keys)


def _encrypt(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"SEALTRAIL_PASSPHRASE": "sesame"})


def _site(root: Path) -> Folder:
    folder = Folder.create(root, "plant.example/line-1")
    folder.log_signers(create=True)
    folder.ledger_signers(create=True)
    folder.gateway_key(create=True)
    return folder


def _held(folder: Folder) -> tuple[object, ...]:
    ledger = tuple(signer.vkey for signer in folder.ledger_signers())
    return folder.site_key(), folder.log_vkeys(), ledger, folder.gateway_key().public


def test_a_plain_site_is_locked_while_it_stands_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEALTRAIL_PASSPHRASE", raising=False)
    folder = _site(tmp_path)
    before = _held(folder)
    with Lock(tmp_path):
        assert isinstance(_encrypt("--data", tmp_path).exception, StoreError)
    assert not (folder.keys / LOCK_FILE).exists()
    assert len(_encrypt("--data", tmp_path).output.split(", ")) == 6
    assert all(path.read_bytes().startswith(MAGIC) for path in folder.keys.iterdir() if path.name != LOCK_FILE)
    monkeypatch.setenv("SEALTRAIL_PASSPHRASE", "sesame")
    again = Folder.existing(tmp_path)
    assert _held(again) == before
    assert _encrypt("--data", tmp_path).output == "all files were locked already\n"


def test_a_plain_device_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEALTRAIL_PASSPHRASE", raising=False)
    write_secret(tmp_path / "password", b"of the device")
    (tmp_path / "ca.pem").write_text("public")
    assert "no enrolled device" in str(_encrypt("--folder", tmp_path).exception)
    (tmp_path / "device.json").write_text("{}")
    assert _encrypt("--folder", tmp_path).output == "locked password\n"
    monkeypatch.setenv("SEALTRAIL_PASSPHRASE", "sesame")
    assert read_secret(tmp_path / "password") == b"of the device"
    assert (tmp_path / "ca.pem").read_text() == "public"


def test_one_folder_is_named() -> None:
    for words in ((), ("--data", "a", "--folder", "b")):
        assert _encrypt(*words).exit_code == 2
