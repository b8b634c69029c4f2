"""Seals that the native core looks at: what it reads in them is what Python reads, what it knows to hold does hold, and
good and bad ones end as they do without it. Skipped where it was not built."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from chain.event import SignedSeal, content_hash
from chain.record import Authentication
from chain.seal import Seal, sign_seal, verify_range
from chain.store.seals import SealState
from crypto import bulk, labels
from crypto.keys import PrivateKey
from crypto.merkle import root_of
from gateway.ingest.inbound import Inbound, Verdict
from gateway.pipeline.opening import Openers, native
from gateway.pipeline.sources import EnrolledSource
from gateway.pipeline.stretch import CameSeal
from tests.support.site import Site
from tests.support.source import START_US, Source, message

pytestmark = pytest.mark.skipif(native is None, reason="the native core was not built: no Rust compiler was there")
ENROLLED = EnrolledSource("logger", (), frozenset({"reading"}), False, ())
EVENTS = Source("logger", boot=3).batch(4)
HASHES = [content_hash(raw) for raw in EVENTS]


def _seals(messages: list[bytes]) -> list[CameSeal]:
    opener = Openers(3_600_000_000).of(ENROLLED)
    assert opener is not None
    opened = opener.open(messages, 0, [START_US] * len(messages), Authentication.SESSION)
    assert opened is not None
    return opened.seals


numbers = st.sampled_from([0, 1, 2, 3, 23, 24, 255, 256, 65_536, 65_537, 2**32, 2**63 - 1, 2**63, -1, None])
strings = st.sampled_from(["logger2", "", b"", bytes(31), bytes(32), 0])


@st.composite
def encoded_seals(draw: st.DrawFn) -> bytes:
    """As devices make them, some with one field changed or one byte damaged."""
    first, count = draw(st.integers(0, 3)), draw(st.integers(1, 4))
    root = root_of(HASHES[first : first + count])
    item: dict[int, Any] = {1: 1, 2: "logger", 3: 3, 4: first, 5: count, 6: root, 7: bytes(32), 8: 9, 9: bytes(32)}
    what = draw(st.integers(0, 5))
    if what == 0:
        item[draw(st.sampled_from([1, 3, 4, 5, 8]))] = draw(numbers)
    if what == 1:
        item[draw(st.sampled_from([2, 6, 7, 9]))] = draw(strings)
    encoded = cbor2.dumps(item)
    if what == 2:
        cut = draw(st.integers(0, len(encoded) - 1))
        encoded = encoded[:cut] + draw(st.binary(max_size=2)) + encoded[cut + 1 :]
    return encoded


@settings(max_examples=200)
@given(st.lists(encoded_seals(), min_size=1, max_size=4))
def test_what_a_seal_says_and_covers_is_what_python_reads(encoded: list[bytes]) -> None:
    came = _seals([message(EVENTS, *(SignedSeal(seal, b"signature") for seal in encoded))])
    assert [(number, seal, signature) for number, seal, signature, _, _ in came] == [
        (0, seal, b"signature") for seal in encoded
    ]
    for _, seal, _, said, covers in came:
        assert said or not covers
        if said:
            assert Seal("logger", *said) == Seal.decode(seal)
        if covers:
            read = Seal.decode(seal)
            assert read.boot == 3
            verify_range(read, HASHES[read.first : read.first + read.count])


def test_seals_as_devices_make_them_are_known_to_hold() -> None:
    source = Source("logger", boot=3)
    came = _seals([message(source.batch(n), source.seal()) for n in (1, 3, 1, 64)])
    said = [(number, parts and parts[1:3], covers) for number, _, _, parts, covers in came]
    assert said == [(0, (0, 1), True), (1, (1, 3), True), (2, (4, 1), True), (3, (5, 64), True)]


def test_a_seal_over_other_bytes_or_over_what_is_not_here_is_left_to_python() -> None:
    source = Source("logger", boot=3)
    events, other = source.batch(8), Source("logger", source.key, boot=3)
    other.batch(8)
    drafts = [other.draft(), source.draft(first=0, count=9), source.draft(first=1, count=8)]
    assert [came[4] for came in _seals([message(events, *(sign_seal(d, source.key) for d in drafts))])] == [False] * 3
    later = _seals([message(events[4:], sign_seal(source.draft(first=3, count=5), source.key))])
    assert [came[4] for came in later] == [False]


def test_no_event_is_hashed_twice_however_many_seals_cover_it() -> None:
    """Seals are looked at before their signatures are verified: they must not cost more than what came."""
    source = Source("logger", boot=3)
    events = source.batch(8)
    seals = [sign_seal(source.draft(first=0, count=count), source.key) for count in (8, 8, 4, 1)]
    assert [came[4] for came in _seals([message(events, *seals)])] == [True, False, False, False]


def _refused(good: SignedSeal, key: PrivateKey) -> list[SignedSeal]:
    """What is to be refused in place of a good seal, each for another reason."""
    draft, signature = Seal.decode(good.seal), good.signature
    return [
        SignedSeal(good.seal, signature[:-1] + bytes((signature[-1] ^ 1,))),
        SignedSeal(good.seal, Source("logger").key.sign(good.seal, labels.SEAL)),
        SignedSeal(good.seal + b"\0", signature),
        sign_seal(replace(draft, previous=b"\1" * 32), key),
        sign_seal(replace(draft, first=draft.first + 1), key),
        sign_seal(replace(draft, source="logger2"), key),
    ]


def _good_and_bad(source: Source, rng: random.Random) -> list[bytes]:
    """A chain of forty seals, five of them over other bytes than were sent, with thirty between that are refused; then
    one that is known, and one that is not what it was."""
    sends = []
    for n in range(40):
        events = source.batch(rng.choice([1, 1, 3]))
        if n % 8 == 7:
            source.events[source.seq - 1] = b"other bytes"
        good = source.seal()
        if n % 8 < 6:
            sends.append(message(events, _refused(good, source.key)[n % 8]))
            events = []
        sends.append(message(events, good))
    again = replace(Seal.decode(good.seal), signed_us=1)
    return [*sends, sends[1], message([], sign_seal(again, source.key))]


async def _in_one_batch(site: Site, came: Inbound) -> list[Verdict]:
    answer: asyncio.Future[list[Verdict]] = asyncio.get_running_loop().create_future()
    site.gateway.committer.inbox.submit(structs.replace(came, done=answer.set_result))
    async with asyncio.timeout(20):
        return await answer


def _what_came_of_it(site: Site, sends: list[bytes]) -> dict[str, list[Any]]:
    came = structs.replace(site.inbound("logger", b""), payloads=sends, size=sum(map(len, sends)))
    verdicts = site.run(_in_one_batch(site, came))
    with site.reader() as reader:
        stored = [(leaf, s.seal, s.signed, s.state) for (leaf, *_), s in reader.seals.all()]
    records = [(r.kind, r.seq, r.authentication, r.flags, r.count, r.content_hash) for r in site.records()]
    refused = [(letter.reason, letter.head) for letter in site.dead_letters()]
    alerts = [(alert.kind, alert.text, alert.leaf) for alert in site.alerts()]
    return {"verdicts": verdicts, "stored": stored, "records": records, "refused": refused, "alerts": alerts}


def test_good_and_bad_seals_end_alike_without_the_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One batch: the same verdicts, records, states, reasons and alerts."""
    key = Source("logger").key
    sends = _good_and_bad(Source("logger", key), random.Random(5))
    with Site(tmp_path / "core") as site:
        site.enrol("logger", key=key)
        found = _what_came_of_it(site, sends)
    with Site(tmp_path / "python") as site:
        site.enrol("logger", key=key)
        site.without_native_core()
        monkeypatch.setattr(bulk, "ed25519_holds", None)
        assert _what_came_of_it(site, sends) == found
    assert [state for *_, state in found["stored"]].count(SealState.BROKEN) == 5
    assert len(found["stored"]) == 40
    assert len(found["refused"]) == 31
    assert len({reason[:24] for reason, _ in found["refused"]}) == 6
    assert {kind for kind, *_ in found["alerts"]} == {"broken-seal", "conflict"}


def test_a_seal_that_names_another_key_than_the_one_that_signed_it_is_refused(site: Site) -> None:
    """Signatures are tried under the newest key before anyone has read which key the seal names."""
    source, new = site.enrol("logger"), Source("logger").key
    site.send(source, message(source.batch(1), source.seal()))
    site.drain()
    site.rotate(source, new, len(site.records()))
    events, encoded = source.batch(1), source.draft().encode()
    lie = SignedSeal(encoded, new.sign(encoded, labels.SEAL))
    assert site.send(source, message(events, lie)) is Verdict.REJECTED
    assert [letter.reason[:34] for letter in site.dead_letters()] == ["ed25519 signature does not verify "]
