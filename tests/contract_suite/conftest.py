"""The suite's ledgers. Every test runs on each of them: a ledger is added by a context and a parameter here.

On the embedded ledger every call runs twice and must do the same; on Fabric three organisations' peers run it.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from chain.ledger.embedded import EmbeddedLedger
from crypto.keys import Algorithm, PrivateKey
from tests.contract_suite.actors import log_signers
from tests.contract_suite.twice import invoke_twice
from tests.contract_suite.world import World
from tests.network.networks import need_fabric


@dataclass(frozen=True)
class Worlds:
    """Makes worlds on one ledger: one in which nothing has happened, or one that is started."""

    empty: Callable[[], World]
    started: Callable[[], World]


@contextmanager
def embedded(folder: Path) -> Iterator[Worlds]:
    nobody = PrivateKey.generate(Algorithm.ED25519)
    name = "plant.example/ledger"
    ledger = EmbeddedLedger(folder, name, log_signers(name), nobody, invoke=invoke_twice)
    with asyncio.Runner() as runner:

        def open_as(caller: PrivateKey, organisation: str = "") -> EmbeddedLedger:
            return ledger.as_caller(caller, organisation)

        world = World(runner, open_as, lambda: runner.run(ledger.check()))
        yield Worlds(lambda: world, world.start)
        runner.run(ledger.check())  # whatever a test did, the ledger's file is whole afterwards
        runner.run(ledger.close())


@pytest.fixture(scope="package")
def fabric_worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    need_fabric()
    from tests.contract_suite.fabric_worlds import channel

    with asyncio.Runner() as runner, channel(tmp_path_factory.mktemp("contract-suite"), runner) as made:
        yield Worlds(lambda: made.world(runner), lambda: made.started(runner))


@pytest.fixture(params=["embedded", pytest.param("fabric", marks=pytest.mark.fabric)])
def worlds(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Worlds]:
    """One of the ledgers."""
    if request.param == "fabric":
        yield request.getfixturevalue("fabric_worlds")
    else:
        with embedded(tmp_path) as made:
            yield made


@pytest.fixture
def empty_world(worlds: Worlds) -> World:
    """A ledger on which nothing has happened."""
    return worlds.empty()


@pytest.fixture
def world(worlds: Worlds) -> World:
    """A ledger with its first gateway and that gateway's registered log."""
    return worlds.started()
