"""GS1 identifiers: EPC URNs and Digital Links become one form; what is misread is refused."""

import pytest

from gateway.epcis.errors import EpcisError
from gateway.epcis.identifiers import (
    Gs1Key,
    canonical,
    gtin_uri,
    lgtin_of,
    pgln_uri,
    sgln_uri,
    sgtin,
    sought,
    sscc_uri,
)

LINK = "https://id.gs1.org/"
# From the published answers of epcis-event-hash-generator (MIT): epclist_normalisation, epcisDocWithAllGS1Keys.
SAME = [
    ("urn:epc:id:sgtin:4012345.011111.9876", "01/04012345111118/21/9876"),
    ("urn:epc:id:sgtin:415056789012.0.987654", "01/04150567890128/21/987654"),
    ("urn:epc:id:sgtin:0614141.812345.6789%2F%26%25%22!%3F()", "01/80614141123458/21/6789%2F%26%25%22%21%3F%28%29"),
    ("urn:epc:id:sscc:4012345.3111111111", "00/340123451111111111"),
    ("urn:epc:id:sgln:4012345.00005.122", "414/4012345000054/254/122"),
    ("urn:epc:id:sgln:4012345.00005.0", "414/4012345000054"),
    ("urn:epc:id:grai:4012345.00022.334455", "8003/04012345000221334455"),
    ("urn:epc:id:giai:4012345.ABC345", "8004/4012345ABC345"),
    ("urn:epc:id:gsrn:4012345.0000006765", "8018/401234500000067657"),
    ("urn:epc:id:gsrnp:4012345.0000000007", "8017/401234500000000074"),
    ("urn:epc:id:gdti:4012345.00009.PO-4711", "253/4012345000092PO-4711"),
    ("urn:epc:id:gdti:987659999999..9", "253/98765999999929"),
    ("urn:epc:id:cpi:0614141.11111111111111-A%23%2F.1234", "8010/061414111111111111111-A%23%2F/8011/1234"),
    ("urn:epc:id:ginc:0614141.xyz47%2F11", "401/0614141xyz47%2F11"),
    ("urn:epc:id:gsin:4012345.222333444", "402/40123452223334442"),
    ("urn:epc:id:itip:4012345.011111.01.02.987", "8006/040123451111180102/21/987"),
    ("urn:epc:id:upui:1234567.098765.51qIgY)%3C%26Jp3*j7'SDB", "01/01234567987651/235/51qIgY%29%3C%26Jp3%2Aj7'SDB"),
    ("urn:epc:id:pgln:4000001.00000", "417/4000001000005"),
    ("urn:epc:id:pgln:999999999999.", "417/9999999999994"),
    ("urn:epc:id:sgcn:4012345.99999.44", "255/401234599999044"),
    ("urn:epc:class:lgtin:4012345.012345.Lot987", "01/04012345123456/10/Lot987"),
    ("urn:epc:idpat:sgtin:4054739.099914.*", "01/04054739999148"),
    ("urn:epc:idpat:grai:4012345.66666.*", "8003/04012345666663"),
    ("urn:epc:idpat:gdti:4012345.55555.*", "253/4012345555554"),
    ("urn:epc:idpat:sgcn:4012345.99999.*", "255/4012345999990"),
    ("urn:epc:idpat:cpi:4012345.ABC.*", "8010/4012345ABC"),
    ("urn:epc:idpat:itip:4012345.012345.01.02.*", "8006/040123451234560102"),
    ("https://id.gs1.org/gtin/09780345418913", "01/09780345418913"),
    ("https://example.com/gtin/09780345418913/21/765tz?abc=211121", "01/09780345418913/21/765tz"),
    ("https://example.com/01/9780345418913/22/cpv/10/lot/21/765tz", "01/09780345418913/21/765tz"),
    ("http://example.com/shop/01/09780345418913/22/cpv", "01/09780345418913"),
    ("https://id.gs1.org/01/09780345418913/21/a%28b", "01/09780345418913/21/a%28b"),
    ("https://id.gs1.org/01/09780345418913/21/a(b/", "01/09780345418913/21/a%28b"),
    ("HTTPS://id.gs1.org/01/09780345418913/21/a", "01/09780345418913/21/a"),
    ("URN:EPC:id:sgtin:4012345.011111.9876", "01/04012345111118/21/9876"),
    ("http://example.com/%30%31/09780345418913/%32%31/a", "01/09780345418913/21/a"),
]


@pytest.mark.parametrize(("given", "expected"), SAME)
def test_one_form(given: str, expected: str) -> None:
    assert canonical(given) == LINK + expected
    assert canonical(LINK + expected) == LINK + expected
    key = Gs1Key.parse(given)
    assert key is not None
    assert key.uri == LINK + expected


@pytest.mark.parametrize(
    "uri",
    [
        "urn:uuid:374d95fc-9457-4a51-bd6a-0bba133845a8", "http://transaction.acme.com/po/12345678", "geo:50.9,6.9",
        "urn:epc:id:gid:95100000.12345.400", "urn:epc:idpat:sgtin:4012345.*.*", "https://example.com/01/intro",
        "urn:epcglobal:cbv:bt:9520011111116:A123", "https://id.example.com/8003/030013450007718764/extra",
        "ni:///sha-256;00?ver=CBV2.0", "https://example.com/00/123", "https://[2001:db8::1]:8080/x?y#z",
    ],
)  # fmt: skip
def test_other_uris_stay(uri: str) -> None:
    assert canonical(uri) == uri
    assert Gs1Key.parse(uri) is None


@pytest.mark.parametrize(
    "uri",
    [
        "", "no uri", "urn", "http://a b/", "http://a/%zz", "urn:x:\n", "http://a/[", "x:" + "y" * 3_000, "9a:b",
        "https://id.gs1.org/01/09780345418914", "https://example.com/01/09780345418914/21/7",
        "https://id.gs1.org/00/040123450000003330", "https://example.com/gln/4012345000055",
        "HTTPS://id.gs1.org/01/09780345418914", "https://example.com/%30%31/09780345418914", "https://id.gs1.org/01/123",
        "https://id.gs1.org/", "https://id.gs1.org/99/12345678",
        "https://id.gs1.org/01/09780345418913/21", "https://id.gs1.org/01/09780345418913/21/" + "x" * 21,
        "https://id.gs1.org/01/09780345418913/21/a/10/b", "https://id.gs1.org/01/09780345418913/21/a/21/b",
        "https://id.gs1.org/01/09780345418913/21/%C3%A9", "https://id.gs1.org/253/4012345000055",
        "urn:epc:id:sgtin:4012345.01111.9876", "urn:epc:id:sgtin:4012345.0111111.9876",
        "urn:epc:id:sgtin:4012345.011111",
        "urn:epc:id:sgtin:4012345.011111." + "9" * 21, "urn:epc:id:sgtin:40123.01111111.1", "urn:epc:id:sgtin:",
        "urn:epc:id:sgtin:4012345.01111x.1", "urn:epc:id:sgtin:4012345.01111².1", "urn:epc:id:sgtin:4012345.011111.a/b",
        "urn:epc:id:sgtin:4012345.011111.%00", "urn:epc:id:sscc:4012345.000000033", "urn:epc:id:sscc:4012345.0.1",
        "urn:epc:id:cpi:4012345.abc.1", "urn:epc:id:cpi:4012345.ABC.x", "urn:epc:id:itip:4012345.011111.1.02.9",
        "urn:epc:id:sgcn:4012345.99999.x", "urn:epc:class:lgtin:4012345.012345.",
    ],
)  # fmt: skip
def test_what_is_misread_is_refused(uri: str) -> None:
    with pytest.raises(EpcisError):
        canonical(uri)


@pytest.mark.parametrize(
    "uri",
    [
        *(f"https://id.gs1.org/01/09506000134352/21/{end}" for end in (
            "%", "%zz", "1%2", 'a"b', "<b>", '1?a b<>"', "1?%g0", "1#\n", "1\n", "1?" + "x" * 5_000,
            "1?" + "x" * (2_049 - 42), "1#a#b", "1?é",
        )),
        *(f"{start}/01/09506000134352/21/1" for start in (
            "https://exämple.com", "https://ex<am>ple.com", "https://user:pw@@x", "https://x:port", "https://[::1",
            "https://a[b]", 'https://id.gs1.org/a"b', "https://example.com/%q0", "HTTPS://ex|ample.com",
        )),
    ],
)  # fmt: skip
def test_a_digital_link_is_a_uri(uri: str) -> None:
    with pytest.raises(EpcisError):
        canonical(uri)
    with pytest.raises(EpcisError):
        Gs1Key.parse(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "https://id.gs1.org/01/09506000134352/21/1?" + "x" * (2_048 - 42), "https://[2001:db8::1]:8080/01/09506000134352/21/1",
        "https://user:pw@example.com:8443/01/09506000134352/21/1?a=b&c=%20#d?e", "http://xn--exmple-cua.com/01/9506000134352/21/1",
    ],
)  # fmt: skip
def test_all_that_a_uri_may_have(uri: str) -> None:
    assert canonical(uri) == LINK + "01/09506000134352/21/1"


@pytest.mark.parametrize(
    "path", ["8003/030013450007718765", "8003/952012200000001004", "253/4012345000091PO%2F7", "255/401234599999144"]
)
def test_what_another_domain_made_canonical_is_found(path: str) -> None:
    """Nobody verifies those check digits there, so the canonical form is taken where it is asked for."""
    made = canonical(f"https://id.example.com/{path}")
    assert made == LINK + path
    assert sought(made) == made
    with pytest.raises(EpcisError, match="check digit"):
        canonical(made)
    with pytest.raises(EpcisError, match="check digit"):
        sought(f"{made}?")


@pytest.mark.parametrize("path", ["01/09780345418914", "00/040123450000003330", "414/4012345000055", "253/40123"])
def test_what_nobody_makes_canonical_is_not_asked_for(path: str) -> None:
    with pytest.raises(EpcisError):
        sought(LINK + path)
    assert sought("urn:epc:id:sgtin:4012345.011111.9876") == LINK + "01/04012345111118/21/9876"


def test_a_key_says_what_it_identifies() -> None:
    key = Gs1Key.parse("https://id.gs1.org/01/09780345418913/10/L%2F1/21/S1")
    assert key is not None
    assert (key.kind, key.gtin, key.lot, key.serial, key.sscc, key.gln) == (
        "sgtin", "09780345418913", "L/1", "S1", None, None,
    )  # fmt: skip
    place = Gs1Key.parse("urn:epc:id:sgln:4012345.00005.122")
    assert place is not None
    assert (place.kind, place.gln, place.extension) == ("sgln", "4012345000054", "122")
    kinds = {"urn:epc:id:sscc:4012345.3111111111": "sscc", "urn:epc:id:grai:4012345.00022.3": "grai",
             "urn:epc:class:lgtin:4012345.012345.L": "lgtin", "urn:epc:idpat:sgtin:4012345.012345.*": "gtin",
             "urn:epc:id:pgln:4000001.00000": "pgln", "urn:epc:id:itip:4012345.011111.01.02.987": "itip"}  # fmt: skip
    for uri, kind in kinds.items():
        found = Gs1Key.parse(uri)
        assert found is not None
        assert found.kind == kind


def test_builders() -> None:
    assert lgtin_of("9780345418913", "L/1") == LINK + "01/09780345418913/10/L%2F1"
    assert sgtin("09780345418913", "S 1".replace(" ", "+")) == LINK + "01/09780345418913/21/S%2B1"
    assert gtin_uri("96385074") == LINK + "01/00000096385074"
    assert sscc_uri("340123451111111111") == LINK + "00/340123451111111111"
    assert sgln_uri("4012345000054", "1") == LINK + "414/4012345000054/254/1"
    assert pgln_uri("4000001000005") == LINK + "417/4000001000005"
    for wrong in (lambda: sgtin("09780345418914", "1"), lambda: lgtin_of("9780345418913", ""), lambda: sscc_uri("1")):
        with pytest.raises(EpcisError):
            wrong()
