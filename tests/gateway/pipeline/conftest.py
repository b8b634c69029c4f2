"""A running gateway for the attacks on the pipeline."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site") as running:
        yield running


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For tests that use sources of their own names and look at nothing else."""
    with Site(tmp_path_factory.mktemp("shared") / "site") as running:
        yield running
