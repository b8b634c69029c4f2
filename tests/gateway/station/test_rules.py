"""The rules of the comparison, without images: printed dates, look-alikes, titles."""

from datetime import date
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.station.code import Code
from gateway.station.confusable import by_pattern, checked_pattern, fits, look_the_same
from gateway.station.dates import printed_date
from gateway.station.errors import StationError
from gateway.station.ocr import Line
from gateway.station.printed import find_expiry, find_lot
from gateway.station.verdict import compare

TODAY = date(2026, 11, 30)
DAY = date(2029, 4, 30)
CODE = Code("", "", {"gtin": "09506000134352", "lot": "L2611A", "expiry": "290430", "serial": "S"}, "", DAY)
FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%d-%m-%y", "%d %b %Y", "%d%b%Y", "%d %B %y",
           "%Y%m%d", "%y%m%d", "%Y年%m月%d日")  # fmt: skip
MONTHS = ("%m/%Y", "%m.%Y", "%m-%y", "%Y-%m", "%Y/%m", "%b %Y", "%b %y", "%B%Y", "%Y年%m月")


def line(text: str, left: float = 0, top: float = 0, score: float = 0.99) -> Line:
    return Line(text, score, left, top, left + 10 * len(text), top + 20)


@given(st.dates(date(2000, 1, 1), date(2076, 12, 31)), st.sampled_from(FORMATS))
def test_a_printed_date_is_read_as_it_was_meant(day: date, form: str) -> None:
    assert printed_date(day.strftime(form), TODAY.year) == day


@given(st.integers(2000, 2076), st.integers(1, 12), st.sampled_from(MONTHS))
def test_a_month_is_its_last_day(year: int, month: int, form: str) -> None:
    text = date(year, month, 1).strftime(form)
    last = date(year + month // 12, month % 12 + 1, 1).toordinal() - 1
    assert printed_date(text, TODAY.year) == date.fromordinal(last)


@pytest.mark.parametrize(
    ("text", "said"),
    [("2O29-O4-3O", DAY), ("3O APR 2029", DAY), ("APR 2O29", DAY), ("2029-04-3I", None), ("2029-13-01", None),
     ("30 FEB 2029", None), ("", None), ("soon", None), ("2029", None), ("04/30/2029", None), ("1234567", None)],
)  # fmt: skip
def test_dates_as_readers_of_text_get_them(text: str, said: date | None) -> None:
    assert printed_date(text, TODAY.year) == said


@settings(max_examples=40)
@given(st.text(max_size=40))
def test_no_text_is_too_odd_to_be_no_date(text: str) -> None:
    printed_date(text, TODAY.year)


def _reasons(lot: str, expiry: str, pattern: str | None = None, score: float = 0.99) -> list[str]:
    lines = [line(f"LOT {lot}", score=score), line(f"EXP {expiry}", top=40)]
    return [reason.name for reason in compare(CODE, lines, TODAY, pattern).reasons]


@given(st.text("ABIL01O5S2ZQD6G8B", min_size=1, max_size=8))
def test_without_a_pattern_nothing_but_the_same_lot_passes(printed: str) -> None:
    assert (_reasons(printed, "2029-04-30") == []) == (printed == "L2611A")


def test_what_only_looks_alike_is_unclear_and_with_a_pattern_put_right() -> None:
    assert _reasons("L26I1A", "2029-04-30") == ["lot-unclear"]
    assert _reasons("L26I1A", "2029-04-30", "L####@") == []
    assert _reasons("L2612A", "2029-04-30", "L####@") == ["lot-mismatch"]
    assert _reasons("L2611A", "2029-04-30", "L#####") == ["lot-pattern"]


@given(st.text("0123456789ABDGILOQSZ", min_size=6, max_size=6))
def test_a_pattern_never_makes_another_lot_of_its_own_kind_pass(printed: str) -> None:
    """Two lots that both fit the pattern stay different, whatever is put right."""
    for pattern in ("L####@", "######", "@@@@@@"):
        if fits(printed, pattern):
            assert by_pattern(printed, pattern) == printed


def test_a_printed_value_is_taken_beside_or_below_its_title_only() -> None:
    apart = [line("LOT"), line("L2611A", left=60), line("EXP", top=40), line("04/2029", top=65)]
    assert compare(CODE, apart, TODAY).decision == "accept"
    no_titles = [line("L2611A"), line("2029-04-30", top=40)]
    assert [r.name for r in compare(CODE, no_titles, TODAY).reasons] == ["lot-unreadable", "expiry-unreadable"]
    far = [line("LOT"), line("L2611A", left=60, top=100), line("EXP 2029-04-30", top=300)]
    assert [r.name for r in compare(CODE, far, TODAY).reasons] == ["lot-unreadable"]
    assert find_lot([line("LOTION 200 ml")]) is None
    assert find_expiry([line("EXPORT")]) is None


def test_chinese_and_german_titles() -> None:
    for lot, expiry in product(("批号：", "产品批号:", "Ch.-B.:", "LOT No."), ("有效期至 ", "verw. bis ", "EXP. ")):
        lines = [line(f"{lot}L2611A"), line(f"{expiry}2029年04月", top=40)]
        assert compare(CODE, lines, TODAY).decision == "accept", (lot, expiry)


def test_what_was_read_without_certainty_does_not_pass() -> None:
    assert _reasons("L2611A", "2029-04-30", score=0.79) == ["lot-unclear"]
    assert _reasons("L2611A", "2029-04-30", score=0.8) == []


@pytest.mark.parametrize("pattern", ["", "L" * 21, "L 1", "Lü", "L\n"])
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(StationError, match="lot pattern"):
        checked_pattern(pattern)


def test_look_alikes() -> None:
    assert look_the_same("B0ZS1", "8OZ5l")
    assert not look_the_same("A", "4")
