"""A site with something of everything, served, and clients of each scope."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.access import Scope
from tests.gateway.api.busy import fill
from tests.gateway.api.server import Server
from tests.gateway.api.site import Site


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A filled site, shared by the tests of a module, which only read."""
    site = Site(tmp_path_factory.mktemp("busy") / "site")
    fill(site)
    yield site
    site.close()


@pytest.fixture(scope="module")
def server(busy: Site) -> Iterator[Server]:
    with Server(busy) as running:
        yield running


@pytest.fixture(scope="module")
def anybody(server: Server) -> httpx.Client:
    """A client without a token."""
    return server.client()


@pytest.fixture(scope="module")
def auditor(server: Server) -> httpx.Client:
    return server.client(Scope.AUDITOR)


@pytest.fixture(scope="module")
def operator(server: Server) -> httpx.Client:
    return server.client(Scope.OPERATOR)


@pytest.fixture(scope="module")
def admin(server: Server) -> httpx.Client:
    return server.client(Scope.DEVICE_ADMIN)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """A filled site of the test's own, to change."""
    site = Site(tmp_path / "site")
    fill(site)
    yield site
    site.close()
