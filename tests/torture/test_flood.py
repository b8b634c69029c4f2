"""One source floods at full speed: another that sends one event at a time is served in the next commits.

Counted in commits, never in seconds. The flood is made to fill a queue: four threads, no acknowledgements to wait for
(QoS 0), a new connection as soon as the bounds of the old one are reached, and half of it is refused input.
"""

import contextlib
import threading
from pathlib import Path

from chain.record import Record
from chain.site import Folder, SiteReader
from chain.store.database import Database
from chain.store.notices import MAX_ROWS, SCHEMA, Notices
from tests.e2e.programs import Up, until
from tests.gateway.ingest.mqtt_support import DISCONNECT, Raw, publish
from tests.support.source import Source
from tests.torture.doors import Device, enrolled, metrics, plain, unshaken
from tests.torture.scale import long_only, scaled

THREADS = 4
BURST = 3000  # messages in one connection
POLITE_EVENTS = scaled(5, 2000)
QUEUE_BYTES = 8 << 20  # some 27,000 messages of the flood: seven commits, if they were taken in the order they came
MAX_COMMITS_EACH = 4  # the one in flight when it was sent, its own, and two for a slow client
MIN_FLOOD_EACH = 500  # of a batch of at most 4096: less is no flood


def _flood(gateway: Up, device: Device, stop: threading.Event) -> None:
    name = device.source.name
    good = publish(f"st/1/{name}/plain/reading", b'[{"n":"t","u":"Cel","v":5}]', v5=True, first=0x30)
    bad = publish(f"st/1/{name}/plain/reading", b"[" * 40, v5=True, first=0x30)
    stream = device.connect(client_id="") + (good + bad) * (BURST // 2) + DISCONNECT
    while not stop.is_set():
        with Raw(int(gateway.where["mqtt_port"])) as client, contextlib.suppress(ConnectionError):
            client.socket.settimeout(60)  # it is held back, and may wait
            client.send(stream)
            while client.socket.recv(65536):
                pass


def _commits(data: Path, polite: str) -> tuple[int, int, int]:
    """From the first to the last event of the polite source: its events, all events, and the commits they came in."""
    reader = SiteReader.open(Folder(data))
    records = [Record.decode(entry) for entry in reader.entries.entries(0, reader.entries.size())]
    reader.close()
    mine = [n for n, record in enumerate(records) if record.source == polite]
    between = records[mine[0] : mine[-1] + 1]
    return len(mine), len(between), len({record.logged_us for record in between})


@long_only
def test_a_flood_delays_nobody_else(tmp_path: Path) -> None:
    stop = threading.Event()
    with unshaken(tmp_path, f"[pipeline]\nqueue_bytes = {QUEUE_BYTES}") as gateway:
        flooding, polite = plain(gateway, "flood"), enrolled(gateway, Source("polite"))
        threads = [threading.Thread(target=_flood, args=(gateway, flooding, stop)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            until(lambda: metrics(gateway)["sealtrail_queued_bytes"] > 1_000_000, 60)
            with polite.login() as client:
                for _ in range(POLITE_EVENTS):
                    polite.send_one(client)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        until(lambda: not metrics(gateway)["sealtrail_queued_bytes"], 60)
    sent, events, commits = _commits(gateway.data, "polite")
    print(f"{sent} polite events, {commits} commits, {events - sent} events of the flood")
    assert sent == POLITE_EVENTS
    assert commits <= MAX_COMMITS_EACH * sent
    assert events - sent >= MIN_FLOOD_EACH * commits // 2, "that was no flood: the test proves nothing"


def test_a_refusal_costs_the_same_when_the_table_is_full(tmp_path: Path) -> None:
    """Counted in steps of SQLite's machine: reading the whole table for each refusal takes ten thousands."""
    with contextlib.closing(Database(tmp_path / "site.db", SCHEMA)) as db:
        notices, steps = Notices(db), 0

        def count() -> int:
            nonlocal steps
            steps += 10
            return 0

        for filled in (False, True):
            with db.transaction() as tx:
                for number in range(MAX_ROWS + 10 if filled else 1):
                    notices.refuse(tx, number, "flood", "front", "events", "junk", number.to_bytes(64, "big"))
                db.connection.set_progress_handler(count, 10)
                notices.refuse(tx, 1, "flood", "front", "events", "junk", b"one more, full: %d" % filled)
                db.connection.set_progress_handler(None, 10)
        assert notices.counts()["dead_letter"] == MAX_ROWS
        assert 0 < steps < 2000
