"""Digital Links and element strings: each out of the other, whatever the lot and serial."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.epcis.digital_link import (
    GS,
    bracketed,
    elements_of_link,
    key_of,
    link,
    link_of_elements,
    parse,
    read_elements,
    write_elements,
)
from gateway.epcis.errors import EpcisError
from gateway.epcis.identifiers import Gs1Key, canonical, lgtin_of, sgtin
from gateway.preprocess.gs1 import check_digit

CHARSET = string.ascii_letters + string.digits + "!\"%&'()*+,-./:;<=>?_"
TEXTS = st.text(CHARSET, min_size=1, max_size=20)
GTINS = st.from_regex(r"\A[0-9]{13}\Z").map(lambda body: f"{body}{check_digit(body)}")
EXPIRIES = st.dates().map(lambda day: f"{day:%y%m%d}")


@given(gtin=GTINS, lot=TEXTS, serial=TEXTS, expiry=EXPIRIES)
def test_a_datamatrix_and_a_digital_link_say_the_same(gtin: str, lot: str, serial: str, expiry: str) -> None:
    elements = (("01", gtin), ("17", expiry), ("10", lot), ("21", serial))
    scanned = write_elements(elements)
    assert read_elements(scanned) == elements
    assert read_elements("]d2" + scanned) == elements
    url = link_of_elements(read_elements(scanned), "https://example.com/x")
    assert dict(elements_of_link(url)) == dict(elements)
    assert dict(read_elements(write_elements(elements_of_link(url)))) == dict(elements)
    assert key_of(elements) == parse(url)
    assert parse(url).uri == canonical(url) == sgtin(gtin, serial)


@given(gtin=GTINS, lot=TEXTS)
def test_a_lot(gtin: str, lot: str) -> None:
    key = key_of((("01", gtin), ("10", lot)))
    assert (key.kind, key.gtin, key.lot) == ("lgtin", gtin, lot)
    assert key.uri == lgtin_of(gtin, lot) == canonical(link(key, "http://example.com"))
    assert Gs1Key.parse(key.uri) == key


def test_what_scanners_send() -> None:
    expected = (("01", "09506000134352"), ("17", "280131"), ("10", "AB-1"), ("21", "1"))
    text = "01095060001343521728013110AB-1" + GS + "211"
    for scanned in (text, "]d2" + text, "]Q3" + text, GS + text, bracketed(expected), text + GS):
        assert read_elements(scanned) == expected
    assert write_elements(expected) == text
    assert read_elements("00340123451111111111") == (("00", "340123451111111111"),)


@pytest.mark.parametrize(
    "scanned",
    [
        "", "x", "0109506000134353", "010950600013435", "(01)09506000134353", "(01)09506000134352(10)", "()", "(01)",
        "01095060001343521799133110AB", "(01)09506000134352(01)09506000134352", "9" * 600, GS, "(10)" + "x" * 21,
    ],
)  # fmt: skip
def test_what_is_misread_is_refused(scanned: str) -> None:
    with pytest.raises(EpcisError):
        read_elements(scanned)


@pytest.mark.parametrize("url", ["", "https://example.com/", "x" * 3_000, "https://id.gs1.org/01/09506000134353"])
def test_what_is_no_digital_link_is_refused(url: str) -> None:
    with pytest.raises(EpcisError):
        parse(url)
    with pytest.raises(EpcisError):
        key_of((("10", "AB"), ("17", "280131")))
