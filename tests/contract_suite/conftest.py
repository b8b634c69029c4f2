"""The suite's ledgers. Every test runs on each of them: a ledger is added by a function and a parameter here."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chain.ledger.embedded import EmbeddedLedger
from crypto.keys import Algorithm, PrivateKey
from tests.contract_suite.actors import log_signers
from tests.contract_suite.twice import invoke_twice
from tests.contract_suite.world import World


@contextmanager
def embedded(folder: Path) -> Iterator[World]:
    nobody = PrivateKey.generate(Algorithm.ED25519)
    name = "plant.example/ledger"
    ledger = EmbeddedLedger(folder, name, log_signers(name), nobody, invoke=invoke_twice)
    with asyncio.Runner() as runner:
        yield World(runner, ledger.as_caller)
        runner.run(ledger.check())  # whatever a test did, the ledger's file is whole afterwards
        runner.run(ledger.close())


LEDGERS = {"embedded": embedded}


@pytest.fixture(params=list(LEDGERS))
def empty_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A ledger on which nothing has happened."""
    with LEDGERS[request.param](tmp_path) as world:
        yield world


@pytest.fixture
def world(empty_world: World) -> World:
    """A ledger with its first gateway and that gateway's registered log."""
    return empty_world.start()
