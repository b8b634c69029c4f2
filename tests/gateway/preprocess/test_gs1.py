"""GS1 check digits, dates and character set, against published examples and against biip."""

from datetime import date

import biip
import pytest
from biip.gtin import Gtin
from hypothesis import given
from hypothesis import strategies as st

from gateway.preprocess.errors import PayloadRejected
from gateway.preprocess.gs1 import check_digit, expiry_date, full_year, gtin14


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6291041500213", "06291041500213"),  # GS1's page on calculating check digits
        ("4006381333931", "04006381333931"),
        ("036000291452", "00036000291452"),  # a UPC-A
        ("73513537", "00000073513537"),  # a GTIN-8
        ("09506000134352", "09506000134352"),  # GS1's example prefix
        ("10614141543219", "10614141543219"),  # GS1 EPCIS examples
    ],
)
def test_gtins(text: str, expected: str) -> None:
    assert gtin14(text) == expected


@given(st.text("0123456789", min_size=13, max_size=13))
def test_check_digits_agree_with_biip(body: str) -> None:
    gtin = body + str(check_digit(body))
    assert Gtin.parse(gtin14(gtin)).as_gtin_14() == gtin


@given(st.text("0123456789", min_size=13, max_size=13), st.integers(0, 13), st.integers(1, 9))
def test_every_single_misread_digit_is_caught(body: str, position: int, change: int) -> None:
    gtin = body + str(check_digit(body))
    misread = gtin[:position] + str((int(gtin[position]) + change) % 10) + gtin[position + 1 :]
    with pytest.raises(PayloadRejected, match="check digit"):
        gtin14(misread)


@pytest.mark.parametrize("text", ["", "1", "123456789", "4006381333931a", "4006381333931\n", "٤006381333931"])
def test_what_is_not_a_gtin(text: str) -> None:
    with pytest.raises(PayloadRejected, match="expected a GTIN"):
        gtin14(text)


@pytest.mark.parametrize(
    ("text", "year", "expected"),
    [
        ("2027-12-31", 2026, date(2027, 12, 31)),
        ("271231", 2026, date(2027, 12, 31)),
        ("271200", 2026, date(2027, 12, 31)),  # day 00 is the end of the month
        ("280200", 2026, date(2028, 2, 29)),
        ("270200", 2026, date(2027, 2, 28)),
        ("760101", 2026, date(2076, 1, 1)),  # 50 years ahead
        ("770101", 2026, date(1977, 1, 1)),  # 51 ahead is 49 back
        ("010101", 2095, date(2101, 1, 1)),
        ("460101", 2095, date(2046, 1, 1)),  # 49 back
        ("450101", 2095, date(2145, 1, 1)),  # 50 back is 50 ahead
    ],
)
def test_expiry(text: str, year: int, expected: date) -> None:
    assert expiry_date(text, year) == expected


@given(st.integers(0, 99), st.integers(2000, 2199))
def test_a_two_digit_year_lies_49_back_to_50_ahead(yy: int, current: int) -> None:
    year = full_year(yy, current)
    assert year % 100 == yy
    assert -49 <= year - current <= 50


@given(st.dates(date(2000, 1, 1), date(2060, 12, 31)))
def test_yymmdd_agrees_with_biip(day: date) -> None:
    text = f"{day:%y%m%d}"
    message = biip.parse(f"]d217{text}").gs1_message
    assert message is not None
    assert message.element_strings[0].date == expiry_date(text, date.today().year)


@pytest.mark.parametrize(
    "text", ["", "271332", "270001", "270230", "2027-02-30", "0000-01-01", "20271231", "2027-W01-1"]
)
def test_what_is_not_a_date(text: str) -> None:
    with pytest.raises(PayloadRejected, match="expiry"):
        expiry_date(text, 2026)
