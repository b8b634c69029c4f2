"""What one alteration is, and the copy that it is done to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from chain.site import Folder
from crypto.errors import SealtrailError


class NotApplicableError(SealtrailError):
    """The site has nothing that could be altered in this way."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A fresh copy of the site, an untouched one to take from, a folder for what somebody kept, and the chance by
    which places are chosen."""

    folder: Folder
    untouched: Folder
    kept: Path
    random: Random


@dataclass(frozen=True, slots=True)
class Alteration:
    """`alter` does it and says where; the check of this name must find it with a message that matches `says`. Without
    a check nothing finds it, for the reason in `open`, and it is not done."""

    name: str
    alter: Callable[[Trial], str]
    check: str = ""
    says: str = ""
    open: str = ""


def not_done(trial: Trial) -> str:
    """Stands where nothing would find the alteration."""
    raise NotApplicableError("it is not done, because no check looks at it")
