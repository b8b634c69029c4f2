"""The native core and Python are one: whatever the core opens, Python admits with the same leaf, and it opens what
devices send. Skipped where it was not built."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.event import Event, Message, SignedSeal
from chain.record import Authentication
from chain.store.segment import decode_segment, encode_segment
from crypto import bulk
from gateway.ingest.inbound import Channel, Inbound
from gateway.ingest.mqtt import burst as bursts
from gateway.ingest.mqtt.decode import read_publish
from gateway.ingest.mqtt.primitives import write_text, write_varint
from gateway.pipeline.batch import FUTURE_TOLERANCE_US
from gateway.pipeline.opening import Openers, native
from gateway.pipeline.sources import EnrolledSource
from gateway.pipeline.stretch import AdmittedEvent, Growing, Stretch
from gateway.preprocess.errors import PayloadRejected
from gateway.preprocess.kind import Context, Limits
from gateway.preprocess.reading import Reading
from tests.support.site import Site
from tests.support.source import START_US, message

pytestmark = pytest.mark.skipif(native is None, reason="the native core was not built: no Rust compiler was there")
LATE_US = 3_600_000_000
LIMITS = (("urn:a:t", Limits(2.0, 8.0, "Cel")), ("", Limits(None, 50.0, "%RH")), ("", Limits(-5.0, None, "Cel")))
SOURCE = EnrolledSource("logger", (), frozenset({"reading"}), False, LIMITS)
SEED = bytes(range(32))

names = st.sampled_from(["t", "urn:a:", "urn:a:t", "a" * 40, "a" * 200, "a b", "", "é", "x\\u0041", "-t"])
units = st.sampled_from(["Cel", "K", "%RH", "degF", "furlong", "Cel" * 30, "%"])
numbers = st.one_of(
    st.integers(-100, 100), st.integers(-(2**70), 2**70), st.floats(), st.sampled_from([-0.0, 0, 1e400, 5e-324, 0.1])
)
times = st.one_of(
    st.floats(-1e5, 1e5), st.sampled_from([START_US / 1e6, 2.0**28, 2.0**28 - 1, 253_402_300_800, -1.0, 1e308]), numbers
)
records = st.fixed_dictionaries(
    {},
    optional={
        "bn": names, "bt": times, "bu": units, "n": names, "u": units, "v": numbers, "t": times,
        "vs": st.just("x"), "vb": st.booleans(), "bv": numbers, "bver": st.just(10), "s": numbers, "x": numbers,
    },
)  # fmt: skip
packs = st.one_of(st.lists(records, min_size=0, max_size=20), records)
texts = st.sampled_from(["1", "-0", "01", "1.", ".5", "1e5", "1E+05", "-1.5e-7", "1e999", "+1", "1 ", ""])


def _payload(pack: object, spaced: bool) -> bytes:
    return json.dumps(pack, separators=None if spaced else (",", ":"), ensure_ascii=False).encode()


payloads = st.one_of(
    st.builds(_payload, packs, st.booleans()),
    texts.map(lambda v: b'[{"n":"t","v":' + v.encode() + b"}]"),
    st.binary(max_size=40),
)


def _event(seq: int, payload: bytes, **other: Any) -> Event:
    made: dict[str, Any] = {
        "source": "logger", "boot": 3, "seq": seq, "kind": 1, "schema": 1, "sensed_us": START_US, "blind": bytes(16),
        "payload": payload,
    }  # fmt: skip
    return Event(**made | other)


def _by_python(events: list[Event], received_us: int) -> Growing | None:
    """What gateway.pipeline.batch makes of these events; None where it refuses one."""
    made = Growing()
    for event in events:
        try:
            prepared = Reading().prepare(event.payload, Context(event.sensed_us, received_us, LIMITS))
        except PayloadRejected:
            return None
        late = received_us - event.sensed_us > LATE_US
        ahead = event.sensed_us - received_us > FUTURE_TOLERANCE_US
        flags = int(prepared.flags) | (4 if late else 1 if ahead else 0)
        raw, how = event.encode(), Authentication.SESSION
        made.add(AdmittedEvent(raw, event, bulk.leaf_hashes([raw]), prepared, received_us, how, flags))
    return made


def _open(messages: list[bytes], received_us: int = START_US) -> Stretch | None:
    opener = Openers(LATE_US).of(SOURCE)
    assert opener is not None
    return opener.open(messages, 0, [received_us] * len(messages), Authentication.SESSION)


def _same(one: Stretch, other: Stretch) -> None:
    for name in ("boot", "first", "count", "size", "hashes", "flags"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.leaves(SEED, START_US + 9) == other.leaves(SEED, START_US + 9)
    opened = [decode_segment(0, "logger", encode_segment(SEED, s.count, [s.stored()])).events for s in (one, other)]
    assert list(opened[0]) == list(opened[1])


@settings(max_examples=600)
@given(st.lists(payloads, min_size=1, max_size=3), st.integers(-(10**10), 10**10))
def test_what_it_opens_python_admits_alike(bodies: list[bytes], shift: int) -> None:
    events = [_event(seq, body) for seq, body in enumerate(bodies)]
    received_us = START_US + shift
    opened = _open([Message((event.encode(),), ()).encode() for event in events], received_us)
    if opened is None:
        return
    assert opened.messages == opened.count  # type: ignore[attr-defined]
    wanted = _by_python(events[: opened.count], received_us)
    assert wanted is not None, "the core took what Python refuses"
    _same(opened, wanted)


DEVICES_SEND = [
    [{"n": "t", "u": "Cel", "v": 4.5}], {"n": "t", "u": "%RH", "v": 40}, [{"n": "urn:a:t", "u": "Cel", "v": 9}],
    [{"bn": "urn:dev:mac:0024befffe804ff1:", "bt": 1795611664.03, "n": "in", "v": 4}, {"n": "out", "v": -40.25}],
    [{"bn": "urn:a:", "bt": 1795611664}, {"n": "t", "u": "Cel", "v": 4.1, "t": -5}, {"n": "t", "u": "Cel", "v": 4.2}],
    [{"n": "x", "u": "furlong", "v": 1e300}], [{"n": "x", "v": 65504}], [{"n": "x", "v": 6e-8}, {"n": "x", "v": 65505}],
]  # fmt: skip


@pytest.mark.parametrize("pack", DEVICES_SEND, ids=range(len(DEVICES_SEND)))
@pytest.mark.parametrize("spaced", [False, True])
def test_it_opens_what_devices_send(pack: object, spaced: bool) -> None:
    events = [_event(seq, _payload(pack, spaced)) for seq in range(3)]
    opened = _open([Message(tuple(e.encode() for e in events), ()).encode()])
    wanted = _by_python(events, START_US)
    assert opened is not None
    assert wanted is not None
    _same(opened, wanted)
    for stretch in (opened, wanted):
        stretch.authenticate(1, 1, Authentication.SIGNED)
    _same(opened, wanted)


@given(st.data())
def test_damaged_messages_are_left_to_python(data: st.DataObject) -> None:
    """A flipped, lost or added byte: the core declines, or the bytes still say what Python reads in them."""
    whole = Message(tuple(_event(n, _payload(DEVICES_SEND[0], False)).encode() for n in range(2)), ()).encode()
    at, byte = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.binary(max_size=2))
    damaged = whole[:at] + byte + whole[at + 1 :]
    opened = _open([damaged])
    if opened is None:
        return
    events = [Event.decode(raw) for raw in Message.decode(damaged).events]
    wanted = _by_python(events, START_US)
    assert wanted is not None
    _same(opened, wanted)


def test_a_stretch_ends_where_the_numbers_do_and_where_it_is_full() -> None:
    body = _payload(DEVICES_SEND[0], False)
    events = [_event(n, body) for n in (*range(2000), 3000, 3001)]
    messages = [Message((e.encode(),), ()).encode() for e in events]
    opener, at, counts = Openers(LATE_US).of(SOURCE), 0, []
    assert opener is not None
    while at < len(messages) and (opened := opener.open(messages, at, [START_US] * len(messages), 1)):
        counts.append(opened.count)
        at += opened.messages
    assert counts == [1024, 976, 2]


@pytest.mark.parametrize(
    "other",
    [
        {"source": "logger2"},
        {"kind": 2},
        {"schema": 2},
        {"blind": bytes(15)},
        {"boot": 2**63},
        {"payload": b"x" * 60_001},
    ],
    ids=str,
)
def test_other_events_are_left_to_python(other: dict[str, Any]) -> None:
    body = _payload(DEVICES_SEND[0], False)
    assert _open([Message((_event(0, body).encode(),), ()).encode()]) is not None
    assert _open([Message((_event(0, **({"payload": body} | other)).encode(),), ()).encode()]) is None


def test_seals_come_with_the_number_of_their_message() -> None:
    event = _event(0, _payload(DEVICES_SEND[0], False)).encode()
    messages = [Message((event,), (SignedSeal(b"a", b"b"),)).encode(), Message((), (SignedSeal(b"c", b"d"),)).encode()]
    opened = _open(messages)
    assert opened is not None
    assert opened.seals == [(0, b"a", b"b", None, False), (1, b"c", b"d", None, False)]  # type: ignore[attr-defined]


@given(st.lists(st.binary(max_size=70), min_size=1, max_size=40))
def test_hashing_in_bulk(entries: list[bytes]) -> None:
    hashes = bulk.leaf_hashes(entries)
    assert hashes == bulk._leaf_hashes(entries)
    assert bulk.root(hashes) == bulk._root(hashes)


@pytest.mark.parametrize("hashes", [b"", b"x", bytes(33)])
def test_roots_need_whole_hashes(hashes: bytes) -> None:
    for root in (bulk.root, bulk._root):
        with pytest.raises(ValueError, match="32 bytes"):
            root(hashes)


def _stream(rng: random.Random, v5: bool) -> bytes:
    """PUBLISH packets, most of them in plain form, some damaged."""
    out = b""
    for _ in range(rng.randrange(12)):
        topic = write_text(rng.choice(["st/1/a/events"] * 5 + ["st/1/b/events", ""]))
        properties = rng.choice([b"\0"] * 8 + [b"\x02\x01\x00", b""]) if v5 else b""
        body = topic + rng.choice([b"\0\1", b"\1\0", b"\0\0"]) + properties + os.urandom(rng.choice([0, 3, 200]))
        first = rng.choice([0x32] * 8 + [0x3A, 0x30, 0x33, 0x34, 0xC0])
        out += bytes([first]) + rng.choice([write_varint(len(body))] * 9 + [b"\x80" + write_varint(len(body))]) + body
    return out[: rng.choice([len(out), rng.randrange(len(out) + 1)])]


@pytest.mark.parametrize("v5", [False, True])
def test_bursts_are_the_same_and_as_the_strict_reader_reads_them(v5: bool) -> None:
    rng, topic = random.Random(7), write_text("st/1/a/events")
    taken = 0
    for _ in range(3000):
        data, most, room = _stream(rng, v5), rng.randrange(1, 9), rng.choice([1, 150, 10_000])
        found = bursts.burst(data, 0, topic, v5, most, room, 230)
        assert found == bursts._burst(data, 0, topic, v5, most, room, 230)
        payloads, identifiers, _, end = found
        at = 0
        for n, payload in enumerate(payloads):
            body, stop = bursts.read_frame(data, at, 230) or (0, 0)
            packet = read_publish(data[at], data[body:stop], v5)
            assert (packet.topic, packet.payload) == ("st/1/a/events", payload)
            assert packet.packet_id == identifiers[2 * n : 2 * n + 2]
            at = stop
        assert at == end
        taken += len(payloads)
    assert taken > 500


def test_a_whole_batch_by_python_alone_is_the_same_log(tmp_path: Any) -> None:
    """The same messages through a gateway with the core and one without: the same records, but for their secrets."""
    seen = []
    for core in (True, False):
        with Site(tmp_path / str(core)) as site:
            source = site.enrol("logger")
            if not core:
                site.without_native_core()
            rng = random.Random(3)
            sends = []
            for _ in range(9):
                values = [rng.choice([4, 20]) for _ in range(9)]
                batch = [source.event([{"n": "t", "u": "Cel", "v": value}]) for value in values]
                sends.append(message(batch, source.seal()))
            sends.append(sends[4])
            assert {int(v) for v in site.send_all([site.inbound(source, one) for one in sends])} == {0}
            seen.append([(r.kind, r.seq, r.sensed_us, r.authentication, r.flags, r.count) for r in site.records()])
            assert "times more" in site.alerts("excursion")[-1].text
    assert seen[0] == seen[1]


def test_it_is_asked_for_by_those_who_may_report_readings() -> None:
    openers = Openers(LATE_US)
    assert openers.of(EnrolledSource("a", (), frozenset({"production"}), False, ())) is None
    assert openers.of(EnrolledSource("a", (), frozenset({"reading"}), True, ())) is None
    assert openers.of(SOURCE) is openers.of(SOURCE)
    assert Inbound("a", True, Channel.EVENTS, "", [], 0, 0, "front", lambda verdicts: None).lane == "a"


def test_programs_find_it_from_any_folder(tmp_path: Path) -> None:
    """Also where they were started from another folder than that of the source."""
    call = [sys.executable, "-c", "import crypto.sealtrail_native as found; print(found.__name__)"]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run(call, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (said.returncode, said.stdout) == (0, "crypto.sealtrail_native\n"), said.stderr
