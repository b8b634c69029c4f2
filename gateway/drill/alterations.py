"""All alterations of a drill: those of every table, those of whole files, and those of a whole history.

Each names the check that must find it. What nothing finds stands here too, with the reason, and is shown as such.
"""

import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from random import Random

from gateway.drill import files, history, rows
from gateway.drill.alteration import Alteration, Trial, not_done
from gateway.drill.checks import KEPT_CHECKPOINT, SECOND_START, START, VERIFY, loopback_config
from gateway.drill.tables import (
    FSCK,
    INDEX,
    INDEX_DB,
    INSERTED,
    LEDGER_DB,
    ONE_BYTE,
    REMOVED,
    SITE_DB,
    SWAPPED,
    TABLES,
    Table,
)

_Act = Callable[[sqlite3.Connection, Table, Random], str]
_ROLLED_BACK = "rolled back"
_NO_WITNESS = (
    "on one machine nothing can tell, as docs/threat-model.md says: keep checkpoints elsewhere, or use witnesses"
)


def _of_table(table: Table) -> Iterator[Alteration]:
    """One byte, a row less, two rows swapped, a row more, times shifted; and what of the table nothing guards."""
    place = f"{table.file} {table.name}"
    if table.guarded:
        for act in table.acts:
            yield Alteration(f"{place}: {act}", partial(_on_rows, _ACTS[act], table), table.check, table.says)
    for column in table.times:
        yield Alteration(f"{place}: {column} shifted", partial(_shift, table, column), table.check, table.says)
    if table.open:
        yield Alteration(f"{place}: the rest" if table.guarded else place, not_done, open=table.open)


def _on_rows(act: _Act, table: Table, trial: Trial) -> str:
    with rows.opened(trial.folder.root / table.file) as db:
        return act(db, table, trial.random)


_ACTS: dict[str, _Act] = {
    ONE_BYTE: lambda db, table, chance: rows.flip(db, table.name, table.guarded, table.rows, chance),
    REMOVED: lambda db, table, chance: rows.remove(db, table.name, table.rows, chance),
    SWAPPED: lambda db, table, chance: rows.swap(db, table.name, table.rows, chance),
    INSERTED: lambda db, table, chance: rows.insert(db, table.name, table.rows, chance),
}


def _shift(table: Table, column: str, trial: Trial) -> str:
    with rows.opened(trial.folder.root / table.file) as db:
        return rows.shift(db, table.name, column)


_REWRITES = {
    "all times shifted": history.later_times,
    "one removed": history.one_gone,
    "two swapped": history.two_swapped,
    "one inserted": history.one_more,
}


def _of_history() -> Iterator[Alteration]:
    for what, change in _REWRITES.items():
        name = f"records: {what}, tiles made to fit"
        yield Alteration(name, partial(history.rewrite, change), FSCK, "log|checkpoint of size")
        name = f"records: {what}, and signed anew with the site's keys"
        yield Alteration(name, partial(history.rewrite, change, sign=True), FSCK, "ledger|index of ranges")
    yield Alteration("older site.db beside the ledger", history.older_log, START, _ROLLED_BACK)
    yield Alteration("older site.db beside the ledger, not started", history.older_log, FSCK, "ledger's anchor is of")
    yield Alteration("older ledger beside site.db", history.older_ledger, START, _ROLLED_BACK)
    yield Alteration("older ledger beside site.db, not started", history.older_ledger, FSCK, "ledger does not hold it")
    yield Alteration("no ledger beside site.db", history.no_ledger, START, _ROLLED_BACK)
    yield Alteration(
        "older copy of everything, a checkpoint was kept", history.older_site, KEPT_CHECKPOINT, "kept check"
    )
    yield Alteration("older copy of everything, nothing was kept", not_done, open=_NO_WITNESS)


_KEYS = {
    "log-ed25519.pem": "checkpoint|key",
    "log-ml-dsa-44.pem": "checkpoint|key",
    "ledger-ed25519.pem": "ledger|key",
    "ledger-ml-dsa-44.pem": "ledger|key",
    "site.key": "segment",
}


def _of_files() -> Iterator[Alteration]:
    for key, says in _KEYS.items():
        yield Alteration(f"keys/{key}: one byte", partial(files.key_byte, key), FSCK, says)
    yield _started("keys/gateway.pem: one byte", partial(files.key_byte, "gateway.pem"), "gateway.pem|key")
    yield Alteration("keys/site.key: readable by others", files.key_for_all, FSCK, "site.key")
    yield Alteration("origin: another name", files.other_origin, FSCK, "no key is known for the log")
    for file, check in ((SITE_DB, FSCK), (LEDGER_DB, FSCK), (INDEX_DB, INDEX)):
        said = file.rpartition("/")[2]
        yield Alteration(f"{file}: no database", partial(files.no_database, file), check, said)
        yield Alteration(f"{file}: cut short", partial(files.cut_database, file), check, said)
    for file in (SITE_DB, LEDGER_DB):
        said, alter = file.rpartition("/")[2], partial(files.damaged_page, file)
        yield Alteration(f"{file}: a damaged page", alter, FSCK, said)
        yield Alteration(f"{file}: a trigger added", partial(files.trigger, file), FSCK, f"{said} holds a trigger")
        yield _started(f"{file}: a damaged page, started", alter, said)
    yield Alteration("receipt: one byte", files.receipt_byte, VERIFY)
    yield _started("two gateways on one folder", lambda trial: "the whole folder", "another gateway", SECOND_START)


def _started(name: str, alter: Callable[[Trial], str], says: str, check: str = START) -> Alteration:
    return Alteration(name, partial(_on_own_ledger, alter), check, says)


def _on_own_ledger(alter: Callable[[Trial], str], trial: Trial) -> str:
    """For a check that starts a gateway: not on the channel of partners."""
    loopback_config(trial.folder)
    return alter(trial)


ALL: tuple[Alteration, ...] = (*(a for table in TABLES for a in _of_table(table)), *_of_history(), *_of_files())
