"""Tells a session's own process from a copy of it that `fork` made: both would use the same nonces.

A snapshot of a whole machine cannot be told from inside; what holds then is written in docs/formats/session.md.
"""

import os
from dataclasses import dataclass, field

from crypto.session.errors import SessionEndedError

_forks = 0  # by Python's own fork, on the way to this process


def _count() -> None:
    global _forks  # noqa: PLW0603 - a fact about this process
    _forks += 1


os.register_at_fork(after_in_child=_count)


@dataclass(frozen=True, slots=True)
class Original:
    """The process in which this was made. By its number too, for forks that Python does not see."""

    _forks: int = field(default_factory=lambda: _forks)
    _process: int = field(default_factory=os.getpid)

    def check(self) -> None:
        """SessionEndedError in any other process."""
        if self._forks != _forks or self._process != os.getpid():
            raise SessionEndedError("this process is a fork of the one that made the session; make a new session in it")
