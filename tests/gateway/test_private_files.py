"""Files that nobody but the gateway's user may read, whatever the umask; each says so where it cannot be made."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chain.errors import StoreError
from gateway.alarms.store import AlarmStore
from gateway.capture.jobs import Jobs
from gateway.coldchain.store import ShipmentStore
from gateway.consumer.scans import Scans
from gateway.custody.database import Store
from gateway.delivery.store import OutboxStore
from gateway.enquiry.standing import Standing
from gateway.index.following import _open
from gateway.recall.book import Book

STORES: dict[str, Callable[[Path], Any]] = {
    "alarms": AlarmStore,
    "captures": lambda folder: Jobs(folder / "captures.db"),
    "coldchain": ShipmentStore,
    "scans": Scans,
    "custody": Store,
    "outbox": lambda folder: OutboxStore(folder / "outbox.db"),
    "queries": lambda folder: Standing(folder / "queries.db"),
    "index": lambda folder: _open(folder / "index.db", "index", (), 1),
    "recall": Book,
}


@contextmanager
def opened(name: str, folder: Path) -> Iterator[Any]:
    store = STORES[name](folder)
    try:
        yield store
    finally:
        store.close()


@pytest.fixture(autouse=True)
def open_to_all() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("name", STORES)
def test_what_is_private_is_so_with_its_journals(name: str, tmp_path: Path) -> None:
    with opened(name, tmp_path):
        found = {file.name: oct(file.stat().st_mode & 0o777) for file in tmp_path.iterdir()}
    assert len(found) == 3
    assert set(found.values()) == {"0o600"}, found


@pytest.mark.parametrize("name", STORES)
def test_where_it_cannot_be_made_the_error_is_ours(name: str, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    said = (
        rf"cannot open \w+\.db in {re.escape(str(missing))}: No such file or directory; see whose the data directory is"
    )
    with pytest.raises(StoreError, match=said), opened(name, missing):
        pass
