"""Fixtures for all rooms: data that others wrote, and Hypothesis without a clock (no timed tests)."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("sealtrail", deadline=None)
settings.load_profile("sealtrail")
for _name in ("SEALTRAIL_PASSPHRASE", "CREDENTIALS_DIRECTORY", "SEALTRAIL_PROVIDER"):
    os.environ.pop(_name, None)  # of whoever runs the tests: they would lock every folder, or choose who computes


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Path]:
    """The folder of one collection of vectors; skips where the collection is not there."""
    beside_the_repository = Path(__file__).resolve().parents[2] / "shared" / "vectors"
    root = Path(os.environ.get("SEALTRAIL_VECTORS") or beside_the_repository)

    def folder(name: str) -> Path:
        if not (root / name).is_dir():
            pytest.skip(f"no vectors {name}/ of others here: set SEALTRAIL_VECTORS to the folder that holds them")
        return root / name

    return folder
