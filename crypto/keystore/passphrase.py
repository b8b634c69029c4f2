"""Where a passphrase comes from: the environment, a systemd credential, or a person at a terminal, in this order.

It is asked for once in a process and only when a key is opened. Nothing here keeps it on disk.
"""

import getpass
import os
import sys
from pathlib import Path

from crypto.errors import KeyMaterialError

VARIABLE = "SEALTRAIL_PASSPHRASE"
CREDENTIAL = "sealtrail-passphrase"  # its name for LoadCredential= of systemd


class Passphrase:
    """Asks at most once. `new` asks a person twice, so that a slip does not lock him out."""

    def __init__(self, given: str | None = None) -> None:
        self._known = given

    def get(self, *, new: bool = False) -> bytes:
        """The passphrase in UTF-8; KeyMaterialError where nobody gives one."""
        if self._known is None:
            self._known = configured() or _asked(new)
        if not self._known:
            raise KeyMaterialError("an empty passphrase protects nothing; give one")
        return self._known.encode("utf-8", "surrogateescape")


def configured() -> str | None:
    """The passphrase that the environment or systemd gives; None where neither does."""
    if from_environment := os.environ.get(VARIABLE):
        return from_environment
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    file = Path(folder) / CREDENTIAL if folder else None
    if file is None or not file.exists():
        return None
    try:
        return file.read_text("utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as e:
        raise KeyMaterialError(f"cannot read the credential {CREDENTIAL}: {e}") from e


def _asked(new: bool) -> str:
    if not sys.stdin.isatty():
        raise KeyMaterialError(f"no passphrase: set {VARIABLE}, or load the systemd credential {CREDENTIAL}")
    try:
        given = getpass.getpass("passphrase: ")
        if new and getpass.getpass("again: ") != given:
            raise KeyMaterialError("the two passphrases differ; try again")
    except EOFError as e:
        raise KeyMaterialError("no passphrase was typed") from e
    return given
