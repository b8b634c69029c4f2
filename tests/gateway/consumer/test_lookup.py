"""Facts from real gateways: EPCIS events captured, lots on a shared ledger, custody handed on."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import httpx
import pytest

from chain.policies import site_policy
from chain.receipt import parse_receipt
from chain.verify import Outcome, verify_receipt
from chaincode.coldchain.alarms import Cause, Finding
from chaincode.coldchain.quarantine import Quarantine
from chaincode.coldchain.records import Alarm, Logger, Progress
from chaincode.errors import ContractError
from chaincode.identities import enrolment
from crypto import cbor, labels
from crypto.keys import Algorithm, PrivateKey
from gateway.access import SourceSettings
from gateway.consumer.containers import PackedInto
from gateway.consumer.facts import Kept, PackFacts, PackQuestion
from gateway.consumer.lookup import LedgerLookup
from gateway.consumer.shipments import LedgerShipments
from gateway.custody.schema import UnitKind
from gateway.events.view import EventsViews
from gateway.supply.proving import Prover
from tests.chain.conditions.readings import POLICY
from tests.gateway.custody.goods import GTIN, Company, companies, lot_uri, pack, packs, sscc

LOT = lot_uri("LOT-1")
QUESTION = PackQuestion(GTIN, "LOT-1", "S0000001", date(2028, 12, 31))


@pytest.fixture(scope="module")
def trade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Company, Company]]:
    """A lot of four packs: two are in a case, one is dispensed, one stolen."""
    with companies(tmp_path_factory.mktemp("trade"), "maker", "wholesaler") as (maker, wholesaler):
        maker.amount_made(LOT, 4)
        maker.commissioned(packs(0, 4), "LOT-1")
        maker.packed(sscc(1), packs(0, 2))
        maker.ended([pack(2)])
        maker.ended([pack(3)], "decommissioning", "stolen")
        maker.settle()
        yield maker, wholesaler


def look_up(company: Company, question: PackQuestion, lookup: LedgerLookup | None = None) -> PackFacts:
    return company.run((lookup or company.gateway.supply.consumer.lookup).look_up(question))


def numbered(number: int) -> PackQuestion:
    return replace(QUESTION, serial=f"S{number:07}")


def test_what_the_maker_recorded_is_known_with_its_proof(trade: tuple[Company, Company]) -> None:
    maker, _ = trade
    facts = look_up(maker, QUESTION)
    record = maker.lot(LOT)
    assert facts == PackFacts(
        True, True, "LOT-1", date(2028, 12, 31), record.made_us, kept_cold=Kept.UNKNOWN, proof=record.evidence.index
    )
    assert look_up(maker, PackQuestion(GTIN, None, "S0000001")) == facts
    assert look_up(maker, PackQuestion(GTIN, "LOT-1")).known
    assert look_up(maker, numbered(2)).dispensed_us is not None
    assert look_up(maker, numbered(3)).withdrawn_us is not None
    assert look_up(maker, numbered(3)).dispensed_us is None


@pytest.mark.parametrize(
    "question",
    [
        numbered(4),
        numbered(99),
        replace(QUESTION, gtin="09506000134352"),
        PackQuestion(GTIN, "LOT-2"),
    ],
)
def test_what_nobody_recorded_is_unknown(trade: tuple[Company, Company], question: PackQuestion) -> None:
    assert look_up(trade[0], question) == PackFacts()


def test_a_code_with_another_lot_or_date_does_not_fit(trade: tuple[Company, Company]) -> None:
    for wrong in (replace(QUESTION, lot="LOT-2"), replace(QUESTION, expiry=date(2029, 12, 31))):
        assert not look_up(trade[0], wrong).fits


def test_a_row_in_a_table_makes_no_pack(trade: tuple[Company, Company]) -> None:
    """An administrator who adds a serial to custody.db: it is not in the tree that the ledger has."""
    maker, _ = trade
    maker.custody.units.put_packs(maker.custody.units.of(LOT), [pack(77)])
    assert look_up(maker, numbered(77)) == PackFacts()


def test_a_wholesalers_gateway_does_not_say_what_it_buys(trade: tuple[Company, Company]) -> None:
    maker, wholesaler = trade
    lot = maker.custody.units.of(LOT)
    taken = wholesaler.custody.units.take(LOT, UnitKind.LOT, lot.secret, maker.organisation)
    wholesaler.custody.units.put_packs(taken, packs(0, 4))
    assert look_up(wholesaler, QUESTION) == PackFacts()
    assert look_up(wholesaler, PackQuestion(GTIN, "LOT-1")) == PackFacts()


class _Held:
    """The real ledger, on which one unit is held: what the contract `coldchain` would have written."""

    def __init__(self, company: Company, unit: bytes, record: Quarantine) -> None:
        self._ledger, self._unit, self._record = company.gateway.ledger, unit, record
        self.asked: list[str] = []

    async def evaluate(self, function: str, *args: bytes) -> bytes:
        self.asked.append(function)
        if function == "coldchain.quarantine" and args == (self._unit,):
            return cbor.encode([self._record.encode()])
        return await self._ledger.evaluate(function, *args)


@pytest.mark.parametrize("released", [None, "CarrierMSP"])
def test_a_quarantine_of_the_case_is_news_of_the_pack(trade: tuple[Company, Company], released: str | None) -> None:
    maker, _ = trade
    custody = maker.custody
    record = Quarantine(bytes(32), 1, "tx", released, 2 if released else 0, "measured again" if released else "")
    ledger = _Held(maker, custody.units.id_of(sscc(1)), record)
    lookup = LedgerLookup(
        custody.units, custody.trees, ledger, maker.gateway.folder.origin,  # type: ignore[arg-type]
        lambda uri: [sscc(1)] if uri in packs(0, 2) else [],
    )  # fmt: skip
    facts = look_up(maker, QUESTION, lookup)
    assert (facts.quarantined, facts.kept_cold) == (released is None, Kept.NO)
    known = len(ledger.asked)
    assert look_up(maker, numbered(99), lookup) == PackFacts()
    assert abs(len(ledger.asked) - known - known) <= 1  # as many questions about a pack that nobody knows


def _enrol(company: Company, name: str) -> None:
    gateway, key = company.gateway, PrivateKey.generate(Algorithm.ED25519)
    proof = key.sign(enrolment(name, gateway.folder.origin, key.public), labels.ENROL)
    code = gateway.invite(name, SourceSettings())
    company.run(gateway.enrol(code, str(key.public.algorithm), key.public.raw, proof))


class _Reported(_Held):
    """The real ledger, on which a shipment has come so far."""

    def __init__(self, company: Company, progress: Progress) -> None:
        super().__init__(company, b"", Quarantine(bytes(32), 1, "tx"))
        self._progress = progress

    async def evaluate(self, function: str, *args: bytes) -> bytes:
        answer = await super().evaluate(function, *args)
        if function != "coldchain.get":
            return answer
        shipment, _ = cbor.decode(answer, 1 << 20)
        return cbor.encode([shipment, self._progress.encode()])


def test_what_the_shipments_of_the_case_say_is_said_of_the_pack(trade: tuple[Company, Company]) -> None:
    """Opened for real; how it went on is what the contract would have written."""
    maker, wholesaler = trade
    custody, site = maker.custody, maker.gateway
    prover = Prover(site.supply.ground)
    _enrol(maker, "logger-1")
    logger = Logger(f"{site.folder.origin}#logger-1", "urn:dev:ops:logger-1:temperature")
    case = custody.units.id_of(sscc(1))
    # The gateway reports this shipment by itself: nothing is out of order for as long as the tests run.
    policy = replace(POLICY, calibration_days=None)
    maker.run(site.ledger.submit("coldchain.policy", policy.encode()))
    args = (
        bytes(31) + b"1", policy.id, site.folder.origin.encode(), wholesaler.organisation.encode(),
        str(time.time_ns() // 1000 - 10**6).encode(), cbor.encode([logger.items()]), cbor.encode([case]),
        maker.run(prover.evidence(0)),
    )  # fmt: skip
    maker.run(site.ledger.submit("coldchain.open", *args))
    good = Progress(3, 9, complete=True)
    alarm = Alarm(Finding(Cause.LIMIT, 0, 0, 600), 1, 5, "tx")
    for progress, kept in (
        (good, Kept.YES), (replace(good, complete=False), Kept.UNKNOWN), (replace(good, alarms=(alarm,)), Kept.NO),
    ):  # fmt: skip
        ledger: Any = _Reported(maker, progress)
        shipments = LedgerShipments(ledger, site.folder.origin)
        unfilled = LedgerLookup(custody.units, custody.trees, ledger, "x", lambda uri: [sscc(1)], shipments)
        assert look_up(maker, QUESTION, unfilled).kept_cold is Kept.UNKNOWN
        assert "coldchain.list" not in ledger.asked  # no scan waits until all shipments are read
        maker.run(shipments.fill())
        lookup = LedgerLookup(custody.units, custody.trees, ledger, "x", lambda uri: [sscc(1)], shipments)
        assert look_up(maker, QUESTION, lookup).kept_cold is kept
        before = len(ledger.asked)
        assert look_up(maker, QUESTION, lookup).kept_cold is kept
        assert "coldchain.list" not in ledger.asked[before:]  # known for ten seconds
    none = LedgerLookup(custody.units, custody.trees, ledger, "x", lambda uri: [], shipments)
    assert look_up(maker, QUESTION, none).kept_cold is Kept.UNKNOWN


def test_the_event_index_says_into_what_a_pack_was_packed(trade: tuple[Company, Company]) -> None:
    maker, _ = trade
    leaf = maker.packed(sscc(9), [sscc(1)])
    views = EventsViews(maker.gateway.folder)
    packed_into = PackedInto(views)
    maker.wait(lambda: _indexed(views) > leaf)
    assert packed_into(pack(0)) == (sscc(1), sscc(9))
    assert packed_into(pack(2)) == ()
    views.close()


def _indexed(views: EventsViews) -> int:
    view = views.take()
    try:
        return view.indexed()
    finally:
        views.give_back(view)


def test_the_page_of_a_running_gateway_and_its_receipt(trade: tuple[Company, Company]) -> None:
    maker, wholesaler = trade
    path = f"/01/{GTIN}/10/LOT-1/21/S0000001"

    def get(company: Company, what: str) -> httpx.Response:
        return company.run(asyncio.to_thread(httpx.get, company.url + what, timeout=30))

    found = get(maker, f"{path}?17=281231&format=json").json()
    assert (found["status"], found["known"], found["scan"]["what"]) == ("genuine", True, "first")
    maker.run(maker.gateway.supply.ground.anchor())
    receipt = get(maker, found["proof"])
    outcome = verify_receipt(parse_receipt(receipt.content), site_policy(maker.gateway.folder)).outcome
    assert outcome is Outcome.INCOMPLETE  # nothing is false; captured at the gateway, so no device signed it
    for secret in ("S0000001", "S0000002", "LOT-1", "WholesalerMSP"):
        assert secret.encode() not in receipt.content
    assert get(wholesaler, f"{path}?format=json").json()["status"] == "unknown"


def test_a_recall_on_the_ledger_is_seen_at_once(trade: tuple[Company, Company]) -> None:
    maker, _ = trade
    site, lot = maker.gateway, maker.custody.units.of(LOT)
    evidence = maker.run(Prover(site.supply.ground).evidence(0))
    maker.run(site.ledger.submit("lots.recall", lot.id, b"1", b"1900000000000000", b"glass", evidence))
    facts = look_up(maker, QUESTION)
    assert facts.recalled is not None
    assert facts.recalled.grade == 1


def test_a_refusal_of_the_ledger_is_not_taken_for_unknown(trade: tuple[Company, Company]) -> None:
    maker, _ = trade

    class Refusing:
        async def evaluate(self, function: str, *args: bytes) -> bytes:
            from chaincode.errors import Code

            raise ContractError(Code.NOT_ENROLLED, "not now")

    custody = maker.custody
    lookup = LedgerLookup(custody.units, custody.trees, Refusing(), "x", lambda _: [])  # type: ignore[arg-type]
    with pytest.raises(ContractError):
        look_up(maker, QUESTION, lookup)
