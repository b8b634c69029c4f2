"""One embedded ledger that several organisations share: each is bound to its own keys, and hears of the others."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.ledger.embedded import EmbeddedLedger
from chain.ledger.transaction_leaf import open_leaf
from chaincode.errors import Code, ContractError
from chaincode.identity_records import Identity
from crypto.errors import FormatError, SignatureError
from tests.contract_suite.actors import Actor, log_signers

NAME = "trade.example/ledger"


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


def _open(folder: Path, actor: Actor, organisation: str) -> EmbeddedLedger:
    return EmbeddedLedger(folder, NAME, SIGNERS, actor.key, organisation=organisation)


SIGNERS = log_signers(NAME)
MAKER, CARRIER = Actor("maker.example/gw", "maker.example/gw"), Actor("carrier.example/gw", "carrier.example/gw")


def test_each_organisation_enrols_itself_and_nobody_acts_as_another(tmp_path: Path, runner: asyncio.Runner) -> None:
    maker, carrier = _open(tmp_path, MAKER, "Maker"), _open(tmp_path, CARRIER, "Carrier")
    runner.run(maker.submit("identities.bootstrap", *MAKER.bootstrap()))
    runner.run(carrier.submit("identities.bootstrap", *CARRIER.bootstrap()))
    found = [Identity.decode(runner.run(maker.evaluate("identities.get", a.name.encode()))) for a in (MAKER, CARRIER)]
    assert [identity.organisation for identity in found] == ["Maker", "Carrier"]
    vkeys = [str(signer.vkey).encode() for signer in log_signers(CARRIER.origin)]
    for name in ("Maker", "Nobody", ""):
        posing = carrier.as_caller(CARRIER.key, name)
        with pytest.raises(ContractError) as caught:
            runner.run(posing.submit("logs.register", CARRIER.origin.encode(), *vkeys))
        assert caught.value.code is Code.FORBIDDEN
    thief = Actor("thief.example/gw", "thief.example/gw")
    posing = carrier.as_caller(thief.key, "Maker")
    with pytest.raises(ContractError, match="bootstrapped"):
        runner.run(posing.submit("identities.bootstrap", *thief.bootstrap()))
    assert runner.run(maker.check()) == 2
    runner.run(maker.close())
    runner.run(carrier.close())


def test_events_of_one_reach_the_other(tmp_path: Path, runner: asyncio.Runner) -> None:
    maker, carrier = _open(tmp_path, MAKER, "Maker"), _open(tmp_path, CARRIER, "Carrier")

    async def listen() -> list[str]:
        heard: list[str] = []
        async with asyncio.timeout(20):
            waiting = asyncio.create_task(carrier.submit("identities.bootstrap", *CARRIER.bootstrap()))
            async for event in maker.events(-1):
                heard.append(event.name)
                await waiting
                if len(heard) == 1:
                    await maker.submit("identities.bootstrap", *MAKER.bootstrap())
                else:
                    return heard
        return heard

    assert runner.run(listen()) == ["identities.enrolled"] * 2
    leaf = open_leaf(maker._store._reader.entry(0))
    assert leaf.request.organisation == "Carrier"
    runner.run(maker.close())
    runner.run(carrier.close())


def test_the_word_of_the_organisation_is_signed(tmp_path: Path, runner: asyncio.Runner) -> None:
    carrier = _open(tmp_path, CARRIER, "Carrier")
    runner.run(carrier.submit("identities.bootstrap", *CARRIER.bootstrap()))
    leaf = carrier._store._reader.entry(0)
    assert leaf.count(b"\x0dgCarrier") == 1
    with pytest.raises(SignatureError):
        open_leaf(leaf.replace(b"\x0dgCarrier", b"\x0dgCarried"))
    with pytest.raises(FormatError, match="left out"):
        open_leaf(leaf.replace(b"\x0dgCarrier", b"\x0d`"))
    runner.run(carrier.close())
