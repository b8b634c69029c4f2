"""Statements of recalls: strictly read, and nothing but what was signed is believed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import cbor
from crypto.errors import FormatError, SignatureError
from crypto.keys import Algorithm, PrivateKey
from gateway.recall.branches import Heard, added, passed_on, tiers, tree_of
from gateway.recall.errors import StatementError
from gateway.recall.statements import Answer, Counts, Heading, Notice, Tier, decode, encode, open_signed, signed

HEADING = Heading("maker.example/gw", "Shop", "ab" * 16, False, "https://id.gs1.org/01/09506000134352/10/AB")
NOTICE = Notice(HEADING, 1, "glass", 10, 5, 100, 1)
ANSWER = Answer(HEADING, 2, 7, True, 100, Counts(1, 2, 3, 4, 5, 6), Counts(9), 8, (Tier(2, 1, 1, 6),), 0, bytes(32))


@pytest.mark.parametrize("statement", [NOTICE, ANSWER])
def test_a_statement_comes_back_as_it_was_signed(statement: Notice | Answer) -> None:
    key = PrivateKey.generate(Algorithm.ED25519)
    opened = open_signed(signed(statement, key))
    assert opened.statement == statement
    opened.require_signed(key.public)
    with pytest.raises(SignatureError):
        opened.require_signed(PrivateKey.generate(Algorithm.ED25519).public)


@given(st.binary(max_size=200) | st.lists(st.integers() | st.text() | st.binary(), max_size=6).map(cbor.encode))
def test_whatever_comes_is_refused_in_one_way(body: bytes) -> None:
    with pytest.raises(StatementError, match="no statement of a recall"):
        open_signed(body)


@pytest.mark.parametrize(
    "bad",
    [
        replace(NOTICE, grade=4), replace(NOTICE, tier=0), replace(NOTICE, tier=17), replace(NOTICE, packs=-1),
        replace(NOTICE, reason="x" * 1001), replace(NOTICE, heading=replace(HEADING, lot="")),
        replace(ANSWER, root=b"short"), replace(ANSWER, tiers=(Tier(1, 2, 0, 0),)), replace(ANSWER, received=-1),
        replace(ANSWER, tiers=(Tier(1, 1, 1, 0),)), replace(ANSWER, own=Counts(-1)),
        replace(ANSWER, tiers=(Tier(1, 1, 0, 0),) * 17),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(bad: Notice | Answer) -> None:
    with pytest.raises(FormatError):
        decode(encode(bad))


def test_totals_and_tiers_add_up_without_names() -> None:
    key = PrivateKey.generate(Algorithm.ED25519)
    heard = [Heard(f"customer-{n}", bytes([n] * 16), signed(replace(ANSWER, number=n + 1), key)) for n in range(3)]
    assert passed_on(heard) == Counts(30, 6, 9, 12, 15, 18)
    assert tiers(5, 2, 9, heard) == (Tier(5, 3, 2, 9), Tier(6, 3, 3, 6))
    assert tree_of(heard) == tree_of(heard[::-1])
    assert tree_of(heard) != tree_of(heard[:2])
    assert ANSWER.claimed == max(100, 21 + 9 + 8)


def test_what_customers_say_makes_no_statement_that_nobody_reads() -> None:
    """As many tiers as there may be, and numbers as large as they may be, from several customers."""
    key, large = PrivateKey.generate(Algorithm.ED25519), 2**63 - 1
    all_large = Counts(*[large] * 6)
    silent, answered = (Tier(large, 0, large, 1), Tier(large, large, 0, 1))
    most = [
        replace(ANSWER, own=all_large, passed_on=Counts(large), unanswered=large, flagged=large, tiers=(t,) * 16)
        for t in (silent, answered, silent)
    ]  # fmt: skip
    heard = [Heard(f"customer-{n}", bytes([n] * 16), signed(one, key)) for n, one in enumerate(most)]
    ours = replace(
        ANSWER, passed_on=passed_on(heard), tiers=tiers(5, 2, 9, heard), flagged=added(h.answer.flagged for h in heard)
    )
    assert open_signed(signed(ours, key)).statement == ours
    assert (len(ours.tiers), ours.passed_on.sold, heard[0].answer.claimed) == (16, large, large)
