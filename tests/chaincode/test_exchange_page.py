"""The worked example of docs/formats/exchange.md is what the code makes."""

import re
from pathlib import Path

import pytest

from chaincode.exchange import To
from chaincode.exchange_records import DeliveryStatement, Verdict
from crypto import labels
from crypto.keys import Algorithm, PrivateKey

PAGE = Path(__file__).parents[2] / "docs" / "formats" / "exchange.md"
SIGNER = PrivateKey(Algorithm.ED25519, bytes(range(0x20, 0x40)))
STATEMENT = DeliveryStatement(
    bytes(range(0x60, 0x80)), bytes(range(0x95, 0xB5)), "hospital", Verdict.OPENED, "", 1_795_413_600_000_000
)
EXAMPLES = {
    "statement": STATEMENT.encode(),
    "signature": SIGNER.sign(STATEMENT.encode(), labels.DELIVERY_RECEIPT),
    "recipient": To("hospital", bytes(range(32))).encode(),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_shows_the_bytes(name: str) -> None:
    match = re.search(rf"<!-- {name} -->\n```\n([0-9a-f\n]+)```", PAGE.read_text())
    assert match is not None
    assert bytes.fromhex(match[1].replace("\n", "")) == EXAMPLES[name]
