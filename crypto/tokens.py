"""Random bearer secrets (API tokens, device passwords, one-time codes) and how they are stored.

They carry at least 128 bits of randomness, so a plain SHA-256 of them can be stored: there is nothing to
guess. Human-chosen passwords are not accepted anywhere.
"""

import hmac
import secrets
from hashlib import sha256


def new_token() -> str:
    """256 bits, URL-safe, 43 characters."""
    return secrets.token_urlsafe(32)


def new_code() -> str:
    """A one-time code to type: 130 bits in base 32 without look-alikes, in groups of five."""
    alphabet = "abcdefghjkmnpqrstvwxyz0123456789"
    letters = "".join(secrets.choice(alphabet) for _ in range(26))
    return "-".join(letters[i : i + 5] for i in range(0, 26, 5))


def fingerprint(token: str | bytes) -> bytes:
    """SHA-256 of a token, 32 bytes: what is stored. Text that no token can be still has one, so that it can
    be refused like any other wrong token."""
    return sha256(token.encode("utf-8", "surrogatepass") if isinstance(token, str) else token).digest()


def matches(token: str | bytes, stored: bytes) -> bool:
    """Constant-time comparison of a presented token with a stored fingerprint."""
    return hmac.compare_digest(fingerprint(token), stored)
