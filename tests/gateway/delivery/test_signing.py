"""Webhook signatures: the published known answer of Standard Webhooks, and forgeries."""

import pytest

from gateway.delivery import signing
from gateway.delivery.errors import WebhookError

# From the test vectors of the reference libraries of standardwebhooks.com.
SECRET = signing.secret_from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
MESSAGE, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
KNOWN = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_signature_is_the_published_one() -> None:
    assert signing.signature(SECRET, MESSAGE, AT, BODY) == KNOWN


def test_a_secret_is_written_and_read() -> None:
    secret = signing.new_secret()
    assert signing.secret_from(signing.secret_text(secret)) == secret
    assert signing.secret_from(signing.secret_text(secret).removeprefix("whsec_")) == secret


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_!!!!", "whsec_c2hvcnQ=", "whsec_" + "QUJD" * 30])
def test_what_is_no_secret_is_refused(text: str) -> None:
    with pytest.raises(WebhookError):
        signing.secret_from(text)


def _headers(**changed: str) -> dict[str, str]:
    sent = signing.signed_headers(SECRET, MESSAGE, AT, BODY)
    return {name.title(): changed.get(name.removeprefix("webhook-"), value) for name, value in sent.items()}


def test_what_was_signed_is_accepted_also_beside_another_signature() -> None:
    other = signing.new_secret()
    assert signing.verify([other, SECRET], _headers(), BODY, now_s=AT + 299) == MESSAGE
    assert signing.verify([SECRET], _headers(signature=f"v1,bm9wZQ== v2,x {KNOWN}"), BODY, now_s=AT) == MESSAGE


@pytest.mark.parametrize(
    ("headers", "body", "now"),
    [
        (_headers(), BODY + b" ", AT),
        (_headers(id="msg_other"), BODY, AT),
        (_headers(timestamp=str(AT + 1)), BODY, AT),
        (_headers(timestamp="soon"), BODY, AT),
        (_headers(signature="v1,bm9wZQ=="), BODY, AT),
        (_headers(signature="v1a" + KNOWN[2:]), BODY, AT),
        (_headers(), BODY, AT + 301),
        (_headers(), BODY, AT - 301),
        ({}, BODY, AT),
    ],
)
def test_a_forged_altered_or_old_one_is_refused(headers: dict[str, str], body: bytes, now: float) -> None:
    with pytest.raises(WebhookError):
        signing.verify([SECRET], headers, body, now_s=now)


def test_another_secret_does_not_do() -> None:
    with pytest.raises(WebhookError):
        signing.verify([signing.new_secret()], _headers(), BODY, now_s=AT)
