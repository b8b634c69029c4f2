"""A real site for the tests of the index, the queries, the REST interface and the pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.api.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An empty site that lives as long as the test."""
    made = Site(tmp_path / "site")
    yield made
    made.close()
