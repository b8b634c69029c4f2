"""What carries deliveries: one line to each target, by the scheme of its URL.

A line blocks; it runs in a thread of the outbox's own. It is used by one thread at a time, and cut by another.
"""

from collections.abc import Callable
from threading import Lock
from typing import Protocol

from gateway.delivery.target import Delivery, Target


class Line(Protocol):
    """A way to one target."""

    def send(self, delivery: Delivery) -> None:
        """Returns when the receiver took it. SendError where it did not, OSError where it was not reached."""

    def cut(self) -> None:
        """End what is being sent, from another thread: it took too long, or the gateway stops."""

    def close(self) -> None: ...


Carrier = Callable[[Target], Line]  # opens the line; raises DeliveryError where the target is none for it


class MadeLater:
    """A carrier that is made when it is used first: what it loads, HTTP or mail with their TLS, costs a start much, and
    most gateways deliver nothing."""

    def __init__(self, maker: Callable[[], Carrier]) -> None:
        self._maker, self._lock = maker, Lock()  # targets have threads of their own
        self._made: Carrier | None = None

    def make(self) -> Carrier:
        with self._lock:
            self._made = self._made or self._maker()
            return self._made

    def __call__(self, target: Target) -> Line:
        return self.make()(target)
