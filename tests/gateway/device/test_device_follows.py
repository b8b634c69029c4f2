"""A device and its gateway's change of key: it follows what both keys said, and nothing else moves its pin."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from device_support import GATEWAY_KEY, ORIGIN, QUICK, SOURCE, Endpoint5, Judge, acknowledge, device_key, enrolled
from device_support import wait_until as wait

from chain.event import Event, Message
from chain.handover import Handover, hand_over, is_handover
from chaincode.identities import rotation
from crypto import cbor, labels
from crypto.errors import FormatError, KeyMaterialError, SealtrailError, SignatureError
from crypto.keys import Algorithm, PrivateKey
from gateway.device.device import Device
from gateway.device.identity import load_identity

NEW = PrivateKey.generate(Algorithm.ML_DSA_65)
THIEF = PrivateKey.generate(Algorithm.ED25519)
GOOD = hand_over(ORIGIN, GATEWAY_KEY, NEW, 7)


def signed(old: PrivateKey, new: PrivateKey, statement: list[object], label: bytes = labels.KEY_ROTATION) -> bytes:
    said = cbor.encode(statement)
    return cbor.encode([said, old.sign(said, label), new.sign(said, label)])


def statement(name: str = ORIGIN, old: bytes = GATEWAY_KEY.public.kid, new: PrivateKey = NEW) -> list[object]:
    return [name, old, str(new.public.algorithm), new.public.raw, 7]


FALSE = {
    "without the old key's signature": signed(THIEF, NEW, statement()),
    "without the new key's signature": signed(GATEWAY_KEY, THIEF, statement()),
    "of another gateway": signed(GATEWAY_KEY, NEW, statement("elsewhere.test/log")),
    "of a source of that key": signed(GATEWAY_KEY, NEW, statement(SOURCE)),
    "from another key": signed(THIEF, NEW, statement(old=THIEF.public.kid)),
    "under another label": signed(GATEWAY_KEY, NEW, statement(), labels.GATEWAY_RECEIPT),
    "of the thief's key, by the pinned one's old signature": cbor.encode(
        [cbor.encode(statement(new=THIEF)), GOOD.old_signature, THIEF.sign(cbor.encode(statement(new=THIEF)),
                                                                           labels.KEY_ROTATION)]),
    "with a bit flipped": GOOD.encode()[:-1] + bytes([GOOD.encode()[-1] ^ 1]),
}  # fmt: skip


@pytest.mark.parametrize("data", FALSE.values(), ids=FALSE)
def test_a_false_change_does_not_verify(data: bytes) -> None:
    assert is_handover(data)
    with pytest.raises(SignatureError):
        Handover.decode(data).verify(GATEWAY_KEY.public, ORIGIN)


def test_the_contracts_statement_is_the_devices() -> None:
    GOOD.verify(GATEWAY_KEY.public, ORIGIN)
    assert Handover.decode(GOOD.encode()) == GOOD
    said = rotation(ORIGIN, GATEWAY_KEY.public, NEW.public, 7)
    GATEWAY_KEY.public.verify(GOOD.old_signature, said, labels.KEY_ROTATION)
    assert GOOD.arguments()[:4] == (ORIGIN.encode(), b"ml-dsa-65", NEW.public.raw, b"7")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda items: items[:2], lambda items: [*items, b""], lambda items: [b"\xff", *items[1:]],
        lambda items: [cbor.encode(["x"]), *items[1:]], lambda items: ["x", *items[1:]],
        lambda items: [cbor.encode([*statement()[:4], -1]), *items[1:]],
        lambda items: [cbor.encode([*statement()[:2], "rot13", *statement()[3:]]), *items[1:]],
    ],
)  # fmt: skip
def test_what_is_no_change_of_key_is_refused(spoil: Callable[[list[object]], list[object]]) -> None:
    items = cbor.decode(GOOD.encode(), 2**16, number_keys=False)
    with pytest.raises((FormatError, KeyMaterialError)):
        Handover.decode(cbor.encode(spoil(items)))


def test_a_device_follows_the_true_change_after_all_false_ones(tmp_path: Path) -> None:
    """Over real MQTT; what comes first does not hurt what comes later, and the pin is on disk."""
    folder = enrolled(tmp_path / "device")
    judge = Judge(device_key(folder))
    queue = [*FALSE.values(), b"\x83", GOOD.encode(), GOOD.encode()]

    def decide(payload: bytes) -> tuple[int, bytes | None]:
        judge.take(payload)
        if queue:
            return 0, queue.pop(0)
        numbers = {(e.boot, e.seq): d for d in Message.decode(payload).events for e in [Event.decode(d)]}
        return 0, acknowledge(numbers, judge.last_seal, NEW)

    with Endpoint5(decide) as endpoint:
        path = folder / "device.json"
        profile = json.loads(path.read_text())
        profile["mqtt"]["port"] = endpoint.port
        path.write_text(json.dumps(profile))
        device = Device(folder, QUICK)
        device.start()
        while queue:
            left = len(queue)
            device.record(1, b"1")
            wait(lambda left=left: len(queue) < left, "it says something")
        wait(lambda: device.status().buffered == 0, "acknowledged under the new key")
        assert device.stop().rejected == 0
    assert load_identity(folder).gateway_key == NEW.public


def test_the_old_key_acknowledges_nothing_afterwards(tmp_path: Path) -> None:
    folder = enrolled(tmp_path / "device")
    judge, answers = Judge(device_key(folder)), [GOOD.encode()]

    def decide(payload: bytes) -> tuple[int, bytes | None]:
        old = judge.take(payload)
        return 0, answers.pop() if answers else old

    with Endpoint5(decide) as endpoint:
        path = folder / "device.json"
        path.write_text(path.read_text().replace('"port": 9', f'"port": {endpoint.port}'))
        device = Device(folder, QUICK)
        device.record(1, b"1")
        device.start()
        wait(lambda: judge.duplicates >= 3, "it asks again and again")
        assert device.stop(0.1).acknowledged == 0


def test_errors_are_our_own() -> None:
    for data in (b"", b"\x83", b"\x83\x40\x40\x40", GOOD.encode()[:-5]):
        with pytest.raises(SealtrailError):
            Handover.decode(data)
