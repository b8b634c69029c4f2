"""Where reports may go, and how their receivers know that they are of this gateway."""

import hmac

from gateway.enquiry.errors import EnquiryError


def signed(secret: bytes, body: bytes) -> dict[str, str]:
    """The header GS1-Signature: HMAC-SHA256 of the body under the subscriber's token (EPCIS 2.0 section 12.8 leaves the
    scheme open). It is the same in every try; the outbox adds its own, with time and id."""
    if not secret:
        return {}
    return {"GS1-Signature": "sha256=" + hmac.digest(secret, body, "sha256").hex()}


def require_prefix(dest: str, prefixes: list[str]) -> None:
    """EnquiryError where the operator's list of destinations does not hold it. A prefix ends at a / or is all of it."""
    if prefixes and not any(dest == p or dest.startswith(p if p.endswith("/") else p + "/") for p in prefixes):
        raise EnquiryError(f"{dest!r:.200} is not among epcis.subscriber_prefixes")
