"""The folder of keys and its commands, as a person uses them."""

import base64
import contextlib
import io
import json
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chaincode.identities import rotation
from crypto import labels
from crypto.errors import DecryptionError, KeyMaterialError, SealtrailError
from crypto.kem import KemPrivateKey, KemSuite
from crypto.keys import Algorithm, PrivateKey, PublicKey, algorithm_named
from crypto.keystore import backup, statements
from crypto.keystore.cli import app
from crypto.keystore.file import State
from crypto.keystore.passphrase import Passphrase, configured
from crypto.keystore.public import NamedKey, read_public
from crypto.keystore.store import KeyStore
from tests.crypto.keystore.test_files import CHEAP

HOME = Path(__file__).parents[3]
NOW_US = 1_795_413_600_000_000


def _store(folder: Path, passphrase: str = "sesame") -> KeyStore:
    return KeyStore(folder, Passphrase(passphrase), cost=CHEAP)


def test_a_key_is_made_kept_private_and_used(tmp_path: Path) -> None:
    store = _store(tmp_path / "keys")
    made = store.new("a", KemSuite.X_WING, NOW_US)
    file = tmp_path / "keys" / "a.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert isinstance(made.key.kid, bytes)
    key = _store(tmp_path / "keys").decapsulation_key(made.key.kid)
    assert key is not None
    assert key.public == made.key
    assert key.seed not in file.read_bytes()
    assert store.decapsulation_key(bytes(32)) is None
    with pytest.raises(KeyMaterialError, match="is there; rotate"):
        store.new("a", KemSuite.X_WING, NOW_US)
    with pytest.raises(KeyMaterialError, match="it opens, it does not sign"):
        store.signing_key("a")
    with pytest.raises(DecryptionError):
        _store(tmp_path / "keys", "Sesame").private("a")
    file.chmod(0o644)
    with pytest.raises(KeyMaterialError, match="may be read by others"):
        store.private("a")


def test_a_rotated_key_still_opens_what_was_sealed_to_it(tmp_path: Path) -> None:
    store = _store(tmp_path)
    first = store.new("a", KemSuite.ML_KEM_768, NOW_US)
    old, new = store.rotate("a", NOW_US + 1)
    assert (old.public, store.public("a").key) == (first.key, new.public)
    assert old.public != new.public
    states = [(header.generation, header.state) for header in store.headers()]
    assert states == [(1, State.RETIRED), (2, State.CURRENT)]
    key = store.decapsulation_key(old.public.kid)
    assert isinstance(old, KemPrivateKey)
    assert key is not None
    assert key.seed == old.seed


def test_a_rotation_is_signed_by_both_in_the_ledgers_words(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.new("s", Algorithm.ML_DSA_44, NOW_US)
    old, new = store.rotate("s", NOW_US)
    assert isinstance(old, PrivateKey)
    assert isinstance(new, PrivateKey)
    said = json.loads(statements.rotation("s", old, new, 7))
    key = PublicKey(algorithm_named(said["algorithm"]), base64.b64decode(said["public_key"]))
    assert key == new.public
    message = rotation("s", old.public, key, said["from_index"])
    old.public.verify(base64.b64decode(said["old_signature"]), message, labels.KEY_ROTATION)
    new.public.verify(base64.b64decode(said["new_signature"]), message, labels.KEY_ROTATION)


def test_a_revoked_key_signs_nothing_more_and_still_opens(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.new("s", Algorithm.ED25519, NOW_US)
    made = store.new("a", KemSuite.X_WING, NOW_US)
    for name in ("s", "a"):
        store.revoke(name, "stolen")
        for use in (store.signing_key, store.public, store.private):
            with pytest.raises(KeyMaterialError, match=r"was revoked \(stolen\)"):
                use(name)
        with pytest.raises(KeyMaterialError, match="was revoked"):
            store.rotate(name, NOW_US)
    assert {header.state for header in store.headers()} == {State.REVOKED}
    assert store.decapsulation_key(made.key.kid) is not None


def test_a_slip_in_the_passphrase_makes_no_key(tmp_path: Path) -> None:
    _store(tmp_path).new("a", KemSuite.X_WING, NOW_US)
    with pytest.raises(DecryptionError):
        _store(tmp_path, "sesane").new("b", KemSuite.X_WING, NOW_US)
    assert [path.name for path in tmp_path.iterdir()] == ["a.key"]


def test_a_statement_that_was_lost_is_signed_again(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.new("s", Algorithm.ED25519, NOW_US)
    with pytest.raises(KeyMaterialError, match="never rotated"):
        store.rotated("s")
    old, new = store.rotate("s", NOW_US)
    assert [key.public for key in _store(tmp_path).rotated("s")] == [old.public, new.public]


def test_a_folder_that_is_gone_or_full_of_others_files(tmp_path: Path) -> None:
    for content in (b"", b"\xff" * 100, bytes(9000)):
        (tmp_path / "a.key").write_bytes(content)
        (tmp_path / "a.key").chmod(0o600)
        with pytest.raises(KeyMaterialError, match=r"^a\.key: "):
            _store(tmp_path).headers()
    with pytest.raises(KeyMaterialError, match="holds no key 'a'; it holds none"):
        _store(tmp_path / "gone").public("a")


def test_a_file_under_another_name_is_not_taken(tmp_path: Path) -> None:
    store = _store(tmp_path)
    for name in ("a", "b"):
        store.new(name, KemSuite.X_WING, NOW_US)
    (tmp_path / "a.key").write_bytes((tmp_path / "b.key").read_bytes())
    with pytest.raises(KeyMaterialError, match=r"a\.key holds the key b"):
        store.public("a")


def test_a_backup_brings_everything_back(tmp_path: Path) -> None:
    store = _store(tmp_path / "keys")
    made = store.new("a", KemSuite.X_WING, NOW_US)
    store.rotate("a", NOW_US)
    packed = backup.pack(tmp_path / "keys")
    assert backup.restore(packed, tmp_path / "again") == ["a.key", "a~1.key"]
    assert _store(tmp_path / "again").decapsulation_key(made.key.kid) is not None
    with pytest.raises(KeyMaterialError, match="is there already"):
        backup.restore(packed, tmp_path / "again")
    with pytest.raises(KeyMaterialError, match="holds no key"):
        backup.pack(tmp_path)


def test_a_backup_cannot_write_elsewhere(tmp_path: Path) -> None:
    from crypto import cbor
    from crypto.errors import FormatError

    _store(tmp_path / "keys").new("a", KemSuite.X_WING, NOW_US)
    content = (tmp_path / "keys" / "a.key").read_bytes()
    for name in ("../a.key", "/tmp/a.key", "b.key", "a~2.key", "a.key\0"):
        with pytest.raises(FormatError, match="not its file name"):
            backup.restore(cbor.encode([1, [["a.key", content], [name, content]]]), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_where_the_passphrase_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEALTRAIL_PASSPHRASE", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(KeyMaterialError, match="no passphrase: set SEALTRAIL_PASSPHRASE"):
        Passphrase().get()
    (tmp_path / "sealtrail-passphrase").write_text("from systemd\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert (configured(), Passphrase().get()) == ("from systemd", b"from systemd")
    monkeypatch.setenv("SEALTRAIL_PASSPHRASE", "from the environment")
    assert Passphrase().get() == b"from the environment"
    with pytest.raises(KeyMaterialError, match="empty"):
        Passphrase("").get()


@dataclass(frozen=True)
class _Done:
    returncode: int
    stdout: str
    stderr: str


def _run(*words: str, folder: Path, passphrase: str = "sesame") -> _Done:
    """A command in this process, its errors shown as the program shows them."""
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, words, env={"SEALTRAIL_PASSPHRASE": passphrase})
    if isinstance(done.exception, SealtrailError):
        return _Done(1, done.output, f"sealtrail: {done.exception}")
    return _Done(done.exit_code, done.output, "")


def test_the_program_has_them(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sealtrail", "keys", "show", "a", "--keys", str(tmp_path)]
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, f"sealtrail: {tmp_path} holds no key 'a'\n")


def test_the_commands(tmp_path: Path) -> None:
    for suite, name in (("x-wing", "a"), ("ml-dsa-65-ed25519", "s")):
        made = _run("new", "--suite", suite, "--name", name, "--keys", "k", folder=tmp_path)
        assert (made.returncode, made.stderr) == (0, "")
    listed = json.loads(_run("list", "--keys", "k", "--json", folder=tmp_path).stdout)["keys"]
    assert [(key["name"], key["suite"], key["state"]) for key in listed] == [
        ("a", "x-wing", "current"), ("s", "ml-dsa-65-ed25519", "current"),
    ]  # fmt: skip
    assert _run("export", "a", "--public", "-o", "a.pub", "--keys", "k", folder=tmp_path).returncode == 0
    exported = read_public(tmp_path / "a.pub")
    assert isinstance(exported, NamedKey)
    assert exported.key.kid.hex() == listed[0]["kid"]
    wrong = _run("rotate", "s", "--keys", "k", "-o", "r.json", folder=tmp_path, passphrase="open")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("sealtrail: the key s does not open")
    assert not (tmp_path / "r.json").exists()
    assert _run("rotate", "s", "--keys", "k", "-o", "r.json", folder=tmp_path).returncode == 0
    assert json.loads((tmp_path / "r.json").read_text())["old_kid"] == listed[1]["kid"]
    again = _run("rotate", "s", "--again", "--identity", "plant-7/cam", "--keys", "k", "-o", "r2.json", folder=tmp_path)
    assert (again.returncode, again.stdout[:13]) == (0, "wrote r2.json")
    statement = json.loads((tmp_path / "r2.json").read_text())
    assert (statement["name"], statement["old_kid"]) == ("plant-7/cam", listed[1]["kid"])
    nowhere = _run("rotate", "s", "--keys", "k", "-o", "no/r.json", folder=tmp_path)
    assert nowhere.stderr.startswith("sealtrail: cannot write no/r.json")
    assert "s has a new key" in nowhere.stdout  # so that nobody rotates once more: --again writes the statement
    unsigned = _run("rotate", "a", "--keys", "k", "-o", "r.json", folder=tmp_path)
    assert "signs no statement" in unsigned.stderr
    assert _run("revoke", "s", "--reason", "lost", "--keys", "k", "-o", "v.json", folder=tmp_path).returncode == 0
    assert "revoked" in _run("show", "s", "--keys", "k", folder=tmp_path).stdout
    assert _run("backup", "--keys", "k", "-o", "k.backup", folder=tmp_path).returncode == 0
    assert "restored 5 key files" in _run("restore", "k.backup", "--keys", "k2", folder=tmp_path).stdout
