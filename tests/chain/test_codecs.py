"""The four codecs of the log: events, seals, records and acknowledgements. What was written reads back; nothing
else is read, and nothing that was altered, moved or signed by another key is believed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.acknowledgement import MAX_RANGES, Acknowledgement, StoredRange, open_acknowledgement
from chain.event import (
    MAX_EVENT_BYTES,
    MAX_EVENTS_PER_MESSAGE,
    MAX_MESSAGE_BYTES,
    MAX_PAYLOAD_BYTES,
    Event,
    Message,
    SignedSeal,
    content_hash,
)
from chain.record import SEAL_KIND, Authentication, Record, RecordFlag
from chain.seal import FIRST_PREVIOUS, MAX_SEALED_EVENTS, Seal, seal_hash, sign_seal, verify_range, verify_seal
from crypto import cbor, labels
from crypto.errors import FormatError, LimitError, ProofError, SealtrailError, SignatureError
from crypto.keys import Algorithm, PrivateKey
from crypto.merkle import root_of

TOP = 2**63 - 1
KEY, OTHER = PrivateKey.generate(Algorithm.ED25519), PrivateKey.generate(Algorithm.ED25519)
GATEWAY = PrivateKey.generate(Algorithm.ML_DSA_44)
Decoder = Callable[[bytes], Any]

names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True)
numbers = st.integers(0, TOP)
hashes = st.binary(min_size=32, max_size=32)
events = st.builds(
    Event, names, numbers, numbers, numbers, numbers, numbers, st.binary(min_size=16, max_size=16),
    st.binary(max_size=200),
)  # fmt: skip
seals = st.builds(
    Seal, names, numbers, st.integers(0, TOP - MAX_SEALED_EVENTS), st.integers(1, MAX_SEALED_EVENTS), hashes, hashes,
    numbers, hashes,
)  # fmt: skip
_common = (names, numbers, numbers, numbers, numbers, numbers, st.sampled_from(Authentication), numbers.map(RecordFlag))
event_records = st.builds(Record, numbers.filter(lambda k: k != SEAL_KIND), *_common, hashes, hashes)
seal_records = st.builds(Record, st.just(SEAL_KIND), *_common, hashes, st.just(b""), numbers)
records = event_records | seal_records
ranges = st.builds(StoredRange, numbers, numbers, st.integers(1, TOP), hashes)
acknowledgements = st.builds(
    Acknowledgement, names, st.text(max_size=128), numbers, numbers, hashes, st.lists(ranges, max_size=4).map(tuple)
)

EVENT = Event("fridge-7", 1, 0, 1, 1, 1_767_225_610_000_000, bytes(16), b'[{"n":"t","u":"Cel","v":4.5}]')
SEAL = Seal("fridge-7", 1, 0, 3, root_of([bytes([n]) * 32 for n in range(3)]), FIRST_PREVIOUS, 7, KEY.public.kid)
RECORD = Record(1, "fridge-7", 1, 0, 5, 6, 7, Authentication.SIGNED, RecordFlag.LATE, b"h" * 32, b"c" * 32)
SEAL_RECORD = msgspec.structs.replace(RECORD, kind=SEAL_KIND, commitment=b"", count=3)
STORED = Acknowledgement("fridge-7", "plant/line", 6, 7, b"s" * 32, (StoredRange(1, 0, 3, b"d" * 32),))


# -- round trips


@given(events)
def test_events_read_back(event: Event) -> None:
    assert Event.decode(event.encode()) == event


@given(
    st.lists(st.binary(max_size=50), min_size=1, max_size=5), st.lists(st.tuples(st.binary(), st.binary()), max_size=3)
)
def test_messages_read_back(raw: list[bytes], signed: list[tuple[bytes, bytes]]) -> None:
    message = Message(tuple(raw), tuple(SignedSeal(*pair) for pair in signed))
    assert Message.decode(message.encode()) == message


@given(seals)
def test_seals_read_back(seal: Seal) -> None:
    assert Seal.decode(seal.encode()) == seal


@given(records)
def test_records_read_back(record: Record) -> None:
    assert Record.decode(record.encode()) == record
    assert len(record.encode()) <= 1024


@given(acknowledgements)
def test_acknowledgements_read_back(stored: Acknowledgement) -> None:
    assert open_acknowledgement(stored.sign(KEY), KEY.public) == stored


# -- arbitrary and damaged bytes

CODECS: dict[str, tuple[Decoder, bytes]] = {
    "event": (Event.decode, EVENT.encode()),
    "message": (Message.decode, Message((EVENT.encode(),), (sign_seal(SEAL, KEY),)).encode()),
    "seal": (Seal.decode, SEAL.encode()),
    "record": (Record.decode, RECORD.encode()),
    "seal record": (Record.decode, SEAL_RECORD.encode()),
    "acknowledgement": (lambda data: open_acknowledgement(data, KEY.public), STORED.sign(KEY)),
}
EVERY = pytest.mark.parametrize(("decode", "good"), CODECS.values(), ids=CODECS.keys())


@EVERY
@given(data=st.data())
def test_arbitrary_and_damaged_bytes_raise_only_our_errors(decode: Decoder, good: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(good)))
    damaged = good[:at] + data.draw(st.binary(max_size=4)) + good[data.draw(st.integers(at, len(good))) :]
    for candidate in (damaged, data.draw(st.binary(max_size=300))):
        try:
            decode(candidate)
        except SealtrailError:
            continue
    with pytest.raises(SealtrailError):
        decode(good[: min(at, len(good) - 1)])


@EVERY
@given(data=st.data())
def test_arbitrary_items_raise_only_our_errors(decode: Decoder, good: bytes, data: st.DataObject) -> None:
    """Well-formed CBOR with one part replaced by anything."""
    anything = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 15), inner, max_size=4),
        max_leaves=8,
    )
    item = cbor.decode(good, MAX_MESSAGE_BYTES)
    key = data.draw(st.sampled_from(sorted(item) if isinstance(item, dict) else range(len(item))))
    item[key] = data.draw(anything)
    for candidate in (cbor.encode(item), cbor.encode(data.draw(anything))):
        try:
            decode(candidate)
        except SealtrailError:
            continue


@given(st.data())
def test_arbitrary_content_under_a_true_signature_raises_only_our_errors(data: st.DataObject) -> None:
    """Acknowledgements are believed only as far as their fields make sense, whoever signed them."""
    body = cbor.decode(cbor.decode(STORED.sign(KEY), 4096)[0], 4096)
    body[data.draw(st.integers(1, 7))] = data.draw(
        st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.text() | st.binary()
        | st.lists(st.none() | st.integers(-(2**63), 2**63) | st.lists(st.integers(-2, 2), max_size=5))
    )  # fmt: skip
    try:
        open_acknowledgement(_signed(cbor.encode(body)), KEY.public)
    except SealtrailError:
        return


def _signed(body: bytes) -> bytes:
    return cbor.encode([body, KEY.sign(body, labels.GATEWAY_RECEIPT)])


@EVERY
def test_other_encodings_of_the_same_are_refused(decode: Decoder, good: bytes) -> None:
    decode(good)
    for other in (good + b"\x00", b"\xd9\xd9\xf7" + good, b"\xc1" + good):
        with pytest.raises(SealtrailError):
            decode(other)


MAPS = {name: CODECS[name] for name in ("event", "seal", "record", "seal record")}


@pytest.mark.parametrize(("decode", "good"), MAPS.values(), ids=MAPS.keys())
def test_each_key_must_be_there_alone_and_a_number(decode: Decoder, good: bytes) -> None:
    item = cbor.decode(good, 4096)
    for key in item:
        without = {k: v for k, v in item.items() if k != key}
        for changed in (
            without,
            without | {str(key): item[key]},
            without | {float(key): item[key]},
            item | {key + 20: 0},
        ):
            with pytest.raises(FormatError, match="must be a map with the keys"):
                decode(cbor.encode(changed))
    with pytest.raises(FormatError, match="must be a map with the keys"):
        decode(cbor.encode({k: v for k, v in item.items() if k != 1} | {True: 1}))


# -- each field out of its range

NO_NUMBER: tuple[Any, ...] = (-1, 2**63, 2**64 - 1, True, 1.0, "1", b"1", None, [1])
NO_NAME: tuple[Any, ...] = ("", "A", "-a", ".a", "a b", "a/b", "a\n", "ä", "a" * 65, "a+", b"fridge-7", 7, None)
NO_HASH: tuple[Any, ...] = (b"", bytes(31), bytes(33), "h" * 32, None, 0)


def _each(**wrong: tuple[Any, ...]) -> list[tuple[int, Any]]:
    return [(int(key.removeprefix("k")), value) for key, values in wrong.items() for value in values]


EVENT_WRONG = _each(
    k1=(*NO_NUMBER, 0, 2), k2=NO_NAME, k3=NO_NUMBER, k4=NO_NUMBER, k5=NO_NUMBER, k6=NO_NUMBER,
    k7=NO_NUMBER, k8=(b"", bytes(15), bytes(17), "b" * 16), k9=(bytes(MAX_PAYLOAD_BYTES + 1), "{}", None),
)  # fmt: skip
SEAL_WRONG = _each(
    k1=(*NO_NUMBER, 0, 2), k2=NO_NAME, k3=NO_NUMBER, k4=(*NO_NUMBER, TOP - 2), k5=(*NO_NUMBER, 0,
    MAX_SEALED_EVENTS + 1), k6=NO_HASH, k7=NO_HASH, k8=NO_NUMBER, k9=NO_HASH,
)  # fmt: skip
RECORD_WRONG = _each(
    k1=(*NO_NUMBER, 0, 2), k2=(*NO_NUMBER, SEAL_KIND), k3=NO_NAME, k4=NO_NUMBER, k5=NO_NUMBER,
    k6=NO_NUMBER, k7=NO_NUMBER, k8=NO_NUMBER, k9=(*NO_NUMBER, 3), k10=NO_NUMBER, k11=NO_HASH, k12=NO_HASH,
)  # fmt: skip
SEAL_RECORD_WRONG = _each(k2=(1, 4.0), k11=NO_HASH, k13=NO_NUMBER)
BODY_WRONG = _each(
    k1=(*NO_NUMBER, 0, 2), k2=NO_NAME, k3=(b"plant", 7, None), k4=NO_NUMBER, k5=NO_NUMBER, k6=NO_HASH,
    k7=(None, {}, b"", [[1, 0, 1, bytes(32)]] * (MAX_RANGES + 1), [[1, 0, 1]], [[1, 0, 0, bytes(32)]],
        [[-1, 0, 1, bytes(32)]], [[1, -1, 1, bytes(32)]], [[2**63, 0, 1, bytes(32)]], [[1, 2**63, 1, bytes(32)]],
        [[1, 0, 2**63, bytes(32)]], [[1, 0, 1, bytes(31)]], [[True, 0, 1, bytes(32)]]),
)  # fmt: skip


def _name(case: Any) -> str:
    return str(case)[:40] if not isinstance(case, bytes) else f"{len(case)} bytes"


@pytest.mark.parametrize(
    ("decode", "good", "wrong"),
    [
        (Event.decode, EVENT.encode(), EVENT_WRONG),
        (Seal.decode, SEAL.encode(), SEAL_WRONG),
        (Record.decode, RECORD.encode(), RECORD_WRONG),
        (Record.decode, SEAL_RECORD.encode(), SEAL_RECORD_WRONG),
        (
            lambda body: open_acknowledgement(_signed(body), KEY.public),
            cbor.decode(STORED.sign(KEY), 4096)[0],
            BODY_WRONG,
        ),
    ],
    ids=["event", "seal", "record", "seal record", "acknowledgement"],
)
def test_each_field_out_of_its_range_is_refused(decode: Decoder, good: bytes, wrong: list[tuple[int, Any]]) -> None:
    decode(good)
    for key, value in wrong:
        item = cbor.decode(good, 4096) | {key: value}
        try:
            decode(cbor.encode(item))
        except FormatError:
            continue
        pytest.fail(f"key {key} was accepted with the value {_name(value)}")


def test_sizes_are_bounded_before_anything_is_read() -> None:
    for decode, bound in ((Event.decode, MAX_EVENT_BYTES), (Message.decode, MAX_MESSAGE_BYTES), (Seal.decode, 512),
                          (Record.decode, 1024)):  # fmt: skip
        with pytest.raises(LimitError, match=f"over the bound of {bound}"):
            decode(b"\xff" * (bound + 1))


def test_the_largest_event_fits_its_bound() -> None:
    event = Event("a" * 64, TOP, TOP, TOP, TOP, TOP, bytes(16), bytes(MAX_PAYLOAD_BYTES))
    assert Event.decode(event.encode()) == event


MESSAGES: dict[str, Any] = {
    "nothing in it": [1, [], []],
    "another version": [2, [b"e"], []],
    "a version that is true": [True, [b"e"], []],
    "two parts": [1, [b"e"]],
    "four parts": [1, [b"e"], [], []],
    "an event that is text": [1, ["e"], []],
    "a seal alone": [1, [], [b"s"]],
    "a seal of three": [1, [], [[b"s", b"s", b"s"]]],
    "a seal of text": [1, [], [["s", b"s"]]],
    "a map": {0: 1, 1: [b"e"], 2: []},
    "events in a map": [1, {0: b"e"}, []],
    "too many events": [1, [b""] * (MAX_EVENTS_PER_MESSAGE + 1), []],
    "too many seals": [1, [], [[b"", b""]] * (MAX_EVENTS_PER_MESSAGE + 1)],
}


@pytest.mark.parametrize("item", MESSAGES.values(), ids=MESSAGES.keys())
def test_messages_that_are_refused(item: Any) -> None:
    with pytest.raises(FormatError):
        Message.decode(cbor.encode(item))


def test_unknown_flags_are_kept_for_a_later_version() -> None:
    record = msgspec.structs.replace(RECORD, flags=RecordFlag(2**40))
    assert Record.decode(record.encode()).flags == 2**40


# -- seals and acknowledgements are believed only as they were signed


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_seal_verifies_under_its_own_key(algorithm: Algorithm) -> None:
    key = PrivateKey.generate(algorithm)
    seal = replace(SEAL, kid=key.public.kid)
    assert verify_seal(sign_seal(seal, key), key.public) == seal


FORGERIES: dict[str, dict[str, Any]] = {
    "source": {"source": "fridge-8"}, "boot": {"boot": 2}, "first": {"first": 1}, "count": {"count": 2},
    "root": {"root": bytes(32)}, "previous": {"previous": b"p" * 32}, "time": {"signed_us": 8},
}  # fmt: skip


@pytest.mark.parametrize("change", FORGERIES.values(), ids=FORGERIES.keys())
def test_an_altered_seal_is_refused(change: dict[str, Any]) -> None:
    signed = sign_seal(SEAL, KEY)
    with pytest.raises(SignatureError):
        verify_seal(SignedSeal(replace(SEAL, **change).encode(), signed.signature), KEY.public)


def test_a_seal_of_another_key_is_refused() -> None:
    # 1. Honestly named: another device's seal under this device's pinned key.
    theirs = sign_seal(replace(SEAL, kid=OTHER.public.kid), OTHER)
    with pytest.raises(SignatureError, match="the seal names key"):
        verify_seal(theirs, KEY.public)
    # 2. Falsely named: signed by the other key, naming ours.
    forged = SignedSeal(SEAL.encode(), OTHER.sign(SEAL.encode(), labels.SEAL))
    with pytest.raises(SignatureError, match="does not verify"):
        verify_seal(forged, KEY.public)
    # 3. Our key, another purpose.
    for label in (labels.ENROL, labels.GATEWAY_RECEIPT):
        with pytest.raises(SignatureError, match="does not verify"):
            verify_seal(SignedSeal(SEAL.encode(), KEY.sign(SEAL.encode(), label)), KEY.public)
    # 4. A signer that would name a key it does not hold.
    with pytest.raises(SignatureError, match="names another key"):
        sign_seal(SEAL, OTHER)


def test_form_is_checked_before_the_signature() -> None:
    with pytest.raises(FormatError):
        verify_seal(SignedSeal(b"\xff", bytes(64)), KEY.public)


RANGE = [content_hash(b"event %d" % n) for n in range(5)]
OVER_RANGE = replace(SEAL, count=5, root=root_of(RANGE))


def test_a_range_is_what_was_sealed() -> None:
    verify_range(OVER_RANGE, RANGE)


@pytest.mark.parametrize(
    "other",
    [
        RANGE[:4], RANGE[1:], [*RANGE, RANGE[4]], [], [RANGE[1], RANGE[0], *RANGE[2:]], RANGE[::-1],
        [*RANGE[:4], content_hash(b"event 5")], [*RANGE[:4], RANGE[3]],
    ],
    ids=["one less", "without the first", "one more", "none", "two swapped", "backwards", "one replaced", "one twice"],
)  # fmt: skip
def test_another_range_is_not(other: list[bytes]) -> None:
    with pytest.raises(ProofError):
        verify_range(OVER_RANGE, other)


def test_a_node_is_not_taken_for_an_event() -> None:
    """The second-preimage attack on Merkle trees: two inner nodes given as if they were two events."""
    left, right = root_of(RANGE[:2]), root_of(RANGE[2:4])
    assert root_of([left, right]) == root_of(RANGE[:4])
    with pytest.raises(ProofError, match="covers 4 events, 2 are there"):
        verify_range(replace(SEAL, count=4, root=root_of(RANGE[:4])), [left, right])
    inner = b"\x01" + RANGE[0] + RANGE[1]
    assert content_hash(inner[1:]) != left
    assert content_hash(inner) != left


def test_the_chain_names_the_seal_without_its_signature() -> None:
    signed = sign_seal(replace(SEAL, kid=GATEWAY.public.kid), GATEWAY)
    again = sign_seal(replace(SEAL, kid=GATEWAY.public.kid), GATEWAY)
    assert seal_hash(signed.seal) == seal_hash(again.seal)


@given(at=st.integers(min_value=0), flip=st.integers(1, 255))
def test_an_altered_acknowledgement_is_refused(at: int, flip: int) -> None:
    data = bytearray(STORED.sign(KEY))
    data[at % len(data)] ^= flip
    with pytest.raises(SealtrailError):
        open_acknowledgement(bytes(data), KEY.public)


def test_an_acknowledgement_of_another_gateway_or_purpose_is_refused() -> None:
    with pytest.raises(SignatureError):
        open_acknowledgement(STORED.sign(OTHER), KEY.public)
    with pytest.raises(SignatureError):
        open_acknowledgement(STORED.sign(GATEWAY), KEY.public)
    body = cbor.decode(STORED.sign(KEY), 4096)[0]
    with pytest.raises(SignatureError):
        open_acknowledgement(cbor.encode([body, KEY.sign(body, labels.SEAL)]), KEY.public)
    assert open_acknowledgement(STORED.sign(GATEWAY), GATEWAY.public) == STORED
