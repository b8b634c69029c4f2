"""Bad input, performed: each ends as a dead letter with its reason, and what is behind it does not wait."""

import os
from collections.abc import Callable
from dataclasses import replace

import cbor2
import pytest

from chain.event import MAX_EVENT_BYTES, MAX_MESSAGE_BYTES, SignedSeal
from chain.record import Authentication, RecordFlag
from chain.seal import Seal, sign_seal
from crypto import labels
from crypto.keys import Algorithm, PrivateKey
from gateway.access import SourceSettings
from gateway.ingest.inbound import Verdict
from gateway.pipeline import batch as batch_module
from tests.support.site import Site
from tests.support.source import PRODUCTION, START_US, Source, message, payload_bytes

NO, FORBIDDEN, OK = Verdict.REJECTED, Verdict.NOT_AUTHORIZED, Verdict.STORED
HUGE = 10**5000  # more digits than Python turns into text


def _item(sender: Source, **changed: object) -> dict[int, object]:
    names = {"version": 1, "source": 2, "boot": 3, "seq": 4, "kind": 5, "schema": 6, "sensed": 7, "blind": 8, "pay": 9}
    item: dict[int, object] = {
        1: 1, 2: sender.name, 3: 1, 4: 900, 5: 1, 6: 1, 7: START_US, 8: os.urandom(16), 9: payload_bytes(None),
    }  # fmt: skip
    return item | {names[name]: value for name, value in changed.items()}


def _cbor(value: object) -> bytes:
    return cbor2.dumps(value, canonical=True)


def _raw(payload: bytes) -> Callable[[Source], bytes]:
    """A message whose only event has this payload."""
    return lambda source: message([_cbor(_item(source, pay=payload))])


def _fields(**changed: object) -> Callable[[Source], bytes]:
    """A message whose only event has these fields."""
    return lambda sender: message([_cbor(_item(sender, **changed))])


def _outer(payload: bytes) -> Callable[[Source], bytes]:
    return lambda source: payload


def _nested(depth: int) -> bytes:
    return b"\x81" * depth + b"\x00"


def _truncated(source: Source) -> bytes:
    return message([source.event()])[:-7]


def _truncated_event(source: Source) -> bytes:
    return message([source.event()[:-7]])


def _not_canonical(source: Source) -> bytes:
    item = _item(source)
    return message([cbor2.dumps(dict(reversed(item.items())))])


FORM: dict[str, tuple[Callable[[Source], bytes], Verdict, str]] = {
    "nothing": (_outer(b""), NO, "canonical CBOR"),
    "truncated message": (_truncated, NO, "canonical CBOR"),
    "truncated event": (_truncated_event, NO, "canonical CBOR"),
    "not canonical": (_not_canonical, NO, "in this order"),
    "oversized message": (_outer(_cbor([1, [bytes(MAX_MESSAGE_BYTES)], []])), NO, "over the bound"),
    "oversized event": (_outer(message([bytes(MAX_EVENT_BYTES + 1)])), NO, "over the bound"),
    "too many events": (_outer(_cbor([1, [b""] * 1025, []])), NO, "at most 1024 events"),
    "JSON on the events topic": (_outer(b'{"v": 1}'), NO, "CBOR"),
    "deeply nested CBOR": (_outer(_nested(100_000)), NO, "CBOR"),
    "deeply nested event": (lambda s: message([_nested(60_000)]), NO, "CBOR"),
    "a tag": (_outer(_cbor([1, [b""], cbor2.CBORTag(0, "2026-11-23T06:00:00Z")])), NO, "CBOR"),
    "a cycle": (_outer(b"\xd8\x1c\x81\xd8\x1d\x00"), NO, "CBOR"),
    "a number of five thousand digits": (_fields(source=HUGE), NO, "CBOR"),
    "a key of five thousand digits": (lambda s: message([_cbor({HUGE: 1})]), NO, "CBOR"),
    "a list as source": (_fields(source=["logger"] * 9), NO, "nesting depth"),
    "a path as source": (_fields(source="../../etc"), NO, "source name"),
    "negative seq": (_fields(seq=-1), NO, "seq"),
    "seq beyond 2^63-1": (_fields(seq=2**63), NO, "seq"),
    "seq beyond 2^64": (_fields(seq=2**64), NO, "CBOR"),
    "boot beyond 2^63-1": (_fields(boot=2**63), NO, "boot"),
    "true as a number": (_fields(seq=True), NO, "seq"),
    "a float as a number": (_fields(seq=1.5), NO, "seq"),
    "NaN as a number": (_fields(seq=float("nan")), NO, "seq"),
    "an unknown event version": (_fields(version=2), NO, "version 2"),
    "a wrong schema version": (_fields(schema=2), NO, "schema version 2"),
    "an unknown kind": (_fields(kind=77), NO, "77"),
    "the log's own kind": (_fields(kind=4), NO, "kind code"),
    "a kind that is not allowed": (_fields(kind=PRODUCTION), FORBIDDEN, "may not report"),
    "a short blind": (_fields(blind=b"short"), NO, "blind"),
    "text instead of payload bytes": (_fields(pay="text"), NO, "payload"),
    "another source's name": (_fields(source="somebody-else"), FORBIDDEN, "in the name of somebody-else"),
    "not JSON": (_raw(b"23.5 degrees"), NO, "schema"),
    "no payload": (_raw(b""), NO, "no bytes"),
    "truncated JSON": (_raw(b'[{"n":"t","v":1}'), NO, "nested deeper|brackets|schema"),
    "deeply nested JSON": (_raw(b"[" * 50_000), NO, "nested deeper"),
    "nested and closed JSON": (_raw(b"[" * 20_000 + b"]" * 20_000), NO, "nested deeper"),
    "not UTF-8": (_raw(b'[{"n":"t\xff","v":1}]'), NO, "."),
    "a lone surrogate": (_raw(b'[{"n":"\\ud800","v":1}]'), NO, "."),
    "NaN": (_raw(b'[{"n":"t","u":"Cel","v":NaN}]'), NO, "."),
    "Infinity": (_raw(b'[{"n":"t","u":"Cel","v":Infinity}]'), NO, "."),
    "beyond a double": (_raw(b'[{"n":"t","u":"Cel","v":1e999}]'), NO, "."),
    "a key twice": (_raw(b'[{"n":"t","v":1,"v":2}]'), NO, "twice"),
    "a payload of five thousand digits": (_raw(b'[{"n":"t","v":' + b"9" * 5000 + b"}]"), NO, "."),
}


@pytest.mark.parametrize("name", FORM)
def test_malformed_input_is_a_dead_letter_and_nobody_waits(shared_site: Site, name: str) -> None:
    build, verdict, reason = FORM[name]
    source = shared_site.enrol(f"bad-{list(FORM).index(name)}", SourceSettings(kinds=("reading",)))
    payload, good = build(source), Source(source.name, source.key, boot=2)
    before = len(shared_site.dead_letters())
    sends = [payload, message([good.event()]), payload, message([good.event()])]
    verdicts = shared_site.send_all([shared_site.inbound(source, one) for one in sends])
    assert verdicts == [verdict, OK, verdict, OK]
    (letter,) = shared_site.dead_letters()[before:]
    assert (letter.source, letter.times, letter.channel) == (source.name, 2, "events")
    _matches(reason, letter.reason)
    assert [r.boot for r in shared_site.records() if r.source == source.name] == [2, 2]
    assert shared_site.gateway.committer.failure is None


def _matches(pattern: str, text: str) -> None:
    with pytest.raises(ValueError, match=pattern):
        raise ValueError(text)


def test_what_is_good_in_a_message_is_stored_beside_what_is_bad(site: Site) -> None:
    source = site.enrol("logger")
    first, bad, last = source.event(), source.event(b"junk"), source.event()
    assert site.send(source, message([first, bad, last])) is NO
    assert [r.seq for r in site.records()] == [0, 2]
    assert site.dead_letters()[0].head == bad


# -- who may say what


def test_unknown_sources_are_refused(site: Site) -> None:
    stranger = Source("stranger")
    assert site.send(stranger, message([stranger.event()])) is FORBIDDEN
    assert "not enrolled" in site.dead_letters()[0].reason


def test_a_keyed_source_may_not_send_bare_payloads_nor_a_plain_one_events(site: Site) -> None:
    keyed, plain = site.enrol("keyed"), Source("meter")
    site.plain("meter")
    assert site.send("keyed", payload_bytes(5.0), plain="reading") is FORBIDDEN
    assert site.send("meter", message([plain.event()])) is FORBIDDEN
    assert site.send("meter", payload_bytes(5.0), plain="no-such-kind") is NO
    assert site.send("meter", payload_bytes(5.0), plain="reading") is OK
    assert [r.authentication for r in site.records()] == [Authentication.GATEWAY_ONLY]
    assert [letter.source for letter in site.dead_letters()] == ["keyed", "meter", "meter"]
    assert site.send(keyed, message([keyed.event()])) is OK


def test_a_plain_source_that_repeats_its_junk_is_one_dead_letter(site: Site) -> None:
    """Kept as it came: our envelope around it, with its random blind, would make every repeat a new one."""
    site.plain("meter")
    for _ in range(3):
        assert site.send("meter", b"junk", plain="reading") is NO
    (letter,) = site.dead_letters()
    assert (letter.head, letter.size, letter.times, letter.channel) == (b"junk", 4, 3, "plain")


def test_a_source_behind_an_unauthenticated_door_is_logged_as_the_gateways_word(site: Site) -> None:
    source = site.enrol("logger")
    assert site.send(source, message([source.event()]), authenticated=False) is OK
    raw = source.event()
    source.sealed = 0
    assert site.send(source, message([raw], source.seal()), authenticated=False) is OK
    records = site.records()
    assert [r.authentication for r in records[:2]] == [Authentication.GATEWAY_ONLY, Authentication.SIGNED]


def test_a_revoked_source_is_refused_at_once_and_for_ever(site: Site) -> None:
    source = site.enrol("stolen")
    assert site.send(source, message(source.batch(2), source.seal())) is OK
    site.run(site.gateway.revoke("stolen", "stolen from the truck"))
    assert site.send(source, message([source.event()])) is FORBIDDEN
    assert site.send(source, message([], source.seal())) is FORBIDDEN
    assert all("revoked" in letter.reason for letter in site.dead_letters())
    assert len(site.records()) == 3


# -- seals


def _forged(source: Source) -> SignedSeal:
    seal = source.seal()
    return SignedSeal(seal.seal, bytes([seal.signature[0] ^ 1]) + seal.signature[1:])


def _no_signature(source: Source) -> SignedSeal:
    return SignedSeal(source.seal().seal, b"")


def _of_another_key(source: Source) -> SignedSeal:
    thief = PrivateKey.generate(Algorithm.ED25519)
    return sign_seal(replace(source.draft(), kid=thief.public.kid), thief)


def _claims_the_key(source: Source) -> SignedSeal:
    thief, seal = PrivateKey.generate(Algorithm.ED25519), source.draft().encode()
    return SignedSeal(seal, thief.sign(seal, labels.SEAL))


def _wrong_algorithm(source: Source) -> SignedSeal:
    other, seal = PrivateKey.generate(Algorithm.ML_DSA_44), source.draft().encode()
    return SignedSeal(seal, other.sign(seal, labels.SEAL))


def _wrong_purpose(source: Source) -> SignedSeal:
    seal = source.draft().encode()
    return SignedSeal(seal, source.key.sign(seal, labels.ENROL))


def _for_another(source: Source) -> SignedSeal:
    return sign_seal(replace(source.draft(), source="somebody-else"), source.key)


def _too_many(source: Source) -> SignedSeal:
    seal = Seal("logger", 1, 0, 65_537, bytes(32), bytes(32), START_US, source.key.public.kid)
    return sign_seal(seal, source.key)


def _not_from_zero(source: Source) -> SignedSeal:
    return sign_seal(source.draft(first=1), source.key)


def _wrong_previous(source: Source) -> SignedSeal:
    return sign_seal(replace(source.draft(), previous=bytes(31) + b"\x01"), source.key)


def _junk(source: Source) -> SignedSeal:
    return SignedSeal(b"\xff" * 300, bytes(64))


@pytest.mark.parametrize(
    ("make", "verdict", "reason"),
    [
        (_forged, NO, "does not verify"),
        (_no_signature, NO, "signatures are 64 bytes, got 0"),
        (_of_another_key, NO, "has no key"),
        (_claims_the_key, NO, "does not verify"),
        (_wrong_algorithm, NO, "signatures are 64 bytes, got 2420"),
        (_wrong_purpose, NO, "does not verify"),
        (_for_another, FORBIDDEN, "in the name of somebody-else"),
        (_too_many, NO, "65536"),
        (_not_from_zero, NO, "must begin at 0"),
        (_wrong_previous, NO, "does not follow its last one"),
        (_junk, NO, "CBOR"),
    ],
)  # fmt: skip
def test_a_bad_seal_is_refused_and_its_events_are_kept(
    site: Site, make: Callable[[Source], SignedSeal], verdict: Verdict, reason: str
) -> None:
    source = site.enrol("logger")
    raw = source.batch(3)
    assert site.send(source, message(raw, make(source))) is verdict
    (letter,) = site.dead_letters()
    assert reason in letter.reason
    assert [r.authentication for r in site.records()] == [Authentication.SESSION] * 3
    good = Source("logger", source.key, events=source.events, seq=3)
    assert site.send(source, message([], good.seal())) is OK  # and the true one is welcome afterwards


def _hole(source: Source) -> SignedSeal:
    source.batch(4)
    return sign_seal(source.draft(first=5), source.key)


def _overlap(source: Source) -> SignedSeal:
    source.batch(4)
    return sign_seal(source.draft(first=2), source.key)


def _first_of_boot_not_at_zero(source: Source) -> SignedSeal:
    source.restart()
    source.batch(3)
    return sign_seal(source.draft(first=1), source.key)


def _previous_of_another(source: Source) -> SignedSeal:
    source.batch(1)
    return sign_seal(replace(source.draft(), previous=bytes(32)), source.key)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_hole, "expected first 3, got 5"),
        (_overlap, "expected first 3, got 2"),
        (_first_of_boot_not_at_zero, "must begin at 0, got 1"),
        (_previous_of_another, "does not follow its last one"),
    ],
)
def test_a_seal_that_does_not_continue_the_chain_is_refused(
    site: Site, make: Callable[[Source], SignedSeal], reason: str
) -> None:
    source = site.enrol("logger")
    assert site.send(source, message(source.batch(3), source.seal())) is OK
    bad = make(source)
    assert site.send(source, message([], bad)) is NO
    assert reason in site.dead_letters()[0].reason
    assert bool(site.alerts("conflict")) is ("does not follow" in reason)


@pytest.mark.parametrize("algorithm", [Algorithm.ML_DSA_44, Algorithm.ML_DSA_65])
def test_post_quantum_sources_seal_too(site: Site, algorithm: Algorithm) -> None:
    source = site.enrol("quantum", algorithm=algorithm)
    assert site.send(source, message(source.batch(2), source.seal())) is OK
    other = PrivateKey.generate(Algorithm.ED25519)
    seal = source.draft(first=0, count=2).encode()
    assert site.send(source, message([], SignedSeal(seal, other.sign(seal, labels.SEAL)))) is NO


# -- numbers and times at the edges


def test_a_jump_to_the_last_number_there_is(site: Site) -> None:
    source, last = site.enrol("logger"), 2**63 - 1
    assert site.send(source, message([source.event()])) is OK
    source.seq = last
    assert site.send(source, message([source.event()])) is OK
    source.seq = 1
    assert site.send(source, message(source.batch(2))) is OK
    assert [r.seq for r in site.records()] == [0, last, 1, 2]
    clone = Source("logger", source.key, seq=last)
    assert site.send(source, message([clone.event()])) is NO  # a conflict, found at the edge too
    with site.reader() as reader:
        assert reader.ranges.leaf_of("logger", 1, last) == 1


def test_a_seal_at_the_last_number_is_refused(site: Site) -> None:
    source, last = site.enrol("logger"), 2**63 - 1
    source.seq = source.sealed = last
    raw = source.event()
    assert site.send(source, message([raw], sign_seal(source.draft(), source.key))) is NO
    assert [r.seq for r in site.records()] == [last]


@pytest.mark.parametrize(
    ("sensed_us", "flags"),
    [
        (START_US, RecordFlag.NONE),
        (START_US - 299_000_000, RecordFlag.NONE),
        (START_US - 301_000_000, RecordFlag.LATE),
        (0, RecordFlag.LATE),
        (1, RecordFlag.LATE),
        (START_US + 59_000_000, RecordFlag.NONE),
        (START_US + 61_000_000, RecordFlag.SUSPECT),
        (2**63 - 1, RecordFlag.SUSPECT),
    ],
)
def test_clocks_that_cannot_be_right_are_flagged_and_kept(site: Site, sensed_us: int, flags: RecordFlag) -> None:
    source = site.enrol("logger")
    assert site.send(source, message([source.event(5.0, sensed_us=sensed_us)], source.seal())) is OK
    record = site.records()[0]
    assert (record.flags, record.sensed_us, record.received_us) == (flags, sensed_us, START_US)


@pytest.mark.parametrize("seconds", ["-1e11", "1e308", "-62135596801", "253402300800", "1e300"])
def test_times_inside_a_payload_never_make_a_record_that_cannot_be_read(site: Site, seconds: str) -> None:
    source = site.enrol("logger")
    payload = b'[{"n":"t","u":"Cel","v":4,"t":' + seconds.encode() + b"}]"
    site.send(source, message([source.event(payload)], source.seal()))
    site.drain()
    records = site.records()  # each one is parsed strictly
    assert len(records) + len(site.dead_letters()) >= 2


def test_implausible_values_are_flagged_and_kept(site: Site) -> None:
    source = site.enrol("logger")
    unknown = [{"n": "t", "u": "furlong", "v": 1}]
    verdicts = site.send_all([site.inbound(source, message([source.event(value)])) for value in (-400.0, unknown)])
    assert verdicts == [OK, OK]
    assert all(r.flags & RecordFlag.SUSPECT for r in site.records())


def test_an_excursion_is_flagged_urgent_and_alerted_once(site: Site) -> None:
    source = site.enrol("logger")
    for value in (5.0, 9.5, 9.7, 5.0, 9.9):
        assert site.send(source, message([source.event(value)])) is OK
    both = RecordFlag.OUT_OF_RANGE | RecordFlag.URGENT
    assert [r.flags for r in site.records()] == [RecordFlag.NONE, both, both, RecordFlag.NONE, both]
    assert [a.leaf for a in site.alerts("excursion")] == [1, 4]
    site.wait(lambda: site.gateway.anchorer.state.anchored_size == 5)  # nobody asked: urgency did


# -- bounds and faults


def test_dead_letters_are_bounded_and_what_is_dropped_is_counted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chain.store.notices.MAX_ROWS", 20)
    stranger = Source("stranger")
    sends = [site.inbound(stranger, message([stranger.event()])) for _ in range(50)]
    assert set(site.send_all(sends)) == {FORBIDDEN}
    letters = site.dead_letters()
    assert len(letters) == 20
    assert letters[-1].head == sends[-1].payloads[0]
    with site.reader() as reader:
        assert reader.notices.counts()["dropped_dead_letter"] == 30
    big = Source("big")
    site.send(big, message([big.event(b"x" * 50_000)]))
    assert (site.dead_letters()[-1].size > 50_000, len(site.dead_letters()[-1].head)) == (True, 4096)


def test_a_fault_in_a_kind_costs_one_event_and_not_the_gateway(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single poisoned message must not hold up everything behind it for ever."""
    from gateway.preprocess.reading import Reading

    honest = Reading.prepare

    def poisoned(self: Reading, payload: bytes, context: object) -> object:
        if b"poison" in payload:
            raise RuntimeError("a fault of this kind")
        return honest(self, payload, context)  # type: ignore[arg-type]

    monkeypatch.setattr(Reading, "prepare", poisoned)
    source, other = site.enrol("logger"), site.enrol("other")
    bad = source.event([{"n": "poison", "vb": True}])  # a form that the native core leaves to Python
    sends = [(source, [bad]), (other, other.batch(2)), (source, source.batch(2)), (source, [bad])]
    verdicts = site.send_all([site.inbound(s, message(raw)) for s, raw in sends])
    assert verdicts == [NO, OK, OK, NO]
    (letter,) = site.dead_letters()
    assert (letter.reason[:14], letter.head, letter.times) == ("internal fault", bad, 2)
    assert [a.text for a in site.alerts("fault")] == [letter.reason]
    assert {(r.source, r.seq) for r in site.records()} == {("other", 0), ("other", 1), ("logger", 1), ("logger", 2)}
    monkeypatch.undo()
    assert site.send(source, message([bad])) is OK  # after the repair the device's own copy is taken


def test_a_subject_whose_key_is_gone_stops_only_its_own_source(site: Site) -> None:
    gone, other = site.enrol("gone"), site.enrol("other")
    assert site.send(gone, message([gone.event()])) is OK
    with site.gateway.committer._site.db.transaction() as tx:
        tx.execute("UPDATE subject SET wrapped_key = NULL WHERE name = 'gone'")
    site.gateway.committer._site.payloads.forget_cached()
    sends = [site.inbound(gone, message([gone.event()])), site.inbound(other, message([other.event()]))]
    assert site.send_all(sends) == [NO, OK]
    assert "was erased" in site.dead_letters()[0].reason


def test_store_failures_are_never_blamed_on_the_input() -> None:
    """What is durable is not decided by one message: those exceptions stop the commit instead."""
    import sqlite3

    from chain.errors import DiskFullError, LogError, StoreError

    for failure in (StoreError, DiskFullError, LogError, sqlite3.OperationalError, OSError, MemoryError):
        assert issubclass(failure, batch_module._STORE_FAILURES)
