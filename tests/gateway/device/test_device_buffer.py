"""Laws of the buffer: nothing without acknowledgement is lost, numbers are used once, the bound holds."""

import itertools
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from device_support import GATEWAY_KEY, ORIGIN, SOURCE, enrolled, ranges_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chain.acknowledgement import Acknowledgement
from chain.event import Event, content_hash
from chain.seal import FIRST_PREVIOUS, seal_hash, verify_range, verify_seal
from crypto.errors import FormatError, LimitError
from crypto.files import private_key_at
from crypto.keys import Algorithm
from gateway.device.buffer import ROW_BYTES, Buffer, create_buffer
from gateway.device.device import Device, status_of
from gateway.device.draft import Draft
from gateway.device.errors import DeviceBufferFullError, DeviceError
from gateway.device.identity import BUFFER_FILE, KEY_FILE
from gateway.device.options import DeviceOptions
from gateway.device.sealer import Sealer
from gateway.device.storage import AFTER_ALL, BEFORE_ALL, Storage

MAX_EVENTS, MAX_BYTES = 12, 10_000


class BufferLaws(RuleBasedStateMachine):
    """The buffer against a plain dictionary, through crashes (reopened without sealing) and forged words."""

    def __init__(self) -> None:
        super().__init__()
        self.home = tempfile.TemporaryDirectory()
        self.path = Path(self.home.name) / "buffer.sqlite"
        self.key = private_key_at(Path(self.home.name) / KEY_FILE, Algorithm.ED25519)
        create_buffer(self.path, SOURCE)
        self.waiting: dict[tuple[int, int], bytes] = {}
        self.seen: dict[tuple[int, int], bytes] = {}
        self.boots: list[int] = []
        self.buffer: Buffer | None = None
        self.chain = FIRST_PREVIOUS
        self.open()

    def open(self) -> None:
        self.buffer = Buffer(self.path, SOURCE, MAX_EVENTS, MAX_BYTES)
        self.storage = Storage(self.buffer, 10)
        self.sealer = Sealer(self.buffer, self.key, 3, 1.0)
        self.boots.append(self.buffer.boot)

    @rule(count=st.integers(1, 6), size=st.integers(0, 900))
    def record(self, count: int, size: int) -> None:
        held, taken = self.buffer.events, self.buffer.bytes
        try:
            first = self.buffer.record([Draft(1, b"p" * size, 1)] * count)
        except DeviceBufferFullError:
            assert held + count > MAX_EVENTS or taken + count * (size + ROW_BYTES + 80) > MAX_BYTES
            assert (self.buffer.events, self.buffer.bytes) == (held, taken)
            return
        kept = self.storage.waiting((self.buffer.boot, first - 1), AFTER_ALL, count)
        assert [event.number for event in kept] == [(self.buffer.boot, first + n) for n in range(count)]
        for event in kept:
            assert event.number not in self.seen, "a number was used twice"
            self.seen[event.number] = self.waiting[event.number] = event.data

    @rule()
    def seal(self) -> None:
        self.sealer.seal_everything()

    @rule()
    def crash(self) -> None:
        self.buffer.close()
        self.open()

    @rule()
    def crash_and_seal(self) -> None:
        self.crash()
        self.sealer.seal_earlier_boots()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), forged=st.booleans())
    def acknowledge(self, data: st.DataObject, forged: bool) -> None:
        start = data.draw(st.sampled_from(sorted(self.waiting)))
        run = [start]
        while (following := (start[0], run[-1][1] + 1)) in self.waiting and data.draw(st.booleans()):
            run.append(following)
        numbers = {n: self.waiting[n] + (b"!" if forged else b"") for n in run}
        self.storage.acknowledge([Acknowledgement(SOURCE, ORIGIN, 1, 1, bytes(32), ranges_of(numbers))])
        if not forged:
            for number in run:
                del self.waiting[number]

    @rule(data=st.data())
    def acknowledge_seal(self, data: st.DataObject) -> None:
        if seals := self.storage.waiting_seals(AFTER_ALL, 100):
            chosen = data.draw(st.sampled_from(seals))
            self.storage.acknowledge([Acknowledgement(SOURCE, ORIGIN, 1, 1, seal_hash(chosen.signed.seal), ())])
            assert [s.id for s in self.storage.waiting_seals(AFTER_ALL, 100)] == [
                s.id for s in seals if s.id > chosen.id
            ]

    @invariant()
    def nothing_waiting_is_lost(self) -> None:
        kept = {event.number: event.data for event in self.storage.waiting(BEFORE_ALL, AFTER_ALL, 1000)}
        assert kept == self.waiting

    @invariant()
    def bounds_and_counts_hold(self) -> None:
        counts = self.buffer.counts()
        assert (self.buffer.events, self.buffer.bytes) == (counts.buffered, counts.bytes)
        assert counts.buffered <= MAX_EVENTS
        assert counts.recorded == len(self.seen)
        assert counts.acknowledged == len(self.seen) - len(self.waiting)

    @invariant()
    def boots_rise_by_one(self) -> None:
        assert self.boots == list(range(1, len(self.boots) + 1))

    @invariant()
    def seals_chain_and_hold(self) -> None:
        seals = self.storage.waiting_seals(AFTER_ALL, 1000)
        for earlier, later in itertools.pairwise(seals):
            assert verify_seal(later.signed, self.key.public).previous == seal_hash(earlier.signed.seal)
        for kept in seals:
            seal = verify_seal(kept.signed, self.key.public)
            span = range(seal.first, seal.first + seal.count)
            verify_range(seal, [content_hash(self.seen[seal.boot, seq]) for seq in span])

    def teardown(self) -> None:
        self.buffer.close()
        self.home.cleanup()


TestBufferLaws = BufferLaws.TestCase
TestBufferLaws.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


def test_seals_chain_across_boots_and_after_a_crash(tmp_path: Path) -> None:
    folder = enrolled(tmp_path / "device")
    key = private_key_at(folder / KEY_FILE, Algorithm.ED25519).public
    for boot in (1, 2, 3):
        device = Device(folder, DeviceOptions(seal_events=4))
        assert device.boot == boot
        device.record_many([Draft(1, b"%d" % n, n) for n in range(10)])
        if boot == 2:
            device.stop()  # sealed at shutdown
        else:
            device._release()  # a crash: nothing is sealed
    device = Device(folder, DeviceOptions(seal_events=4))
    seals = device._storage.waiting_seals(AFTER_ALL, 100)
    events = {e.number: e.data for e in device._storage.waiting(BEFORE_ALL, AFTER_ALL, 100)}
    device.stop(0.0)
    previous, covered = FIRST_PREVIOUS, []
    for kept in seals:
        seal = verify_seal(kept.signed, key)
        assert seal.previous == previous
        previous = seal_hash(kept.signed.seal)
        span = [(seal.boot, seq) for seq in range(seal.first, seal.first + seal.count)]
        verify_range(seal, [content_hash(events[number]) for number in span])
        covered += span
    assert covered == [(boot, seq) for boot in (1, 2, 3) for seq in range(10)]


RECORDER = """
import sys
from pathlib import Path
from gateway.device.device import Device
from gateway.device.options import DeviceOptions
device = Device(Path(sys.argv[1]), DeviceOptions(seal_events=5, seal_seconds=0.01))
device.start()
for n in range(10**9):
    boot, seq = device.record(1, b"%d" % n)
    print(boot, seq, n, flush=True)
"""


def test_kill_9_loses_nothing_that_record_returned(tmp_path: Path) -> None:
    folder = enrolled(tmp_path / "device")  # its port 9 refuses: the sender tries and backs off meanwhile
    returned: dict[tuple[int, int], bytes] = {}
    kept_before: dict[tuple[int, int], bytes] = {}
    for boot in (1, 2, 3):
        process = subprocess.Popen([sys.executable, "-c", RECORDER, folder], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(40)]
        process.kill()
        lines += process.stdout.read().splitlines()
        process.stdout.close()
        process.wait()
        for line in lines:
            if len(parts := line.split()) == 3:
                assert int(parts[0]) == boot
                returned[int(parts[0]), int(parts[1])] = parts[2].encode()
        kept = _kept(folder)
        assert {n: kept[n] for n in kept_before} == kept_before, "an event changed after a crash"
        kept_before = kept
    contents = {number: Event.decode(data) for number, data in kept_before.items()}
    assert {number: contents[number].payload for number in returned} == returned
    assert all((event.boot, event.seq) == number for number, event in contents.items())
    device = Device(folder)
    assert device.boot == 4
    counts = device._buffer.counts()
    device.stop(0.0)
    assert counts.sealed == counts.recorded == len(kept_before)


def _kept(folder: Path) -> dict[tuple[int, int], bytes]:
    connection = sqlite3.connect(folder / BUFFER_FILE)
    rows = connection.execute("SELECT boot, seq, bytes FROM event").fetchall()
    connection.close()
    return {(boot, seq): data for boot, seq, data in rows}


def test_full_buffer_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    folder = enrolled(tmp_path / "device")
    device = Device(folder, DeviceOptions(max_events=10, max_bytes=100_000))
    device.record_many([Draft(1, b"x", 1)] * 9)
    with pytest.raises(DeviceBufferFullError, match="Nothing was recorded"):
        device.record_many([Draft(1, b"x", 1)] * 2)
    assert device.record(1, b"last") == (1, 9)
    with pytest.raises(DeviceBufferFullError):
        device.record(1, b"one more")
    assert device.stop(0.0).buffered == 10
    device = Device(folder, DeviceOptions(max_events=20, max_bytes=30_000))
    with pytest.raises(DeviceBufferFullError):
        device.record(1, b"x" * 30_000)
    assert device.record(1, b"small") == (2, 0)  # the refused one used no number
    device.stop(0.0)


def test_disk_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / BUFFER_FILE
    create_buffer(path, SOURCE)
    buffer = Buffer(path, SOURCE, 10_000, 10**9)
    storage = Storage(buffer, 10)
    sealer = Sealer(buffer, GATEWAY_KEY, 64, 1.0)
    sizes = []
    for _ in range(6):
        for _ in range(8):
            buffer.record([Draft(1, b"x" * 20_000, 1)] * 25)
        sealer.seal_everything()
        while kept := storage.waiting(BEFORE_ALL, AFTER_ALL, 64):
            ranges = ranges_of({event.number: event.data for event in kept})
            storage.acknowledge([Acknowledgement(SOURCE, ORIGIN, 1, 1, _newest_seal(storage), ranges)])
        assert buffer.is_empty()
        buffer.db.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        sizes.append(path.stat().st_size)
    buffer.close()
    assert max(sizes) < 1_500_000  # each round brought 4 MB


def _newest_seal(storage: Storage) -> bytes:
    seals = storage.waiting_seals(AFTER_ALL, 1000)
    return seal_hash(seals[-1].signed.seal) if seals else bytes(32)


def test_threads_share_commits_and_get_their_own_numbers(tmp_path: Path) -> None:
    folder = enrolled(tmp_path / "device")
    device = Device(folder)
    numbers: list[tuple[int, int]] = []

    def work(name: int) -> None:
        for n in range(50):
            number = device.record(1, b"%d %d" % (name, n))
            numbers.append(number)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    device.stop(0.0)
    assert sorted(numbers) == [(1, seq) for seq in range(200)]


def test_one_process_at_a_time_and_a_status_beside_it(tmp_path: Path) -> None:
    folder = enrolled(tmp_path / "device")
    device = Device(folder)
    device.record(1, b"x")
    with pytest.raises(DeviceError, match="in use"):
        Device(folder)
    assert (status_of(folder).boot, status_of(folder).buffered) == (1, 1)
    device.stop(0.0)
    with pytest.raises(DeviceError, match="stopped"):
        device.record(1, b"y")
    assert status_of(folder).sealed == 1


def test_a_lost_or_foreign_buffer_is_not_replaced_by_a_new_one(tmp_path: Path) -> None:
    folder = enrolled(tmp_path / "device")
    Device(folder).stop(0.0)
    with pytest.raises(DeviceError, match="has recorded"):
        create_buffer(folder / BUFFER_FILE, SOURCE)
    with pytest.raises(DeviceError, match="not the buffer of line-2"):
        Buffer(folder / BUFFER_FILE, "line-2", 1, 1)
    (folder / BUFFER_FILE).unlink()
    with pytest.raises(DeviceError, match="enrol the device anew"):
        Device(folder)
    with pytest.raises(DeviceError, match="no enrolled device"):
        Device(tmp_path)


@pytest.mark.parametrize(
    ("kind", "payload", "sensed", "error"),
    [
        (1, b"x" * 60_001, 0, LimitError),
        (4, b"a seal's own kind", 0, FormatError),
        (-1, b"", 0, FormatError),
        (1, "text", 0, FormatError),
        (1, b"", 2**63, FormatError),
        (True, b"", 0, FormatError),
    ],
)
def test_what_no_event_can_carry_is_refused_first(
    kind: int, payload: bytes, sensed: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        Draft(kind, payload, sensed)


@pytest.mark.parametrize("bad", [{"seal_events": 0}, {"message_bytes": 10}, {"message_bytes": 2**30}, {"window": -1}])
def test_options_without_sense_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(DeviceError, match=next(iter(bad))):
        DeviceOptions(**bad)
