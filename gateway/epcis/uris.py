"""What a URI is: RFC 3986, and here at most 2,048 characters.

Trust boundary: takes untrusted text.
"""

import re

from gateway.epcis.errors import EpcisError

MAX_URI_CHARS = 2_048
# Scheme; perhaps user, host and port, brackets only around an IPv6 address; path, query, fragment.
_URI = re.compile(
    r"[A-Za-z][A-Za-z0-9+.\-]*+:"
    r"(?://(?:[\w.~!$&'()*+,;=:%\-]*@)?(?:[\w.~!$&'()*+,;=%\-]*+|\[[0-9A-Fa-f:.]++\])(?::\d*+)?(?=[/?#]|\Z)|(?!//))"
    r"[\w.~!$&'()*+,;=:@%/\-]*+(?:\?[\w.~!$&'()*+,;=:@%/?\-]*+)?(?:#[\w.~!$&'()*+,;=:@%/?\-]*+)?",
    re.ASCII,
).fullmatch
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})").search


def require_uri(text: str) -> None:
    """Raises EpcisError for what is none, or is too long."""
    if len(text) > MAX_URI_CHARS or not _URI(text) or ("%" in text and _BAD_ESCAPE(text)):
        raise EpcisError(f"expected a URI (RFC 3986) of at most {MAX_URI_CHARS:,} characters, got {text!r:.80}")
