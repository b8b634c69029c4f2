"""Sessions from device to log: who carries them reads nothing, forges nothing, repeats nothing."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.record import Authentication
from chaincode.identities import enrolment, rotation
from crypto import labels
from crypto.errors import SealtrailError
from crypto.files import write_durably
from crypto.keys import Algorithm, PrivateKey
from crypto.session import messages
from crypto.session.frames import FrameType
from gateway.access import SourceSettings
from gateway.device.device import Device
from gateway.device.identity import DEVICE_FILE, load_identity
from gateway.device.kept_checkpoint import CHECKPOINT_FILE
from gateway.device.options import DeviceOptions
from gateway.ingest.inbound import Verdict
from gateway.live import Enrolment
from gateway.sessions.key import FILE
from gateway.sessions.limits import Budget
from tests.gateway.sessions.rig import (
    SECRET,
    Relay,
    drafts,
    enrol,
    qos0,
    redirect,
    started,
    stop,
    stored,
)
from tests.support.mosquitto import MOSQUITTO, Broker, quiet_port
from tests.support.site import Site

NUMBERS = [(1, n) for n in range(60)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site") as running:
        yield running


@pytest.fixture
def relay(site: Site) -> Iterator[Relay]:
    running = Relay(site.gateway.doors.front.port)
    site.run(running.start())
    yield running
    site.run(running.stop())


def _without_budget(site: Site) -> None:
    """So that a test of many handshakes need not wait; tests/gateway/sessions/test_limits.py has the budget."""
    site.gateway.doors.sessions._handshakes._budget = Budget(1e6, 1e-6)


def _finish(site: Site, device: Device, name: str = "cold-1", numbers: list[tuple[int, int]] = NUMBERS) -> None:
    """All is in the log, once, and the device knows."""
    site.wait(lambda: device.status().buffered == 0 and device.status().waiting_seals == 0)
    status = stop(site, device)
    assert (status.buffered, status.rejected) == (0, 0)
    assert sorted(stored(site, name)) == numbers
    assert not site.dead_letters()
    assert not site.alerts()


@pytest.mark.parametrize("algorithm", [Algorithm.ED25519, Algorithm.ML_DSA_65, Algorithm.ML_DSA_44_ED25519])
def test_events_go_and_answers_come_in_a_session(
    site: Site, relay: Relay, tmp_path: Path, algorithm: Algorithm
) -> None:
    folder = enrol(site, tmp_path / "device", "cold-1", relay.port, algorithm=algorithm)
    _finish(site, started(folder, count=60))
    status = site.gateway.status()
    assert (status.sessions, status.handshakes, status.handshakes_refused) == (1, 1, 0)
    known = {r.authentication for r in site.records() if not r.count}
    assert known <= {Authentication.SESSION, Authentication.SIGNED}
    # Whoever carried it has seen four messages and frames, no payload and no name but in topics.
    assert {topic for topic, _ in relay.seen} == {
        f"st/1/cold-1/{word}" for word in ("handshake/up", "handshake/down", "frames/up", "frames/down")
    }
    for _, data in relay.seen:
        assert SECRET.encode() not in data
        assert b"cold-1" not in data
        assert site.folder.origin.encode() not in data
    assert SECRET.encode() not in relay.raw


@pytest.mark.skipif(not MOSQUITTO, reason="mosquitto is not installed (Debian package mosquitto)")
def test_a_curious_broker_reads_nothing(tmp_path: Path) -> None:
    """A real one, with a listening ear on both its sides."""
    with Broker(tmp_path / "broker") as broker:
        ear = Relay(broker.port)
        ear.up_packet = ear.down_packet = lambda packet, body: (packet, b"")  # type: ignore[method-assign]
        ear.port = quiet_port()
        with Site(tmp_path / "site", side_door={"host": "127.0.0.1", "port": broker.port}) as site:
            site.run(ear.start())
            assert site.gateway.doors.side is not None
            site.wait(lambda: site.gateway.doors.side.subscribed)
            folder = enrol(site, tmp_path / "device", "cold-1", ear.port)
            _finish(site, started(folder, count=60))
            known = {r.authentication for r in site.records() if not r.count}
            assert known <= {Authentication.SESSION, Authentication.SIGNED}  # not "gateway only", as behind any broker
            assert len(ear.raw) > 10_000
            assert SECRET.encode() not in ear.raw
            assert site.folder.origin.encode() not in ear.raw
            site.run(ear.stop())


def test_what_is_withheld_is_sent_again(site: Site, relay: Relay, tmp_path: Path) -> None:
    """Each of the four messages of a handshake is dropped once, and every second frame of either side."""
    _without_budget(site)
    dropped, frames = set[int](), {"frames/up": 0, "frames/down": 0}

    def some(topic: str, data: bytes) -> list[tuple[str, bytes]]:
        if (word := topic.removeprefix("st/1/cold-1/")) in frames:
            frames[word] += 1
            return [(topic, data)] if frames[word] % 2 else []
        if (kind := messages.kind_of(data)) not in dropped:
            dropped.add(kind)
            return []
        return [(topic, data)]

    relay.up = relay.down = some
    options = DeviceOptions(seal_seconds=0.1, ack_timeout=0.3, backoff_first=0.02, backoff_max=0.1, message_events=10)
    _finish(site, started(enrol(site, tmp_path / "device", "cold-1", relay.port), options, count=60))
    assert dropped >= {1, 2, 3, 4}
    assert min(frames.values()) > 1


def test_what_stays_withheld_is_a_gap(site: Site, relay: Relay, tmp_path: Path) -> None:
    """The broker passes on the later frames only: the seal in them names what is missing."""
    frames: list[bytes] = []

    def later_ones(topic: str, data: bytes) -> list[tuple[str, bytes]]:
        if topic.endswith("frames/up"):
            frames.append(data)
            return [(topic, data)] if 2 <= len(frames) <= 3 else []
        return [(topic, data)]

    relay.up = later_ones
    folder = enrol(site, tmp_path / "device", "cold-1", relay.port)
    options = DeviceOptions(seal_events=30, message_events=10, ack_timeout=30.0)
    device = started(folder, options, count=30)
    site.wait(lambda: len(stored(site, "cold-1")) == 20)
    with site.reader() as reader:
        seal = reader.seals.last("cold-1")
        assert seal is not None
        missing = reader.ranges.missing("cold-1", seal.seal.span)
    assert [(span.first, span.last) for span in missing] == [(0, 9)]
    assert stop(site, device, 0.0).buffered > 0  # and the device knows, too


def test_whatever_is_altered_does_nothing(site: Site, relay: Relay, tmp_path: Path) -> None:
    """First each handshake message is altered, then each frame, then none any more."""
    _without_budget(site)
    changed: dict[str, int] = {}

    def altered(topic: str, data: bytes) -> list[tuple[str, bytes]]:
        if changed.setdefault(topic, 0) >= 3:
            return [(topic, data)]
        changed[topic] += 1
        place = changed[topic] * len(data) // 4
        return [(topic, data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])]

    relay.up = relay.down = altered
    options = DeviceOptions(seal_seconds=0.1, ack_timeout=0.2, backoff_first=0.02, backoff_max=0.05)
    _finish(site, started(enrol(site, tmp_path / "device", "cold-1", relay.port), options, count=60))
    assert len(changed) == 4
    assert site.gateway.doors.sessions.counters.false > 0


def test_what_is_repeated_reordered_reflected_and_misdirected_does_nothing(
    site: Site, relay: Relay, tmp_path: Path
) -> None:
    """Each frame goes three times, once under the other device's name, and once back to its sender."""
    other = started(enrol(site, tmp_path / "other", "cold-2", relay.port), count=60)
    waiting: list[tuple[str, bytes]] = []

    def muddled(topic: str, data: bytes) -> list[tuple[str, bytes]]:
        if not topic.endswith("frames/up"):
            return [(topic, data)] * 2
        swapped = topic.replace("cold-1", "cold-x").replace("cold-2", "cold-1").replace("cold-x", "cold-2")
        waiting.append((topic, data))
        return [(topic, data), (topic, data), (swapped, data), *waiting[-2::-1]]

    relay.up = muddled
    relay.down = lambda topic, data: [(topic, data), (topic, data)]
    device = started(enrol(site, tmp_path / "device", "cold-1", relay.port), count=60)
    _finish(site, device)
    _finish(site, other, "cold-2")
    counters = site.gateway.doors.sessions.counters
    assert counters.repeated > 0


def test_a_recording_played_back_a_day_later_to_a_restarted_gateway(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        relay = Relay(site.gateway.doors.front.port)
        site.run(relay.start())
        folder = enrol(site, tmp_path / "device", "cold-1", relay.port)
        _finish(site, started(folder, count=60))
        site.run(relay.stop())
        _play_back(site, relay, folder)
        assert site.gateway.doors.sessions.counters.opened == site.gateway.doors.sessions.counters.repeated > 0
    with Site(tmp_path / "site") as again:
        _play_back(again, relay, folder)
        assert again.gateway.doors.sessions.counters.opened == 0
        assert again.gateway.status().handshakes == 0


def _play_back(site: Site, relay: Relay, folder: Path) -> None:
    from tests.gateway.sessions.rig import Wire

    async def play() -> None:
        async with Wire(site, folder, "cold-1") as wire:
            for number, (topic, data) in enumerate(relay.seen, 1):
                if topic.endswith("/up"):
                    wire.say(topic, data, number)
            await asyncio.sleep(0.3)

    before = len(stored(site, "cold-1"))
    site.run(play())
    assert len(stored(site, "cold-1")) == before
    assert not site.dead_letters()


@pytest.mark.parametrize("code", [0x87, 0x99, 0x97])
def test_a_forged_puback_discards_nothing(site: Site, relay: Relay, tmp_path: Path, code: int) -> None:
    relay.puback = code
    device = started(enrol(site, tmp_path / "device", "cold-1", relay.port), count=60)
    site.wait(lambda: sum(topic.endswith("frames/up") for topic, _ in relay.seen) > 0)
    relay.puback = 0
    _finish(site, device)
    assert device.status().rejected == 0


def test_what_the_gateway_refuses_it_says_in_the_session(site: Site, tmp_path: Path) -> None:
    folder = enrol(site, tmp_path / "device", "cold-1", settings=SourceSettings(kinds=("production",)))
    device = started(folder)
    device.record(1, b'[{"n":"x","u":"Cel","v":1}]')
    site.wait(lambda: device.status().rejected == 1)
    assert "0x87" in (stop(site, device).last_rejection or "")


def test_a_refusal_that_was_held_back_over_a_new_connection_hits_nothing_else(
    site: Site, relay: Relay, tmp_path: Path
) -> None:
    """A refusal names a frame; what a packet identifier meant on the connection of that frame it means no more."""
    held: list[tuple[str, bytes]] = []

    def hold(topic: str, data: bytes) -> list[tuple[str, bytes]]:
        if topic.endswith("frames/down") and data[1] == FrameType.REFUSED:
            held.append((topic, data))
            return []
        return [(topic, data)]

    def cut() -> None:
        for writer in relay._writers:
            writer.transport.abort()
        relay._writers.clear()

    relay.down = hold
    folder = enrol(site, tmp_path / "device", "cold-1", relay.port)
    options = DeviceOptions(message_events=1, seal_seconds=60.0, ack_timeout=30.0, backoff_first=0.02, backoff_max=0.2)
    device = started(folder, options)
    device.record(99, b"[]")  # of no kind that there is
    site.wait(lambda: bool(held))
    # Another connection, on which the broker passes on no frame.
    relay.up = lambda topic, data: [] if topic.endswith("frames/up") else [(topic, data)]
    relay.seen.clear()
    cut()
    device.record_many(drafts(10))
    site.wait(lambda: sum(topic.endswith("frames/up") for topic, _ in relay.seen) == 11)
    relay._writers[0].write(qos0(*held[0]))
    site.run(asyncio.sleep(0.3))
    assert device.status().rejected == 0
    # What is refused is refused once more, and only that.
    relay.up = relay.down = lambda topic, data: [(topic, data)]
    cut()
    site.wait(lambda: device.status().rejected == 1 and device.status().acknowledged == 10)
    assert stored(site, "cold-1") == [(1, n) for n in range(1, 11)]
    stop(site, device)


def test_a_change_of_key_ends_a_session_and_a_strangers_request_does_not(site: Site, tmp_path: Path) -> None:
    folder = enrol(site, tmp_path / "device", "cold-1")
    old, new = load_identity(folder).key, PrivateKey.generate(Algorithm.ED25519)
    device = started(folder, count=5)
    site.wait(lambda: device.status().buffered == 0 and device.status().waiting_seals == 0)
    assert site.gateway.status().sessions == 1
    # The present key once more, as the ledger shows it to everybody; and a change that nobody signed.
    site.run(site.gateway.rotate("cold-1", "ed25519", old.public.raw, 0, b"", b""))
    with pytest.raises(SealtrailError):
        site.run(site.gateway.rotate("cold-1", "ed25519", new.public.raw, 50, bytes(64), bytes(64)))
    assert site.gateway.status().sessions == 1
    stop(site, device)
    said = rotation("cold-1", old.public, new.public, 50)
    signatures = old.sign(said, labels.KEY_ROTATION), new.sign(said, labels.KEY_ROTATION)
    site.run(site.gateway.rotate("cold-1", "ed25519", new.public.raw, 50, *signatures))
    assert site.gateway.status().sessions == 0


def test_a_gateway_that_restarted_gets_a_new_session_by_itself(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        folder = enrol(site, tmp_path / "device", "cold-1")
        port = site.gateway.doors.front.port
        device = started(folder, count=30)
        site.wait(lambda: device.status().acknowledged == 30)
    with Site(tmp_path / "site", front_door={"port": port}) as again:
        device.record_many(drafts(30, 30))
        _finish(again, device)
        assert again.gateway.status().handshakes == 1
        assert again.gateway.doors.sessions.counters.unknown > 0


def test_each_start_of_a_device_is_a_session_of_its_own(site: Site, tmp_path: Path) -> None:
    folder = enrol(site, tmp_path / "device", "cold-1")
    for boot in (1, 2, 3):
        device = started(folder, count=10)
        numbers = [(b, n) for b in range(1, boot + 1) for n in range(10)]
        _finish(site, device, numbers=numbers)
    assert site.gateway.status().handshakes == 3
    assert site.gateway.status().sessions == 1  # the older ones were over with the first frame of the new


def test_fresh_keys_while_events_flow(site: Site, relay: Relay, tmp_path: Path) -> None:
    options = DeviceOptions(seal_seconds=0.1, ack_timeout=2.0, session_seconds=0.2)
    device = started(enrol(site, tmp_path / "device", "cold-1", relay.port), options)
    sids = set[bytes]()
    for number in range(60):
        device.record_many(drafts(1, number))
        site.run(asyncio.sleep(0.02))
    _finish(site, device)
    sids = {data[2:18] for topic, data in relay.seen if topic.endswith("frames/up")}
    assert len(sids) >= 3
    assert site.gateway.doors.sessions.counters.unknown == 0


def test_where_a_session_is_required_nothing_else_counts(tmp_path: Path) -> None:
    with Site(tmp_path / "site", sessions={"required": True}) as site:
        folder = enrol(site, tmp_path / "device", "cold-1")
        in_the_clear = started(folder, DeviceOptions(session=False, ack_timeout=0.5), count=3)
        site.wait(lambda: site.dead_letters() and in_the_clear.status().rejected == 3)
        stop(site, in_the_clear, 0.0)
        assert "must send in a session" in site.dead_letters()[0].reason
        device = started(folder, count=5)
        site.wait(lambda: len(stored(site, "cold-1")) == 5)
        stop(site, device)


def test_a_session_can_be_required_of_one_source(site: Site, tmp_path: Path) -> None:
    strict = site.enrol("cold-1", SourceSettings(session_required=True))
    free = site.enrol("cold-2")
    from tests.support.source import message

    assert site.send(strict, message(strict.batch(1), strict.seal())) is Verdict.NOT_AUTHORIZED
    assert site.send(free, message(free.batch(1), free.seal())) is Verdict.STORED


def test_devices_without_sessions_work_as_before(site: Site, relay: Relay, tmp_path: Path) -> None:
    folder = enrol(site, tmp_path / "device", "cold-1", relay.port)
    document = json.loads((folder / DEVICE_FILE).read_text())
    del document["session_key"]  # as a device was enrolled before there were sessions
    write_durably(folder / DEVICE_FILE, json.dumps(document).encode())
    _finish(site, started(folder, count=60))
    assert site.gateway.status().handshakes == 0
    assert {topic for topic, _ in relay.seen} == {"st/1/cold-1/events", "st/1/cold-1/receipts"}
    # The same one, told to: it asks for the key, and pins it by the gateway's signature.
    device = started(folder, DeviceOptions(session=True, seal_seconds=0.1, ack_timeout=0.6), count=5)
    _finish(site, device, numbers=NUMBERS + [(2, n) for n in range(5)])
    assert site.gateway.status().handshakes == 1
    assert load_identity(folder).session_key is not None


def test_a_gateway_with_another_static_key_is_believed_by_its_announcement_only(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        folder = enrol(site, tmp_path / "device", "cold-1")
        pinned = load_identity(folder).session_key
    (tmp_path / "site" / "keys" / FILE).unlink()
    with Site(tmp_path / "site") as again:
        relay = Relay(again.gateway.doors.front.port)
        _without_budget(again)
        # Somebody announces a key of his own: altered on the way, so not signed by the pinned gateway key.
        relay.down = lambda topic, data: [(topic, data[:-1] + bytes([data[-1] ^ 1]))]
        again.run(relay.start())
        redirect(folder, relay.port)
        options = DeviceOptions(seal_seconds=0.1, ack_timeout=0.3, backoff_first=0.02, backoff_max=0.05)
        device = started(folder, options, count=60)
        again.wait(lambda: any(topic.endswith("handshake/down") and len(d) > 1000 for topic, d in relay.seen))
        again.run(asyncio.sleep(0.2))
        assert load_identity(folder).session_key == pinned
        assert not stored(again, "cold-1")
        stop(again, device, 0.0)
        again.run(relay.stop())
        redirect(folder, again.gateway.doors.front.port)
        device = started(folder, options)
        _finish(again, device)
        later = load_identity(folder).session_key
        assert pinned is not None
        assert later is not None
        assert later.serial > pinned.serial
        assert later.key == again.gateway.doors.session_key.key


def test_a_group_of_gateways_behind_one_broker_offers_no_sessions(tmp_path: Path) -> None:
    door = {"host": "127.0.0.1", "port": quiet_port(), "shared_group": "gateways"}  # nobody listens there
    with Site(tmp_path / "site", side_door=door) as site:
        found = site.run(_enrolled(site))
    assert not found.session_key


async def _enrolled(site: Site) -> Enrolment:
    key = PrivateKey.generate(Algorithm.ED25519)
    proof = key.sign(enrolment("cold-1", site.folder.origin, key.public), labels.ENROL)
    code = site.gateway.invite("cold-1", SourceSettings())
    return await site.gateway.enrol(code, "ed25519", key.public.raw, proof)


def test_a_revoked_source_has_no_session_any_more(site: Site, tmp_path: Path) -> None:
    device = started(enrol(site, tmp_path / "device", "cold-1"), count=5)
    site.wait(lambda: device.status().buffered == 0)
    assert site.gateway.status().sessions == 1
    site.run(site.gateway.revoke("cold-1", "stolen"))
    assert site.gateway.status().sessions == 0
    device.record_many(drafts(5, 5))
    site.run(asyncio.sleep(0.3))
    stop(site, device, 0.0)
    assert len(stored(site, "cold-1")) == 5
    assert site.gateway.status().handshakes == 1


def test_a_device_keeps_the_newest_checkpoint_and_complains_of_an_older_one(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = enrol(site, tmp_path / "device", "cold-1")

    def visit(boot: int) -> bytes:
        """A start of the device, after the gateway signed what is there."""
        site.drain()
        _finish(site, started(folder, count=1), numbers=[(b, 0) for b in range(1, boot + 1)])
        return (folder / CHECKPOINT_FILE).read_bytes()

    _finish(site, started(folder, count=1), numbers=[(1, 0)])
    kept = visit(2)
    assert kept == site.gateway.anchorer.state.note
    newer = visit(3)
    assert newer != kept
    site.drain()
    site.gateway.anchorer.state.note = kept  # as a log that was put back would show it
    _finish(site, started(folder, count=1), numbers=[(b, 0) for b in range(1, 5)])
    assert (folder / CHECKPOINT_FILE).read_bytes() == newer
    assert "an old copy, or a rewritten log" in caplog.text
