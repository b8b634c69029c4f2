"""What a company might tell another about exceptions that are none, or not its own."""

from hashlib import sha256
from typing import Any

import pytest

from chaincode.lots.exception_records import ExceptionRecord
from crypto import cbor
from gateway.custody.errors import HandoverError
from gateway.custody.exceptions.workflow import NOBODY
from gateway.custody.handover import format as form
from gateway.custody.handover.format import Heading, Notice
from tests.gateway.custody.goods import Company, Goods, msp
from tests.gateway.custody.handing import key_of

Trade = list[Company]


def told(sender: Company, to: Company, kind: str, body: list[Any]) -> None:
    """As the sender's gateway would tell it."""
    notice = Notice(Heading(sender.gateway.folder.origin, to.organisation, NOBODY), kind, body)
    message = form.seal_message(form.encode_notice(notice), key_of(sender))
    to.run(to.custody.handovers.receive(message, sender.organisation))


def reported(sender: Company, to: Company, kind: str, words: list[Any]) -> bytes:
    """An exception on the ledger with these words, of the sender's own making; its id."""
    leaf = sender.custody.workflow._log_size() - 1
    evidence = sender.run(sender.custody.keeping._prover.evidence(leaf))
    detail = sha256(cbor.encode(words)).digest()
    about = sha256(detail).digest()
    args = (kind.encode(), about, to.organisation.encode(), evidence, detail, b"0")
    return ExceptionRecord.decode(sender.run(sender.gateway.ledger.submit("lots.report", *args)).result).exception_id


@pytest.mark.parametrize(
    ("kind", "things", "said"),
    [
        ("other", ["x" * 300], "x"),
        ("other", [f"thing {n}" for n in range(17)], "x"),
        ("other", ["thing"], "x" * 4001),
        ("suspect", ["thing"], "the ledger has another kind"),
    ],
)
def test_a_notice_that_would_make_the_list_unreadable(
    trade: Trade, goods: Goods, kind: str, things: list[str], said: str
) -> None:
    """The hash of its words is on the ledger, so they are the partner's own; what is too much is not taken in."""
    maker, wholesaler, _ = trade
    maker.commissioned(goods.packs(0, 1), goods.lot)
    maker.settle()
    ledger_id = reported(maker, wholesaler, "other", [kind, things, said])
    with pytest.raises(HandoverError):
        told(maker, wholesaler, "exception", [ledger_id, kind, things, said, 0])
    assert wholesaler.custody.exceptions.on_ledger(ledger_id) is None
    assert wholesaler.request("GET", "/v1/exceptions").status_code == 200


def test_the_largest_facts_are_read_again(trade: Trade) -> None:
    register = trade[2].custody.exceptions
    things, records = ["\U0001f4a3" * 3000] * 2000, [2**62] * 2000
    number = register.open("other", "A", "B", things, records, "\U0001f4a3" * 9000, 0, "the largest", 0)
    case = register.get(number or 0)
    assert case is not None
    assert (len(case.things), len(case.things[0]), len(case.records), len(case.compared)) == (1000, 256, 1000, 4000)


def test_a_third_company_writes_into_an_exception_that_another_ended(trade: Trade, goods: Goods) -> None:
    maker, wholesaler, pharmacy = trade
    maker.commissioned(goods.packs(0, 1), goods.lot)
    maker.settle()
    words = ["other", [goods.sscc(1)], "it is not as it should be"]
    ledger_id = reported(maker, wholesaler, "other", words)
    told(maker, wholesaler, "exception", [ledger_id, *words, 0])
    evidence = maker.run(maker.custody.keeping._prover.evidence(0))
    maker.run(maker.gateway.ledger.submit("lots.resolve", ledger_id, b"withdrawn", evidence))
    with pytest.raises(HandoverError, match=f"{msp('pharmacy')} did not end this"):
        told(pharmacy, wholesaler, "exception-end", [ledger_id, "withdrawn", "and pay to this account"])
    case = wholesaler.custody.exceptions.on_ledger(ledger_id)
    assert case is not None
    assert (case.state, case.remark) == ("open", "")
    told(maker, wholesaler, "exception-end", [ledger_id, "withdrawn", "we counted wrong"])
    case = wholesaler.custody.exceptions.on_ledger(ledger_id)
    assert case is not None
    assert (case.state, case.remark) == ("resolved", "we counted wrong")
