"""Exponential back-off with jitter: devices that lost the same gateway do not come back all at once."""

import secrets

_RANDOM = secrets.SystemRandom()
_MAX_DOUBLINGS = 32


class Backoff:
    """Delays in seconds: the n-th is between half and all of min(first · 2^n, longest)."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._failures = 0

    def next(self) -> float:
        """The delay after one more failure."""
        full = min(self._longest, self._first * 2.0 ** min(self._failures, _MAX_DOUBLINGS))
        self._failures += 1
        return full * _RANDOM.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Something worked."""
        self._failures = 0
