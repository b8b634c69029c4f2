"""To whom something goes, and one thing that goes there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.delivery.errors import DeliveryError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,159}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,1022}[\x21-\x7e])?")
MAX_HEADERS = 16
MAX_BODY_BYTES = 8 * 2**20
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of what waits for one target. When rows or bytes are reached the oldest delivery is put out, or with `refuse` the
    new one is not taken; one that is older than `age_s` is put out after a try that failed. All of it is loud."""

    rows: int = 100_000
    nbytes: int = 256 * 2**20
    age_s: float = 30 * DAY_S
    refuse: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A receiver. `name` is its queue: what is added under one name arrives in the order of adding. The URL, secret and
    headers that were given last count for all that waits. `secret` signs (empty: not signed). `configured`: the
    operator's own word, so that the rule for addresses does not bind it. `tls_ca`: a PEM file; its certificate is
    believed under this authority alone."""

    name: str
    url: str
    secret: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)  # of every request, an Authorization say
    configured: bool = False
    tls_ca: str = ""
    bounds: Bounds = Bounds()

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise DeliveryError(f"a target's name is 1 to 160 of A-Z a-z 0-9 . _ : / @ -, got {self.name!r:.80}")
        require_headers(self.headers)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One thing that waits. `message` is its id for the receiver, the same in every try; times are microseconds since
    1970."""

    id: int
    message: str
    added_us: int
    tries: int
    headers: Mapping[str, str]
    body: bytes


def require_headers(headers: Mapping[str, str]) -> None:
    """DeliveryError where these cannot stand in an HTTP request: nobody smuggles a line break into one."""
    if len(headers) > MAX_HEADERS:
        raise DeliveryError(f"at most {MAX_HEADERS} headers, got {len(headers)}")
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or not _VALUE.fullmatch(value):
            raise DeliveryError(f"{name!r:.80} is no header with a value of printable ASCII")
