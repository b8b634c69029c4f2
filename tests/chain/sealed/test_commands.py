"""`sealtrail seal`, `open`, `inspect` and `grant` as partners use them, and what they say when it does not work."""

import base64
import hashlib
import json
import os
from pathlib import Path

import pytest

from crypto.errors import DecryptionError, FileError, FormatError, KeyMaterialError, SignatureError
from crypto.kem import KemPrivateKey, KemPublicKey, KemSuite
from crypto.keystore.public import NamedKey
from tests.chain.sealed.conftest import Run

TEXT = b"Lot AB-1: released.\n" * 5000


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.txt"
    path.write_bytes(TEXT)
    return path


@pytest.fixture
def shut(run: Run, stores: Path, report: Path) -> Path:
    """The report, sealed by the plant to carrier and itself, and signed."""
    path = report.with_name("report.sealed")
    done = run(
        "seal", report, "--to", stores / "carrier.pub", "--to", stores / "plant.pub", "-o", path, "--sign", "signer",
        "--keys", stores / "plant",
    )  # fmt: skip
    assert done.exit_code == 0, done.exception
    assert "recipients: 2" in done.output
    return path


def test_each_recipient_opens_it_and_nobody_else(run: Run, stores: Path, shut: Path) -> None:
    for store in ("carrier", "plant"):
        out = shut.with_name(store)
        done = run("open", shut, "--keys", stores / store, "-o", out, "--from", stores / "signer.pub")
        assert done.exit_code == 0, done.exception
        assert out.read_bytes() == TEXT
        assert out.stat().st_mode & 0o777 == 0o600
    before = sorted(os.listdir(shut.parent))
    done = run("open", shut, "--keys", stores / "pharmacy", "-o", shut.with_name("pharmacy"))
    assert isinstance(done.exception, DecryptionError)
    assert "none of the keys here is a recipient's; it is sealed to" in str(done.exception)
    assert sorted(os.listdir(shut.parent)) == before


def test_from_new_keys_on(run: Run, report: Path, tmp_path: Path) -> None:
    """With nothing but commands, and the passphrase as costly as it is."""
    for command in (
        "keys new --suite x-wing --name lab --keys store",
        "keys export lab --public -o lab.pub --keys store",
        "seal report.txt --to lab.pub -o report.sealed",
        "open report.sealed --keys store -o opened",
    ):
        places = ("store", "lab.pub", "report.txt", "report.sealed", "opened")
        done = run(*(tmp_path / word if word in places else word for word in command.split()))
        assert done.exit_code == 0, (command, done.exception, done.output)
    assert (tmp_path / "opened").read_bytes() == TEXT


def test_a_store_that_does_not_open(
    run: Run, stores: Path, shut: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = run("open", shut, "--keys", tmp_path / "nowhere", "-o", tmp_path / "out")
    assert isinstance(done.exception, KeyMaterialError)
    assert "no folder of keys; make a key there with: sealtrail keys new" in str(done.exception)
    monkeypatch.setenv("SEALTRAIL_PASSPHRASE", "another one")
    done = run("open", shut, "--keys", stores / "plant", "-o", tmp_path / "out")
    assert isinstance(done.exception, DecryptionError)
    assert "the passphrase is another one" in str(done.exception)
    monkeypatch.delenv("SEALTRAIL_PASSPHRASE")
    done = run("open", shut, "--keys", stores / "plant", "-o", tmp_path / "out")
    assert "no passphrase: set SEALTRAIL_PASSPHRASE" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_inspect_shows_what_anyone_can_see(run: Run, stores: Path, shut: Path) -> None:
    shown = json.loads(run("inspect", shut, "--json").output)
    assert shown["digest"] == hashlib.sha256(shut.read_bytes()).hexdigest()
    assert shown["length"] == shut.stat().st_size
    assert (shown["content_length"], shown["chunks"], shown["chunk_bytes"]) == (len(TEXT), 7, 16384)
    assert {each["suite"] for each in shown["recipients"]} == {"x-wing", "ml-kem-1024-p384"}
    assert shown["sender"]["signature"] == "not verified"
    text = run("inspect", shut, "--from", stores / "signer.pub").output
    for value in (shown["digest"], shown["object_id"], shown["commitment"], "100,000 bytes in 7 chunks", "verified)"):
        assert value in text
    for each in shown["recipients"]:
        assert f"{each['kid']} ({each['suite']})" in text


def test_a_signature_of_somebody_else_or_none(run: Run, stores: Path, shut: Path, report: Path, tmp_path: Path) -> None:
    altered = tmp_path / "altered"
    altered.write_bytes(shut.read_bytes()[:-1] + bytes((shut.read_bytes()[-1] ^ 1,)))
    for command in (("inspect", altered), ("open", altered, "--keys", stores / "plant", "-o", tmp_path / "out")):
        done = run(*command, "--from", stores / "signer.pub")
        assert isinstance(done.exception, SignatureError)
    assert not (tmp_path / "out").exists()
    bare = tmp_path / "bare"
    run("seal", report, "--to", stores / "plant.pub", "-o", bare)
    assert "not signed" in run("inspect", bare).output
    done = run("open", bare, "--keys", stores / "plant", "-o", tmp_path / "out", "--from", stores / "signer.pub")
    assert "not signed" in str(done.exception)


def test_a_later_partner_opens_it_by_a_grant(run: Run, stores: Path, shut: Path, tmp_path: Path) -> None:
    grant, out, before = tmp_path / "pharmacy.grant", tmp_path / "out", shut.read_bytes()
    done = run("grant", shut, "--to", stores / "pharmacy.pub", "--keys", stores / "plant", "-o", grant)
    assert done.exit_code == 0, done.exception
    assert shut.read_bytes() == before
    shown = json.loads(run("inspect", grant, "--json").output)
    assert (shown["kind"], shown["digest"]) == ("grant", hashlib.sha256(before).hexdigest())
    assert shown["digest"] in run("inspect", grant).output
    done = run("open", shut, "--keys", stores / "pharmacy", "--grant", grant, "-o", out)
    assert done.exit_code == 0, done.exception
    assert out.read_bytes() == TEXT


def test_pipes(run: Run, stores: Path, tmp_path: Path) -> None:
    done = run("seal", "-", "--to", stores / "plant.pub", "-o", "-", stdin=TEXT)
    assert done.exit_code == 0, done.exception
    assert json.loads(run("inspect", "-", "--json", stdin=done.stdout_bytes).output)["content_length"] == len(TEXT)
    again = run("open", "-", "--keys", stores / "plant", "-o", tmp_path / "out", stdin=done.stdout_bytes)
    assert again.exit_code == 0, again.exception
    assert (tmp_path / "out").read_bytes() == TEXT
    refused = run("open", "-", "--keys", stores / "plant", "-o", "-", stdin=done.stdout_bytes)
    assert refused.exit_code == 2
    assert "so it needs a file" in " ".join(refused.output.replace("│", " ").split())


def test_sixteen_recipients_of_whom_one_has_a_malformed_key(run: Run, report: Path, tmp_path: Path) -> None:
    folder = tmp_path / "partners"
    folder.mkdir()
    for n in range(16):
        _public_file(folder / f"partner-{n}.pub", KemPrivateKey.generate(list(KemSuite)[n % 4]).public)
    bad, out = folder / "partner-11.pub", tmp_path / "out"
    good = json.loads(bad.read_text())
    raw = bytearray(base64.b64decode(good["public"]))
    raw[:3] = b"\xff\xff\xff"  # two coefficients of 4095, beyond ML-KEM's modulus
    kid = hashlib.sha256(raw).hexdigest()
    malformed = [
        json.dumps(good)[:-9], "", "not a key", json.dumps(good | {"public": good["public"][:-40]}),
        json.dumps(good | {"public": base64.b64encode(raw).decode(), "kid": kid}),
        json.dumps(good | {"kid": kid}), json.dumps(good | {"suite": "x25519"}),
    ]  # fmt: skip
    for text in malformed:
        bad.write_text(text)
        done = run("seal", report, *_to(folder, 16), "-o", out)
        assert isinstance(done.exception, KeyMaterialError), text
        assert str(done.exception).startswith(f"recipient {bad}: "), done.exception
        assert sorted(os.listdir(tmp_path)) == ["partners", "report.txt"]
    bad.write_text(json.dumps(good))
    assert "recipients: 16" in run("seal", report, *_to(folder, 16), "-o", out).output
    done = run("seal", report, *_to(folder, 17), "-o", out)
    assert isinstance(done.exception, KeyMaterialError)
    assert "partner-16.pub" in str(done.exception)


def _public_file(path: Path, key: KemPublicKey) -> None:
    path.write_bytes(NamedKey(path.stem, key).to_json())


def _to(folder: Path, count: int) -> list[str | Path]:
    return [part for n in range(count) for part in ("--to", folder / f"partner-{n}.pub")]


def test_a_signature_key_is_no_recipient_and_the_other_way_round(run: Run, stores: Path, shut: Path) -> None:
    done = run("seal", shut, "--to", stores / "signer.pub", "-o", shut.with_name("out"))
    assert isinstance(done.exception, KeyMaterialError)
    assert "signer.pub" in str(done.exception)
    done = run("inspect", shut, "--from", stores / "plant.pub")
    assert isinstance(done.exception, KeyMaterialError)
    done = run("seal", shut, "--to", stores / "plant.pub", "-o", shut.with_name("out"), "--sign", "plant",
               "--keys", stores / "plant")  # fmt: skip
    assert isinstance(done.exception, KeyMaterialError)
    assert not shut.with_name("out").exists()


def test_what_was_there_before_stays_when_it_fails(run: Run, stores: Path, shut: Path, tmp_path: Path) -> None:
    out, cut = tmp_path / "out", tmp_path / "cut"
    out.write_bytes(b"before")
    cut.write_bytes(shut.read_bytes()[:-4000])
    done = run("open", cut, "--keys", stores / "plant", "-o", out)
    assert isinstance(done.exception, DecryptionError)
    assert out.read_bytes() == b"before"
    done = run("open", shut, "--keys", stores / "plant", "-o", out)
    assert out.read_bytes() == TEXT


def test_files_that_are_not_what_they_should_be(run: Run, stores: Path, report: Path, shut: Path) -> None:
    out = report.with_name("out")
    for command, error, words in (
        (("inspect", report), FormatError, "not a sealed object"),
        (("inspect", stores), FileError, "Is a directory"),
        (("inspect", report.with_name("nothing")), FileError, "No such file"),
        (("open", report, "--keys", stores / "plant", "-o", out), FormatError, "not a sealed object"),
        (("open", shut, "--keys", stores / "plant", "-o", out, "--grant", report), FormatError, "over the bound"),
        (("open", shut, "--keys", stores / "plant", "-o", shut), FileError, "is the file that is read"),
        (("seal", report, "--to", stores / "plant.pub", "-o", report), FileError, "is the file that is read"),
        (("seal", report, "--to", stores / "plant.pub", "-o", stores), FileError, "not a regular file"),
        (("seal", report, "--to", stores / "plant.pub", "-o", "/dev/null"), FileError, "not a regular file"),
    ):
        done = run(*command)
        assert isinstance(done.exception, error), (command, done.exception, done.output)
        assert words in str(done.exception)
    assert not out.exists()
    assert report.read_bytes() == TEXT
    assert run("open", shut, "-o", out).exit_code == 2
    assert run("seal", report, "-o", out).exit_code == 2
