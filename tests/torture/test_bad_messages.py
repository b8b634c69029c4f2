"""Bad messages by the ten thousand at a running gateway: each is stored or a dead letter with its reason, the good one
behind them is logged, and the gateway's log names no fault."""

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from chain.fsck import fsck
from chain.site import Folder, SiteReader
from crypto.keys import Algorithm, PrivateKey
from tests.e2e.programs import Up, until
from tests.gateway.ingest.mqtt_support import Raw, publish
from tests.support.mosquitto import MOSQUITTO, OPEN, Broker
from tests.support.source import Source, message
from tests.torture.bad_messages import ANY, STORED, Maker
from tests.torture.doors import Device, enrolled, metrics, plain, resident_bytes, revoke, unshaken
from tests.torture.scale import scaled

CASES = scaled(1_000, 1_000_000)
IN_A_BATCH = 150
SIDE_CASES = scaled(300, 20_000)
GROWTH_BYTES = 32 << 20  # in the last quarter: by then the cache of 262,144 hashes of unsealed events is full
SEED = 20261123


def _batch(device: Device, client: Raw, maker: Maker, seen: Counter[str]) -> int:
    """Send bad messages and a good one behind them; check every answer. Returns how many were refused."""
    made = [maker.make() for _ in range(IN_A_BATCH)]
    topic = f"st/1/{device.source.name}/events"
    client.send(*(publish(topic, made[n][1], n + 2, v5=True) for n in range(IN_A_BATCH)), device.event())
    refused = 0
    for number, (family, payload, right) in enumerate(made, 2):
        first, body = client.read()
        assert (first, body[:2]) == (0x40, number.to_bytes(2, "big")), (family, payload[:300], body)
        answer = body[2] if len(body) > 2 else STORED
        assert answer in right, (family, hex(answer), payload[:300])
        refused += answer != STORED
        seen[f"{family}: {answer:#x}"] += 1
    assert client.read() == (0x40, b"\0\1"), "the good one behind them"
    return refused


def _rejected(gateway: Up) -> float:
    return metrics(gateway)['sealtrail_events_total{verdict="rejected"}']


def _check_notices(folder: Path) -> None:
    with closing(SiteReader.open(Folder(folder))) as reader:
        letters = reader.notices.dead_letters(limit=20_000)
        assert letters
        assert all(letter.reason and "internal fault" not in letter.reason for letter in letters)
        assert not [alert for alert in reader.notices.alerts(limit=20_000) if alert.kind == "fault"]


@pytest.mark.parametrize("algorithm", [Algorithm.ED25519, Algorithm.ML_DSA_44])
def test_bad_messages_are_dead_letters_and_nobody_waits(tmp_path: Path, algorithm: Algorithm) -> None:
    seen: Counter[str] = Counter()
    memory: list[int] = []
    batches = CASES // IN_A_BATCH // (2 if algorithm is Algorithm.ED25519 else 4)
    with unshaken(tmp_path) as gateway:
        device = enrolled(gateway, Source("dev", PrivateKey.generate(algorithm), boot=2**40))
        maker = Maker("dev", device.source.key, SEED)
        with device.login() as client:
            refused = 0
            for number in range(batches):
                refused += _batch(device, client, maker, seen)
                assert _rejected(gateway) >= refused, "refused, and no dead letter"
                if number % max(1, batches // 20) == 0:
                    memory.append(resident_bytes(gateway))
        _check_notices(gateway.data)
    print(f"{seen.total()} messages; memory {[m >> 20 for m in memory]} MiB; {dict(sorted(seen.items()))}")
    assert memory[-1] <= memory[len(memory) * 3 // 4] + GROWTH_BYTES
    assert fsck(Folder(gateway.data)).events >= batches
    with closing(SiteReader.open(Folder(gateway.data))) as reader:
        assert not reader.ranges.missing("dev", device.source.draft().span), "every good one is in the log"


def test_bad_messages_of_a_plain_source(tmp_path: Path) -> None:
    """Its payload is the reading itself, and it may send nothing else."""
    with unshaken(tmp_path) as gateway:
        device = plain(gateway, "meter")
        maker = Maker("meter", Source("meter").key, SEED)
        good = publish("st/1/meter/plain/reading", b'[{"n":"t","u":"Cel","v":5}]', 1, v5=True)
        with device.login() as client:
            for _ in range(CASES // IN_A_BATCH // 4):
                made = [maker.make()[1] for _ in range(IN_A_BATCH)]
                topics = (
                    "st/1/meter/plain/reading",
                    "st/1/meter/plain/nothing",
                    "st/1/meter/events",
                    "st/1/dev/events",
                )
                bad = (publish(topics[n % 4], made[n], n + 2, v5=True) for n in range(IN_A_BATCH))
                client.send(*bad, good)
                answers = [client.read() for _ in range(IN_A_BATCH)]
                assert all(body[2] in ANY - {STORED} for first, body in answers if first == 0x40), answers
                assert client.read() == (0x40, b"\0\1")
        _check_notices(gateway.data)


@pytest.mark.skipif(not MOSQUITTO, reason="mosquitto is not installed (Debian: mosquitto)")
def test_bad_messages_at_the_side_door(tmp_path: Path) -> None:
    """Behind a broker anybody is anything: unknown and revoked sources, damaged messages, in any topic of ours."""
    side_door = '[side_door]\nhost = "127.0.0.1"\nport = '
    with Broker(tmp_path, OPEN) as broker, unshaken(tmp_path, f"{side_door}{broker.port}") as gateway:
        device, stolen = enrolled(gateway, Source("dev", boot=2**40)), enrolled(gateway, Source("stolen"))
        revoke(gateway, "stolen")
        maker = Maker("dev", device.source.key, SEED)
        names = ["dev", "stolen", "stranger", "x" * 64, "..", "-"]
        with Raw(broker.port).login("anybody", v5=True) as client:
            for number in range(SIDE_CASES):
                payload = maker.make()[1]
                topic = f"st/1/{names[number % len(names)]}/{('events', 'plain/reading')[number % 7 == 0]}"
                assert client.send(publish(topic, payload, 7, v5=True)).read()[0] == 0x40
            before = metrics(gateway)['sealtrail_events_total{verdict="stored"}']
            client.send(publish("st/1/stolen/events", message([stolen.source.event()]), 8, v5=True))
            client.send(device.event())
            assert [client.read()[0], client.read()[0]] == [0x40, 0x40]
        until(lambda: metrics(gateway)['sealtrail_events_total{verdict="stored"}'] > before, 60)
        _check_notices(gateway.data)
        with closing(SiteReader.open(Folder(gateway.data))) as reader:
            reasons = [letter.reason for letter in reader.notices.dead_letters(limit=20_000) if letter.door == "side"]
            assert any("'stranger' is not enrolled" in reason for reason in reasons)
            assert any("stolen is revoked" in reason for reason in reasons)
            until(lambda: not reader.ranges.missing("dev", device.source.draft().span))


def test_a_stolen_device_is_put_out_and_stays_out(tmp_path: Path) -> None:
    with unshaken(tmp_path) as gateway:
        stolen, other = enrolled(gateway, Source("stolen")), enrolled(gateway, Source("other"))
        port = int(gateway.where["mqtt_port"])
        with stolen.login() as client, other.login() as neighbour:
            stolen.send_one(client)
            revoke(gateway, "stolen")
            first, body = client.read()
            assert (first, body[0]) == (0xE0, 0x87)
            assert client.closed()
            other.send_one(neighbour)
        for who in (stolen, Device(gateway, Source("nobody"), "guess"), Device(gateway, other.source, "guess")):
            with Raw(port).send(who.connect()) as client:
                assert client.read()[1][1] in (0x86, 0x87)
                assert client.closed()
