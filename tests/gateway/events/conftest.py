"""A site whose log gets EPCIS events the way that REST capture takes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.captures import Trade


@pytest.fixture
def trade(tmp_path: Path) -> Iterator[Trade]:
    with Trade(tmp_path / "site") as site:
        yield site
