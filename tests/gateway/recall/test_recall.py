"""A recall over three tiers of real gateways: reach, silence, nobody's customers told to anybody else, no forgeries."""

import asyncio
import secrets
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from chaincode.errors import ContractError
from chaincode.identity_records import Doubt
from chaincode.lots.recall_records import RecallAnswer
from chaincode.state import identity_key
from crypto import cbor
from gateway.access import Scope
from gateway.custody.schema import TaskState
from gateway.custody.transitions import SHIP
from gateway.recall import checking
from gateway.recall.answering import excess
from gateway.recall.branches import branch_file, check_branch, commitment, decode_opening
from gateway.recall.errors import RecallError, StatementError, UnknownRecallError
from gateway.recall.records import Starting
from gateway.recall.report import as_html, as_text, state_of
from gateway.recall.statements import Answer, Counts, Heading, Notice, open_signed, signed
from tests.gateway.recall.conftest import GLN, Companies, companies, party
from tests.support.trade import case, commissioned, lot, objects, pack, packed, place

DRUG, LOT = 3, lot(3, "L1")
HOUR_US = 3_600_000_000


def shipped(minutes: float, unit: str, source: str, to: str) -> bytes:
    parties: dict[str, Any] = {
        "sourceList": [{"type": "owning_party", "source": party(source)}],
        "destinationList": [{"type": "owning_party", "destination": party(to)}],
    }
    return objects(minutes, "shipping", unit, disposition="in_transit", **parties)


def received(minutes: float, unit: str, source: str, at: int) -> bytes:
    parties: dict[str, Any] = {"sourceList": [{"type": "owning_party", "source": party(source)}]}
    return objects(minutes, "receiving", unit, at=place(at), **parties)


async def trade(all_of: Companies) -> None:
    """60 packs: 10 stay with the maker, 50 go to the wholesaler in cases 1 to 5; of these cases 1, 2 go to the shop and
    3 to the kiosk; the shop sold 4 packs."""
    cases = {n: [pack(DRUG, 10 * n + i) for i in range(10)] for n in range(6)}
    made = commissioned(0, DRUG, "L1", *(p for n in cases for p in cases[n]), at=place(1))
    filled = {n: packed(1, case(n), *cases[n], at=place(1)) for n in range(1, 6)}
    await all_of.capture("Maker", made, *filled.values(), *(shipped(2, case(n), "Maker", "Wholesaler") for n in filled))
    for company, own, at in (("Wholesaler", range(1, 6), 2), ("Shop", (1, 2), 3), ("Kiosk", (3,), 4)):
        if company in all_of.served:
            # What came with the goods: how the packs were made and packed.
            gateway = all_of.served[company].gateway
            log = gateway._own_log("partner.copy", "epcis")
            await log.append_all([made, *(filled[n] for n in own)])
            source = "Maker" if company == "Wholesaler" else "Wholesaler"
            minutes = 3 if company == "Wholesaler" else 5
            await all_of.capture(company, *(received(minutes, case(n), source, at) for n in own))
    await all_of.capture("Wholesaler", *(shipped(4, case(n), "Wholesaler", "Shop") for n in (1, 2)),
                         shipped(4, case(3), "Wholesaler", "Kiosk"))  # fmt: skip
    if "Shop" not in all_of.served:
        return
    opened = [packed(6, case(1), *cases[1], action="DELETE", at=place(3))]
    await all_of.capture("Shop", *opened, *(objects(7, "dispensing", p, at=place(3)) for p in cases[1][:4]))


def drill(root: Path) -> None:
    async def run() -> None:
        async with companies(root) as all_of:
            await trade(all_of)
            recalls = all_of["Maker"]
            deadline_us = recalls_now() + HOUR_US
            recall = await recalls.start(LOT, 1, "a mock recall", deadline_us, drill=True)
            await all_of.until(lambda: _tiers(all_of, recall.id) == [(1, 1), (2, 2)])
            state = await state_now(recalls, recall.id)
            assert state["own"]["quarantined"] == 10
            assert state["passed_on"] == {
                "quarantined": 20 + 16 + 10, "sold": 4, "destroyed": 0, "returned": 0, "in_transit": 0, "unknown": 0,
            }  # fmt: skip
            assert (state["packs"], state["reach"], state["unanswered"], state["flagged"]) == (60, 100.0, 0, 0)
            assert "DRILL" in as_text(state)
            assert "100 % of 60 packs" in as_html(state)
            await by_the_ledger(all_of)
            await hidden(all_of, recall.id)
            await forged(all_of, recall.id)
            await not_ours(all_of, recall.id)
            await returned(all_of, recall.id)
            await curious(all_of)
            await at_once(all_of)
            await flooding(all_of)
            await invented(all_of)
            await mistyped(all_of)

    asyncio.run(run())


async def state_now(recalls: Any, recall_id: str) -> dict[str, Any]:
    recall, suppliers, customers, found = await recalls.counted(recall_id)
    return state_of(recall, suppliers, customers, found, recalls_now())


def recalls_now() -> int:
    return time.time_ns() // 1000


def _tiers(all_of: Companies, recall: str) -> list[tuple[int, int]]:
    found = [c.answer for c in all_of["Maker"].book.customers(recall) if c.answer]
    if not found:
        return []
    answer = open_signed(found[0]).statement
    assert isinstance(answer, Answer)
    return [(1, 1), *((tier.customers, tier.answered) for tier in answer.tiers)]


async def hidden(all_of: Companies, recall: str) -> None:
    """No byte that the maker's gateway has names who its customer's customers are. The ledger, which all share, lists
    its members; it stands elsewhere."""
    for path in all_of.data("Maker").rglob("*"):
        if path.is_file():
            content = path.read_bytes().lower()
            for name in ("shop", "kiosk", GLN["Shop"], GLN["Kiosk"]):
                assert name.encode() not in content, (path, name)


async def forged(all_of: Companies, recall: str) -> None:
    """Replayed, altered, or signed by another company."""
    maker, wholesaler = all_of["Maker"], all_of["Wholesaler"]
    [known] = maker.book.customers(recall)
    await maker.take_answer("Wholesaler", known.answer)  # the outbox may send it twice
    first = wholesaler.book.said_number(recall, "Maker", 1)
    assert known.number > 1
    with pytest.raises(StatementError, match="not newer"):
        await maker.take_answer("Wholesaler", first.body)
    altered = bytearray(known.answer)
    altered[len(altered) // 2] ^= 1
    with pytest.raises(StatementError):
        await maker.take_answer("Wholesaler", bytes(altered))
    shops = all_of["Shop"].book.said(recall, "Wholesaler").body
    with pytest.raises(StatementError, match="addressed to"):
        await maker.take_answer("Shop", shops)
    with pytest.raises(StatementError, match="no gateway of"):
        await maker.take_answer("Wholesaler", shops)
    with pytest.raises(UnknownRecallError, match="not told"):
        await wholesaler.take_answer("Maker", await _addressed(all_of, recall, "Maker", "Wholesaler"))


async def by_the_ledger(all_of: Companies) -> None:
    """Shipments of other lots are not asked about, and too many are no reason to tell nobody."""
    maker, gateway = all_of["Maker"], all_of.served["Maker"].gateway
    await all_of.until(lambda: gateway.supply.custody.keeping.idle)
    ships = [t for t in gateway.supply.custody.tasks.page(TaskState.DONE, 0, 500) if t.name == SHIP]
    assert len(ships) == 5
    await all_of.capture("Maker", shipped(9, case(77), "Maker", "Wholesaler"))
    leaves = {task.leaf for task in ships}
    async with asyncio.timeout(30):
        while await maker.ledger.received(LOT, "Wholesaler", leaves) != 50:
            await asyncio.sleep(0.05)
    assert await maker.ledger.received(LOT, "Shop", leaves) is None
    assert await maker.ledger.received(LOT, "Wholesaler", range(10_001)) is None


async def not_ours(all_of: Companies, recall: str) -> None:
    """An event says that the wholesaler sends a case to the kiosk which the shop has received. The ledger refuses that,
    and the packs stay where they are: nobody is waited for, and nobody speaks of them twice."""
    wholesaler, tasks = all_of["Wholesaler"], all_of.served["Wholesaler"].gateway.supply.custody.tasks
    await all_of.capture("Wholesaler", shipped(9, case(2), "Wholesaler", "Kiosk"))
    await wholesaler.counted(recall)  # before the ledger said so
    await all_of.until(tasks.not_ours)
    _, _, _, parts = await wholesaler.counted(recall)
    assert {name: dict(part.customers) for name, part in parts.items()} == {"Maker": {"Shop": 20, "Kiosk": 10}}


async def returned(all_of: Companies, recall: str) -> None:
    """The kiosk sends its case back. It is counted once: nobody speaks of more than it got, and a pack that is missing
    elsewhere is not hidden by it."""
    await all_of.capture("Kiosk", shipped(10, case(3), "Kiosk", "Wholesaler"))
    await all_of.until(lambda: _last(all_of, recall).passed_on.returned == 10)
    assert (await state_now(all_of["Maker"], recall))["reach"] == 83.3
    await all_of.capture("Wholesaler", received(11, case(3), "Kiosk", 2))
    await all_of.until(lambda: _last(all_of, recall).own.quarantined == 30)
    state = await state_now(all_of["Maker"], recall)
    assert (state["reach"], state["flagged"], state["passed_on"]["returned"]) == (100.0, 0, 10)
    assert excess(all_of["Maker"].book.customers(recall)[0]) is None


def _drill(all_of: Companies, sender: str, deadline_us: int, *, lot: str = LOT, to: str = "Wholesaler") -> bytes:
    """A drill that a company makes up."""
    gateway = all_of.served[sender].gateway
    heading = Heading(gateway.folder.origin, to, f"drill-{secrets.token_hex(16)}", True, lot)
    return signed(Notice(heading, 1, "made up", deadline_us, recalls_now(), 1, 1), gateway.folder.gateway_key())


async def curious(all_of: Companies) -> None:
    """A customer makes up a drill of a lot that came from the maker: it is not answered, and told to nobody."""
    wholesaler, shop = all_of["Wholesaler"], all_of["Shop"]
    before = len(shop.book.all())
    asked = await wholesaler.take_notice("Shop", _drill(all_of, "Shop", recalls_now() + HOUR_US))
    true = await wholesaler.take_notice("Maker", _drill(all_of, "Maker", recalls_now() + HOUR_US))
    await all_of.until(lambda: wholesaler.book.said(true, "Maker") and len(shop.book.all()) > before)
    await wholesaler.turn()
    assert (wholesaler.book.said(asked, "Shop"), wholesaler.book.customers(asked)) == (None, [])
    # A person who answers the supplier says nothing of its goods to the other one who told us.
    await wholesaler.take_notice("Shop", _same(all_of, "Shop", true))
    await wholesaler.answer(true, {"unknown": 7, "quarantined": 0})
    await all_of.until(lambda: wholesaler.book.said(true, "Shop"))
    said = open_signed(wholesaler.book.said(true, "Shop").body).statement
    assert (said.received, said.own, said.passed_on, said.tiers[0].customers) == (0, Counts(), Counts(), 0)
    own = open_signed(wholesaler.book.said(true, "Maker").body).statement.own
    assert (own.unknown, own.quarantined) == (7, 0)
    state = await state_now(wholesaler, true)  # the company sees of itself what it said
    assert state["own"] == asdict(own)


def _same(all_of: Companies, sender: str, recall: str) -> bytes:
    gateway = all_of.served[sender].gateway
    known = all_of["Wholesaler"].book.get(recall)
    heading = Heading(gateway.folder.origin, "Wholesaler", recall, True, LOT)
    said = Notice(heading, 1, "made up", known.deadline_us, recalls_now(), 1, 1)
    return signed(said, gateway.folder.gateway_key())


async def at_once(all_of: Companies) -> None:
    """A person answers as soon as the recall is known, while its notice is still being taken."""
    wholesaler = all_of["Wholesaler"]
    known = {one.id for one in wholesaler.book.all()}
    taking = asyncio.create_task(
        wholesaler.take_notice("Maker", _drill(all_of, "Maker", recalls_now() + HOUR_US, lot=lot(9, "Y")))
    )
    while not (new := {one.id for one in wholesaler.book.all()} - known):
        await asyncio.sleep(0)
    await wholesaler.answer(new.pop())
    await taking


async def flooding(all_of: Companies) -> None:
    """More drills than a company may have open, and such as never end."""
    wholesaler = all_of["Wholesaler"]
    for deadline_us in (recalls_now() - 1, recalls_now() + 91 * 24 * HOUR_US):
        with pytest.raises(StatementError, match="deadline of a drill lies ahead"):
            await wholesaler.take_notice("Kiosk", _drill(all_of, "Kiosk", deadline_us))
    for _ in range(20):
        await wholesaler.take_notice("Kiosk", _drill(all_of, "Kiosk", recalls_now() + HOUR_US, lot=lot(9, "X")))
    with pytest.raises(RecallError, match="20 drills of Kiosk are open"):
        await wholesaler.take_notice("Kiosk", _drill(all_of, "Kiosk", recalls_now() + HOUR_US))
    wholesaler.book.end_drills(recalls_now() + 2 * HOUR_US)
    assert wholesaler.book.open() == []
    await wholesaler.take_notice("Kiosk", _drill(all_of, "Kiosk", recalls_now() + HOUR_US))


async def invented(all_of: Companies) -> None:
    """A recall that the maker did not begin, a drill that looks like a recall, and one that is for somebody else."""
    gateway, wholesaler = all_of.served["Maker"].gateway, all_of["Wholesaler"]

    def notice(recall: str, *, drill: bool = False, to: str = "Wholesaler") -> bytes:
        heading = Heading(gateway.folder.origin, to, recall, drill, LOT)
        said = Notice(heading, 1, "invented", recalls_now() + HOUR_US, recalls_now(), 1, 1)
        return signed(said, gateway.folder.gateway_key())

    with pytest.raises(UnknownRecallError, match="ledger knows no recall"):
        await wholesaler.take_notice("Maker", notice("ab" * 32))
    for body in (notice("drill-ab"), notice("ab" * 32, drill=True)):
        with pytest.raises(StatementError, match="a drill has an id"):
            await wholesaler.take_notice("Maker", body)
    with pytest.raises(StatementError, match="addressed to"):
        await wholesaler.take_notice("Maker", notice("drill-ab", drill=True, to="Shop"))
    with pytest.raises(StatementError, match="no gateway of"):
        await wholesaler.take_notice("Shop", notice("drill-ab", drill=True))
    assert "drill-ab" not in {one.id for one in wholesaler.book.all()}


async def mistyped(all_of: Companies) -> None:
    """Nobody made a lot of this name; the maker is told so, and that is no fault of its gateway."""
    maker = all_of.served["Maker"]
    token = maker.gateway.access.new_token("operator", frozenset({Scope.OPERATOR}))
    body = {"lot": lot(DRUG, "NOPE"), "class": 1, "reason": "x", "deadline_s": 60}
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
        answer = await client.post(f"{maker.url}/v1/recalls", json=body)
    assert answer.status_code == 404
    assert "was neither made here nor handed over" in answer.json()["detail"]
    assert all_of["Maker"].book.starting() == []


async def _addressed(all_of: Companies, recall: str, sender: str, to: str) -> bytes:
    [known] = all_of["Maker"].book.customers(recall)
    answer = open_signed(known.answer).statement
    gateway = all_of.served[sender].gateway
    heading = replace(answer.heading, sender=gateway.folder.origin, recipient=to)
    return signed(replace(answer, heading=heading), gateway.folder.gateway_key())


def test_a_drill_reaches_every_tier_and_names_nobody(tmp_path: Path) -> None:
    drill(tmp_path)


def test_silence_lies_and_lateness_in_a_real_recall(tmp_path: Path) -> None:
    """The kiosk's gateway is away, the shop answers by hand, late and with more packs than it got. The lot stops on
    the ledger at once."""

    async def run() -> None:
        quiet = {"Shop": {"auto_answer": False}}
        async with companies(tmp_path, ("Maker", "Wholesaler", "Shop"), **quiet) as all_of:
            await trade(all_of)
            maker, gateway = all_of["Maker"], all_of.served["Maker"].gateway
            await all_of.until(lambda: gateway.supply.custody.keeping.idle)
            recall = await maker.start(LOT, 2, "glass in it", recalls_now() + 4_000_000)
            assert (await maker.ledger.require_recalled(recall.id, LOT)).grade == 2
            with pytest.raises(ContractError, match="recalled already"):
                await maker.start(LOT, 2, "glass in it", recalls_now() + 4_000_000)
            await all_of.until(lambda: _tiers(all_of, recall.id) == [(1, 1), (2, 0)])
            await all_of.until(lambda: recalls_now() > recall.deadline_us)
            await all_of.until(lambda: _last(all_of, recall.id).tiers[0].silent == 2)
            before = _last(all_of, recall.id)
            assert (before.unanswered, before.own.quarantined, before.flagged) == (30, 20, 0)
            with pytest.raises(RecallError, match="nobody to answer"):
                await maker.answer(recall.id)
            await all_of["Shop"].answer(recall.id, {"quarantined": 500})
            await all_of.until(lambda: _last(all_of, recall.id).flagged == 1)
            kiosk, shop = all_of["Wholesaler"].book.customers(recall.id)
            assert (shop.late, kiosk.answer) == (True, None)
            assert excess(shop) == (504, 20)
            state = await state_now(all_of["Wholesaler"], recall.id)
            assert "! speaks of 504 packs and got 20" in as_text(state)
            assert "Kiosk: 10 packs, silent" in as_text(state)
            await committed(all_of, recall.id)
            await branch(all_of, recall.id)
            # What the wholesaler said first was in time, and stays so whatever it says later.
            [known] = maker.book.customers(recall.id)
            assert known.first_us <= recall.deadline_us < known.answered_us
            state = await state_now(maker, recall.id)
            [told], first = state["customers"], round((known.first_us - recall.begun_us) / 60e6, 2)
            assert (told["late"], told["minutes"], state["tiers"][0]["minutes"]) == (False, first, first)
            assert told["newest"] == round((known.answered_us - recall.begun_us) / 60e6, 2) != first
            assert f"Wholesaler: 50 packs, answered, newest figures after {told['newest']:g} min" in as_text(state)

    asyncio.run(run())


async def stopped_in_the_middle(root: Path) -> dict[str, int]:
    """The maker recalls L1 while its customer is away, is about to recall L2, and ends. Its ports."""
    async with companies(root, ("Maker",)) as all_of:
        lots = {name: [pack(DRUG, n + i) for i in range(4)] for n, name in ((0, "L1"), (10, "L2"))}
        made = [commissioned(0, DRUG, name, *packs, at=place(1)) for name, packs in lots.items()]
        cases = [packed(1, case(n), *packs[:3], at=place(1)) for n, packs in enumerate(lots.values(), 1)]
        sent = [shipped(2, case(n), "Maker", "Wholesaler") for n in (1, 2)]
        await all_of.capture("Maker", *made, *cases, *sent)
        await all_of.until(lambda: all_of.served["Maker"].gateway.supply.custody.keeping.idle)
        maker = all_of["Maker"]
        recall = await maker.start(LOT, 2, "glass in it", recalls_now() + HOUR_US)
        await all_of.until(lambda: maker.book.customers(recall.id) and "has no token" in maker.problem)
        leaf = await maker._telling.note("", "begun", bytes(32), drill=False)
        maker.book.put_starting(Starting(leaf, lot(DRUG, "L2"), 1, "the same", recalls_now() + HOUR_US))
        return all_of.ports


def test_a_recall_goes_on_after_a_restart_and_ends_everywhere_when_it_is_lifted(tmp_path: Path) -> None:
    async def run() -> None:
        ports = await stopped_in_the_middle(tmp_path)
        async with companies(tmp_path, ("Maker", "Wholesaler"), ports) as all_of:
            maker, wholesaler = all_of["Maker"], all_of["Wholesaler"]
            # Both are told and answered; the second is on the ledger once, with the record that was its evidence.
            await all_of.until(lambda: len(maker.book.all()) == 2 and not maker.book.starting())
            first, second = (
                next(one for one in maker.book.all() if one.lot == lot(DRUG, name)) for name in ("L1", "L2")
            )
            for one in (first, second):
                # Nothing here says that the goods came, so a person answers.
                await all_of.until(lambda one=one: wholesaler.book.suppliers(one.id))
                await wholesaler.answer(one.id)
                await all_of.until(lambda one=one: [c.answer for c in maker.book.customers(one.id) if c.answer])
                assert [c.packs for c in maker.book.customers(one.id)] == [3]
            assert (await maker.ledger.require_recalled(second.id, second.lot)).grade == 1
            with pytest.raises(RecallError, match="by the company that began it"):
                await wholesaler.lift(first.id, "no")
            # The answer to the lift is lost with the gateway: the ledger has it, and that is enough.
            leaf = await maker._telling.note(first.id, "lifted", bytes(32), drill=False)
            await maker.ledger.lift(first.id, "it was another line", leaf)
            await all_of.until(lambda: maker.book.get(first.id).closed and wholesaler.book.get(first.id).closed)
            await maker.lift(second.id, "this one as well")
            with pytest.raises(RecallError, match="is ended already"):
                await maker.lift(second.id, "again")
            await all_of.until(lambda: wholesaler.book.get(second.id).closed)
            for one in (first, second):
                assert (await maker.ledger.require_recalled(one.id, one.lot)).lifted

    asyncio.run(run())


def _last(all_of: Companies, recall: str) -> Answer:
    [known] = all_of["Maker"].book.customers(recall)
    answer = open_signed(known.answer).statement
    assert isinstance(answer, Answer)
    return answer


async def committed(all_of: Companies, recall: str) -> None:
    """A commitment to the wholesaler's answer is on the ledger, and tells nothing of it."""
    wholesaler = all_of["Wholesaler"]
    await all_of.until(lambda: wholesaler.book.said(recall, "Maker").tx_id)
    said = wholesaler.book.said(recall, "Maker")
    ledger = all_of.served["Maker"].gateway.ledger
    found = await ledger.evaluate("recalls.answered", recall.encode(), commitment(said.salt, said.body))
    assert RecallAnswer.decode(found).recall_id == recall
    other = await ledger.evaluate("recalls.answered", recall.encode(), commitment(bytes(32), said.body))
    assert cbor.decode(other, 10) is None


async def doubted(all_of: Companies, opened: bytes) -> None:
    """Offline, too, nothing counts that a key signed which is in doubt since."""
    file = all_of.data("Maker") / "branch"
    file.write_bytes(opened)
    ledger, known = all_of["Maker"].ledger, dict[str, bytes]()
    gateways = {name: all_of.served[name].gateway.folder.origin for name in all_of.served}
    for name in gateways.values():
        known[identity_key(name)] = (await ledger._identity(name)).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "open_reader", lambda _: SimpleNamespace(value=known.get, close=lambda: None))
        await asyncio.to_thread(checking.checked_file, file, "Wholesaler", all_of.data("Maker"))
        identity = await ledger._identity(gateways["Shop"])
        in_doubt = replace(identity, keys=tuple(one.doubted(Doubt(one.from_index, "tx")) for one in identity.keys))
        known[identity_key(identity.name)] = in_doubt.encode()
        with pytest.raises(StatementError, match=r"none of .* that counts"):
            await asyncio.to_thread(checking.checked_file, file, "Wholesaler", all_of.data("Maker"))


async def branch(all_of: Companies, recall: str) -> None:
    """An authority has the wholesaler's branch opened; a shop that is left out, or another's answer, is found."""
    said = all_of["Wholesaler"].book.said(recall, "Maker")
    require = all_of["Maker"].ledger.require_sender
    heard = decode_opening(said.opening)
    answer, opened, _ = await check_branch(branch_file(said.body, said.salt, heard), "Wholesaler", require)
    assert (answer.flagged, [one.organisation for one in opened]) == (1, ["Shop"])
    await doubted(all_of, branch_file(said.body, said.salt, heard))
    with pytest.raises(StatementError, match="not those that the signed answer"):
        await check_branch(branch_file(said.body, said.salt, []), "Wholesaler", require)
    renamed = [replace(one, organisation="Kiosk") for one in heard]
    with pytest.raises(StatementError, match="no gateway of"):
        await check_branch(branch_file(said.body, said.salt, renamed), "Wholesaler", require)
    with pytest.raises(StatementError, match="no gateway of"):
        await check_branch(branch_file(said.body, said.salt, heard), "Maker", require)
