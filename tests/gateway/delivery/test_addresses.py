"""The rule for addresses: what a subscriber can and cannot have the gateway talk to."""

import pytest

from gateway.delivery.addresses import AddressRule
from gateway.delivery.errors import AddressError

STRICT = AddressRule()
INSIDE = [
    "127.0.0.1", "10.1.2.3", "192.168.0.9", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
    "[::1]", "[fe80::1]", "[fc00::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::]",
]  # fmt: skip


@pytest.mark.parametrize("host", INSIDE)
def test_a_private_address_is_not_sent_to(host: str) -> None:
    with pytest.raises(AddressError):
        STRICT.require_url(f"https://{host}/hook")
    STRICT.require_url(f"https://{host}/hook", configured=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://partner.example/hook", "ftp://partner.example/", "file:///etc/passwd", "https:///hook", "https://", "",
        "https://user:word@partner.example/", "https://partner.example/#part", "https://partner.example/a b",
        "https://partner.example/\r\nx: y", "https://partner.example:port/", "https://pärtner.example/",
        "https://[::1", "https://partner.example/" + "a" * 2048,
    ],
)  # fmt: skip
def test_a_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(AddressError):
        STRICT.require_url(url)


def test_a_name_of_an_address_inside_is_found_out_when_it_is_looked_up() -> None:
    STRICT.require_url("https://localhost/hook")  # a name says nothing yet
    with pytest.raises(AddressError):
        STRICT.addresses("localhost", 443)
    assert STRICT.addresses("localhost", 443, configured=True)


def test_a_network_can_be_allowed() -> None:
    rule = AddressRule.of(True, ["10.0.0.0/8", "127.0.0.0/8"])
    rule.require_url("http://10.1.2.3/hook")
    assert rule.addresses("127.0.0.1", 80) == ["127.0.0.1"]
    with pytest.raises(AddressError):
        rule.require_url("http://192.168.0.1/")
    with pytest.raises(AddressError):
        AddressRule.of(True, ["10.0.0.0/33"])
