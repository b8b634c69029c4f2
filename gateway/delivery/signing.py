"""Signatures of webhooks, as Standard Webhooks 1.0.0 has them (standardwebhooks.com, "Symmetric signatures").

Trust boundary: whoever knows a target's secret. Its form leaves no room for a label, so such a secret is good for
nothing but this: it is one target's own, random, and used with no other HMAC.
"""

import base64
import binascii
import hmac
import secrets
import time
from collections.abc import Mapping, Sequence

from gateway.delivery.errors import WebhookError

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
PREFIX = "whsec_"
SECRET_BYTES = 32
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
TOLERANCE_S = 300


def new_secret() -> bytes:
    """32 random bytes."""
    return secrets.token_bytes(SECRET_BYTES)


def secret_text(secret: bytes) -> str:
    """As receivers are given it: `whsec_` and base64."""
    return PREFIX + base64.b64encode(secret).decode()


def secret_from(text: str) -> bytes:
    """The bytes of a secret that is written as base64, with or without `whsec_`; WebhookError where it is not one of 24
    to 64 bytes."""
    try:
        secret = base64.b64decode(text.strip().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as e:
        raise WebhookError(f"a webhook's secret is {PREFIX} and base64: {e}") from e
    if not MIN_SECRET_BYTES <= len(secret) <= MAX_SECRET_BYTES:
        raise WebhookError(f"a webhook's secret has {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes, got {len(secret)}")
    return secret


def signature(secret: bytes, message: str, at_s: int, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`."""
    mac = hmac.digest(secret, f"{message}.{at_s}.".encode() + body, "sha256")
    return "v1," + base64.b64encode(mac).decode()


def signed_headers(secret: bytes, message: str, at_s: int, body: bytes) -> dict[str, str]:
    """The three headers of one try; without a secret only the first two. `message` is the same in every try."""
    headers = {ID: message, TIMESTAMP: str(at_s)}
    if secret:
        headers[SIGNATURE] = signature(secret, message, at_s, body)
    return headers


def verify(
    known: Sequence[bytes], headers: Mapping[str, str], body: bytes, *, now_s: float | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> str:  # fmt: skip
    """The id of a webhook that came, signed with one of the known secrets. WebhookError otherwise.

    1. The three headers are there.
    2. Its time is no more than `tolerance_s` from now, so that what was recorded cannot be sent again later.
    3. One of its `v1` signatures is right for one of the secrets; compared in constant time.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    try:
        message, at, given = lowered[ID], int(lowered[TIMESTAMP]), lowered[SIGNATURE]
    except (KeyError, ValueError) as e:
        raise WebhookError(f"expected the headers {ID}, {TIMESTAMP} and {SIGNATURE}; {e} is not there or wrong") from e
    now = time.time() if now_s is None else now_s
    if abs(now - at) > tolerance_s:
        raise WebhookError(f"the webhook {message:.80} is of {at}, and it is {int(now)}; a copy of an old one?")
    right = [signature(secret, message, at, body).encode() for secret in known]
    shown = [one.encode() for one in given.split(" ") if one.startswith("v1,")]
    if not any(hmac.compare_digest(one, other) for one in shown for other in right):
        raise WebhookError(f"the webhook {message:.80} has no right signature; is the secret that of this sender?")
    return message
