"""The checks that a drill runs over an altered copy: each is the program's own, and raises where it finds something.

A gateway is started on a copy only where its ledger is in the copy too; it listens on loopback, on free ports, without
witnesses and without a broker, so that nobody outside ever sees what it signs.
"""

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from chain.fsck import fsck
from chain.ledger.store import FILE as LEDGER
from chain.policy import parse_policy
from chain.receipt import parse_receipt
from chain.site import Folder
from chain.verify import Outcome, State, verify_receipt
from crypto.errors import SealtrailError
from gateway.access import Access
from gateway.config import Config
from gateway.drill.alteration import NotApplicableError, Trial
from gateway.drill.tables import FSCK, INDEX
from gateway.events.check import check_events
from gateway.index.check import check_index
from gateway.service import Gateway

Progress = Callable[[str, int, int], None]
Check = Callable[[Trial, Progress], None]
START, SECOND_START, KEPT_CHECKPOINT, VERIFY = "start", "second start", "fsck --checkpoint", "verify"
CHECKPOINT_FILE, RECEIPT_FILE, POLICY_FILE = "checkpoint", "receipt.json", "policy.txt"


class NotValidError(SealtrailError):
    """The offline verifier found a receipt not valid."""


def loopback_config(folder: Folder) -> Config:
    """A gateway on this folder alone, which nobody finds."""
    if not (folder.ledger / LEDGER).exists() and any(folder.ledger.glob("*.db")):
        raise NotApplicableError("the ledger is a channel of partners; a copy of a site never speaks to it")
    quiet = {"checkpoint_interval_s": 3600, "anchor_interval_s": 3600}
    return Config.model_validate({
        "origin": folder.origin, "data": folder.root, "front_door": {"port": 0}, "api": {"port": 0}, "log": quiet,
        "storage": {"max_bytes": 2**62, "reserve_bytes": 0},
    })  # fmt: skip


def _fsck(trial: Trial, progress: Progress) -> None:
    fsck(Folder.existing(trial.folder.root), progress)


def _kept_checkpoint(trial: Trial, progress: Progress) -> None:
    fsck(Folder.existing(trial.folder.root), progress, [(trial.kept / CHECKPOINT_FILE).read_bytes()])


def _index_check(trial: Trial, progress: Progress) -> None:
    with closing(Access(trial.folder)) as access:
        check_index(trial.folder, access.settings, progress)
        check_events(trial.folder, progress)


def _start(trial: Trial, progress: Progress) -> None:
    async def start() -> None:
        async with Gateway(loopback_config(trial.folder)):
            pass

    asyncio.run(start())


def _second_start(trial: Trial, progress: Progress) -> None:
    async def start() -> None:
        config = loopback_config(trial.folder)
        async with Gateway(config), Gateway(config):
            pass

    asyncio.run(start())


def _verify(trial: Trial, progress: Progress) -> None:
    require_valid(trial.kept)


def require_valid(kept: Path) -> None:
    """NotValidError, or an error of form, where the receipt in this folder does not prove everything."""
    policy = parse_policy((kept / POLICY_FILE).read_bytes())
    report = verify_receipt(parse_receipt((kept / RECEIPT_FILE).read_bytes()), policy)
    if report.outcome is not Outcome.VALID:
        said = [f"{step.name} {step.state}: {step.text}" for step in report.steps if step.state is not State.HOLDS]
        raise NotValidError("; ".join(said))


CHECKS: dict[str, Check] = {
    FSCK: _fsck, KEPT_CHECKPOINT: _kept_checkpoint, INDEX: _index_check, START: _start, SECOND_START: _second_start,
    VERIFY: _verify,
}  # fmt: skip
