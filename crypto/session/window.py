"""A sliding window over sequence numbers (RFC 4303 section 3.4.3): each is accepted once, old ones never."""

from typing import Final

from crypto.session.errors import ReplayedError

WINDOW: Final = 1024


class ReplayWindow:
    """First `check`, then open the frame, then `mark`: a forged number must not move the window."""

    __slots__ = ("_next", "_seen")

    def __init__(self) -> None:
        self._next = 0  # above all that was marked
        self._seen = 0  # bit n: number `_next` - 1 - n was marked

    def check(self, seq: int) -> None:
        """ReplayedError where this number was marked, or lies below the window."""
        age = self._next - 1 - seq
        if age >= WINDOW or (age >= 0 and self._seen >> age & 1):
            raise ReplayedError(f"frame {seq} came before, or is more than {WINDOW} behind the newest")

    def mark(self, seq: int) -> None:
        """The frame of this number was opened."""
        ahead = seq + 1 - self._next
        if ahead > 0:
            self._seen = (self._seen << min(ahead, WINDOW) & (1 << WINDOW) - 1) | 1
            self._next = seq + 1
        else:
            self._seen |= 1 << -ahead
