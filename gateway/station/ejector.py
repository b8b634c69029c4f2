"""Tells the machine behind the station to push a pack off the line: a program of the operator's.

No shell: the operator's command is split into words once, and nothing that was read from an image becomes part of it.
What was read goes to the program's standard input, as the JSON of the reject.
"""

import shlex
import subprocess
from typing import Final

from gateway.station.errors import StationError

TIMEOUT_S: Final = 5.0


class Ejector:
    """`command`: a program and its arguments as typed, such as `/usr/local/bin/eject --valve 3`."""

    def __init__(self, command: str) -> None:
        """Raises StationError where it cannot be split into words."""
        try:
            self._words = shlex.split(command)
        except ValueError as e:
            raise StationError(f"the command of --on-reject cannot be split into words: {e}") from e
        if not self._words:
            raise StationError("expected a program in --on-reject, got nothing")

    def eject(self, reject: bytes) -> None:
        """Run it and wait. Raises StationError: a reject that stays on the line must stop the line."""
        try:
            done = subprocess.run(
                self._words, input=reject, capture_output=True, timeout=TIMEOUT_S, check=False, shell=False
            )
        except (OSError, subprocess.TimeoutExpired) as e:
            raise StationError(f"the ejector {self._words[0]} did not run: {e}; the pack is not off the line") from e
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[-200:]
            raise StationError(
                f"the ejector {self._words[0]} ended with {done.returncode}: {said}; the pack is not off the line"
            )
