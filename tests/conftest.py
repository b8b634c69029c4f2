"""For all rooms: data that others wrote, Hypothesis without a clock (no timed tests), and which tests go together."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from tests.torture.scale import scaled

settings.register_profile("sealtrail", deadline=None, max_examples=scaled(50, 300))  # where a test says no number
settings.load_profile("sealtrail")
for _name in ("SEALTRAIL_PASSPHRASE", "CREDENTIALS_DIRECTORY", "SEALTRAIL_PROVIDER"):
    os.environ.pop(_name, None)  # of whoever runs the tests: they would lock every folder, or choose who computes

# Tests of these folders share a network of processes, which ends with the last of them.
SHARED_NETWORKS = ("tests/chain/ledger/fabric", "tests/contract_suite", "tests/gateway/fabric")


class _Scheduling(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """Files go to workers whole, and these folders too: one network of each, for no longer than it is needed."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((folder for folder in SHARED_NETWORKS if file.startswith(f"{folder}/")), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    return _Scheduling(config, log)


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
