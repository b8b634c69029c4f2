"""A real gateway that serves, and clients of it."""

from collections.abc import Iterator

import httpx
import pytest

from gateway.access import Scope
from tests.support.served import Served


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Shared by a module's tests; each uses things of its own."""
    with Served(tmp_path_factory.mktemp("gateway") / "data", epcis={"max_document_events": 50}) as running:
        yield running


@pytest.fixture(scope="module")
def maker(gateway: Served) -> httpx.Client:
    return gateway.client(Scope.CAPTURE, label="maker")


@pytest.fixture(scope="module")
def auditor(gateway: Served) -> httpx.Client:
    return gateway.client(Scope.AUDITOR)


@pytest.fixture(scope="module")
def operator(gateway: Served) -> httpx.Client:
    return gateway.client(Scope.OPERATOR)
