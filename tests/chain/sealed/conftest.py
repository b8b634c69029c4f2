"""Key stores as partners have them, with a cheap passphrase."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from crypto.keystore.locked import Cost
from crypto.keystore.passphrase import Passphrase
from crypto.keystore.public import suite_named
from crypto.keystore.store import KeyStore
from gateway.commands import application

Run = Callable[..., Result]
PASSPHRASE = "correct horse battery staple"
MADE_US = 1_767_225_600_000_000
KEYS = (("plant", "plant", "x-wing"), ("plant", "signer", "ml-dsa-65"), ("carrier", "carrier", "ml-kem-1024-p384"),
        ("pharmacy", "pharmacy", "ml-kem-768"))  # fmt: skip


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stores plant, carrier and pharmacy, and beside them the public key file of each key."""
    folder = tmp_path_factory.mktemp("stores")
    for store, name, suite in KEYS:
        keys = KeyStore(folder / store, Passphrase(PASSPHRASE), cost=Cost(64, 1, 1))
        (folder / f"{name}.pub").write_bytes(keys.new(name, suite_named(suite), MADE_US).to_json())
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one command; gives what it printed, and its exception where it failed."""
    monkeypatch.setenv("SEALTRAIL_PASSPHRASE", PASSPHRASE)

    def run(*args: str | Path, stdin: bytes = b"") -> Result:
        return CliRunner().invoke(application(), list(map(str, args)), input=stdin)

    return run
