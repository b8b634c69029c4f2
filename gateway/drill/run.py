"""Runs a drill: for each alteration a fresh copy, the alteration, the check that must find it, and what it said.

Nothing counts as found that is found on an untouched copy too, so every check passes on one first. What ends with
another exception than the program's own errors is a fault, not a find.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from chain.site import Folder
from crypto.errors import SealtrailError
from gateway.drill.alteration import Alteration, NotApplicableError, Trial
from gateway.drill.checks import CHECKS, START
from gateway.drill.copies import copy_folder, copy_site
from gateway.drill.tables import FSCK, INDEX

Progress = Callable[[str, int, int], None]


class DrillError(SealtrailError):
    """The drill cannot be done: the site is not whole as it is, or there is no room for copies."""


class Outcome(StrEnum):
    """What came of one alteration."""

    CAUGHT = "caught"
    PASSED = "NOT CAUGHT"  # the check found nothing, or does not say where
    FAULT = "FAULT"  # a check ended with a stack trace, or the alteration itself did
    NOT_APPLICABLE = "not applicable"
    OPEN = "not guarded"  # by design

    @property
    def bad(self) -> bool:
        return self in (Outcome.PASSED, Outcome.FAULT)


@dataclass(frozen=True, slots=True)
class Result:
    """One alteration: where it was done, which check was run, and what that said (or why nothing was done)."""

    alteration: str
    where: str
    check: str
    outcome: Outcome
    said: str


class Drill:
    """A drill on copies of one site, which it only reads. Use as a context manager: copies go at its end."""

    def __init__(self, folder: Folder, seed: str, scratch: Path | None, progress: Progress) -> None:
        """`scratch`: where copies are made, each as large as the site; two at a time. None: the temporary folder."""
        self._site, self._seed, self._progress = folder, seed, progress
        self._temporary = TemporaryDirectory(prefix="sealtrail-drill-", dir=scratch)

    def __enter__(self) -> "Drill":
        try:
            self._copy = copy_site(self._site, Path(self._temporary.name) / "untouched", self._progress)
            self._require_whole()
        except BaseException:
            self._temporary.cleanup()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._temporary.cleanup()

    def _require_whole(self) -> None:
        for name in (FSCK, START, *((INDEX,) if self._copy.index.exists() else ())):
            try:
                with self._trial("untouched") as trial:
                    CHECKS[name](trial, self._progress)
            except NotApplicableError:
                continue
            except SealtrailError as e:
                raise DrillError(f"the site is not whole before anything was altered; {name} says: {e}") from e

    @contextmanager
    def _trial(self, name: str) -> Iterator[Trial]:
        with TemporaryDirectory(dir=self._temporary.name) as folder:
            kept = Path(folder) / "kept"
            kept.mkdir()
            copy = copy_folder(self._copy, Path(folder) / "site")
            yield Trial(copy, self._copy, kept, Random(f"{self._seed} {name}"))  # noqa: S311 - places, no secrets

    def run(self, alterations: Sequence[Alteration]) -> Iterator[Result]:
        """One result for each, in order."""
        for alteration in alterations:
            if not alteration.check:
                yield Result(alteration.name, "", "", Outcome.OPEN, alteration.open)
                continue
            with self._trial(alteration.name) as trial:
                yield self._one(alteration, trial)

    def _one(self, alteration: Alteration, trial: Trial) -> Result:
        try:
            where = alteration.alter(trial)
        except NotApplicableError as e:
            return Result(alteration.name, "", alteration.check, Outcome.NOT_APPLICABLE, str(e))
        except Exception as e:  # one that cannot be done must not end the drill, nor count as caught
            said = f"it could not be done: {type(e).__name__}: {e}"
            return Result(alteration.name, "", alteration.check, Outcome.FAULT, said)
        outcome, said = self._checked(alteration, trial)
        return Result(alteration.name, where, alteration.check, outcome, said)

    def _checked(self, alteration: Alteration, trial: Trial) -> tuple[Outcome, str]:
        try:
            CHECKS[alteration.check](trial, self._progress)
        except SealtrailError as e:
            if re.search(alteration.says, str(e)):
                return Outcome.CAUGHT, str(e)
            return Outcome.PASSED, f"refused without a word of the place ({alteration.says}): {e}"
        except Exception as e:  # the program's own errors are caught above; any other is a fault of a check
            return Outcome.FAULT, f"{type(e).__name__}: {e}"
        return Outcome.PASSED, "it found nothing"
