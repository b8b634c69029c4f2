"""The examples of docs/formats/ledger.md are what the contract writes."""

from pathlib import Path

import pytest

from chaincode.evidence import EvidenceRef
from chaincode.lots.items import Quantity
from chaincode.lots.pack_records import EndAnswer, EndStatus
from chaincode.lots.records import LotRecord
from chaincode.lots.unit_records import UnitRecord, UnitState
from chaincode.state import Record

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "formats" / "ledger.md").read_text()
ID, REF = bytes(range(32)), EvidenceRef("a", 7, bytes(range(32)))
EXAMPLES = [
    LotRecord(ID, "M", ID, 100, (), None, REF, 9, "ab"),
    UnitRecord(ID, (Quantity(ID, 100),), ID, 100, 0, "M", UnitState.IN_TRANSIT, REF, 9, "ab", "W"),
    EndAnswer(EndStatus.DUPLICATE, ID),
]


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda record: type(record).__name__)
def test_the_examples_are_byte_for_byte(record: Record) -> None:
    assert f"`{record.encode().hex()}`" in PAGE
