"""Token buckets, one for each token and each address, in a table of fixed size.

A full table forgets the bucket that was used longest ago: it had filled up again meanwhile, or nearly. IPv6
addresses count by their /64, which is what one subscriber gets.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MAX_BUCKETS = 10_000


@dataclass(frozen=True, slots=True)
class RateLimits:
    """How many requests a second for ever, and how many at once after a pause."""

    per_second: float = 50.0
    burst: float = 200.0


class Buckets:
    """A bounded table of token buckets. Use it from one thread."""

    def __init__(self, limits: RateLimits, bound: int = MAX_BUCKETS, clock: Callable[[], float] = time.monotonic
                 ) -> None:  # fmt: skip
        self._limits, self._bound, self._clock = limits, bound, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, when

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str) -> float:
        """Take one token. Returns 0, or the seconds until there is one."""
        now = self._clock()
        left, since = self._buckets.pop(key, (self._limits.burst, now))
        left = min(self._limits.burst, left + (now - since) * self._limits.per_second)
        granted = left >= 1
        self._buckets[key] = (left - 1 if granted else left, now)
        if len(self._buckets) > self._bound:
            self._buckets.popitem(last=False)
        return 0.0 if granted else (1 - left) / self._limits.per_second


def address_key(host: str) -> str:
    """What of an address is counted together."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host[:64]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
