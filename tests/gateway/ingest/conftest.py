"""A gateway with default limits for each test that asks."""

from collections.abc import Iterator

import pytest
from mqtt_support import Gateway


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as running:
        yield running
