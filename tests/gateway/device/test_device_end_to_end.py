"""A device against Debian's mosquitto and a gateway that judges for real."""

import time
from pathlib import Path

import pytest
from device_support import (
    DEADLINE_S,
    QUICK,
    Judge,
    Mosquitto,
    Subscriber,
    device_key,
    enrolled,
    wait_until,
)

from crypto.keys import Algorithm
from gateway.device.device import Device, status_of
from gateway.device.draft import Draft
from gateway.device.identity import CA_FILE, PASSWORD_FILE
from gateway.device.options import DeviceOptions


def drafts(first: int, count: int) -> list[Draft]:
    return [Draft(1, f'[{{"n":"t","v":{n}}}]'.encode(), 1_700_000_000_000_000 + n) for n in range(first, first + count)]


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_all_events_arrive_sealed_and_the_buffer_empties(tmp_path: Path, algorithm: Algorithm) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        folder = enrolled(tmp_path / "device", broker.port, algorithm)
        with Subscriber(broker.port, Judge(device_key(folder, algorithm))) as gateway:
            device = Device(folder, QUICK)
            device.start()
            for start in range(0, 1000, 100):
                device.record_many(drafts(start, 100))
            device.record(1, b'[{"n":"t","v":0}]', urgent=True)
            status = device.stop(60)  # signatures of SLH-DSA take their time
    gateway.judge.check_whole()
    assert sorted(gateway.judge.events) == [(1, seq) for seq in range(1001)]
    assert (status.recorded, status.acknowledged, status.sealed) == (1001, 1001, 1001)
    assert (status.buffered, status.buffered_bytes, status.waiting_seals, status.rejected) == (0, 0, 0, 0)
    assert status_of(folder).acknowledged == 1001


def test_every_event_signed_travels_with_its_seal(tmp_path: Path) -> None:
    options = DeviceOptions(seal_events=1, ack_timeout=DEADLINE_S)
    with Mosquitto(tmp_path / "broker") as broker:
        folder = enrolled(tmp_path / "device", broker.port, Algorithm.ML_DSA_44)
        with Subscriber(broker.port, Judge(device_key(folder, Algorithm.ML_DSA_44))) as gateway:
            device = Device(folder, options)
            device.start()
            device.record_many(drafts(0, 150))
            assert device.stop().buffered == 0
    gateway.judge.check_whole()
    assert [seal.count for seal in gateway.judge.seals] == [1] * 150
    assert all(len(message.events) == len(message.seals) for message in gateway.judge.messages)


def test_tls_trusts_the_operators_own_authority_and_nobody_else(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", tls=True) as broker:
        folder = enrolled(tmp_path / "device", broker.port, tls=True)
        device = Device(folder, QUICK)
        device.start()
        device.record_many(drafts(0, 300))
        time.sleep(0.1)
        assert not device.status().connected  # the system's authorities do not know this broker
        assert device.stop(0.0).buffered == 300
        (folder / CA_FILE).write_bytes(broker.certificate.read_bytes())
        with Subscriber(broker.port, Judge(device_key(folder)), broker.certificate) as gateway:
            device = Device(folder, QUICK)
            device.start()
            device.record_many([Draft(1, b"x" * 50_000, 1)] * 10)
            assert device.stop().buffered == 0
    gateway.judge.check_whole()
    assert len(gateway.judge.events) == 310


def test_broker_gone_and_back_loses_nothing(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        folder = enrolled(tmp_path / "device", broker.port)
        judge = Judge(device_key(folder))
        device = Device(folder, QUICK)
        device.start()
        with Subscriber(broker.port, judge):
            device.record_many(drafts(0, 200))
            wait_until(lambda: device.status().acknowledged > 0, "something is acknowledged")
            broker.stop()
        device.record_many(drafts(200, 200))  # works alone
        wait_until(lambda: not device.status().connected, "the loss is noticed")
        broker.start()
        with Subscriber(broker.port, judge):
            device.record_many(drafts(400, 10))
            wait_until(lambda: device.status().buffered == 0, "the buffer empties")
            device.stop()
    judge.check_whole()
    assert sorted(judge.events) == [(1, seq) for seq in range(410)]


def test_silent_gateway_is_asked_again_and_duplicates_are_acknowledged(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        folder = enrolled(tmp_path / "device", broker.port)
        with Subscriber(broker.port, Judge(device_key(folder))) as gateway:
            gateway.answers = False
            device = Device(folder, QUICK)
            device.start()
            device.record_many(drafts(0, 70))
            wait_until(lambda: gateway.judge.duplicates > 0, "sent again")
            assert device.status().acknowledged == 0  # the broker's PUBACK promises nothing
            gateway.answers = True
            wait_until(lambda: device.status().buffered == 0, "the buffer empties")
            device.stop()
    gateway.judge.check_whole()


def test_a_wrong_password_is_retried_with_pauses_and_nothing_is_lost(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        folder = enrolled(tmp_path / "device", broker.port)
        right = (folder / PASSWORD_FILE).read_bytes()
        (folder / PASSWORD_FILE).write_bytes(b"wrong")
        device = Device(folder, QUICK)
        device.start()
        device.record_many(drafts(0, 10))
        time.sleep(0.1)
        assert not device.status().connected
        assert device.stop(0.0).buffered == 10
        (folder / PASSWORD_FILE).write_bytes(right)
        with Subscriber(broker.port, Judge(device_key(folder))) as gateway, Device(folder, QUICK) as device:
            assert device.stop().buffered == 0
    gateway.judge.check_whole()
    assert sorted(gateway.judge.events) == [(1, seq) for seq in range(10)]
