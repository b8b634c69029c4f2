"""Exactly once: whatever order, repetition and batching messages come in, each number is one record."""

import itertools
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.acknowledgement import Acknowledgement
from chain.event import SignedSeal, Span, content_hash
from chain.fsck import fsck
from chain.record import SEAL_KIND
from chain.seal import seal_hash
from crypto.merkle import root_of
from gateway.ingest.inbound import Inbound, Verdict
from tests.support.site import Site
from tests.support.source import Source, message

_names = itertools.count()


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[list[int]], list[list[int]]]:
    """For each source the sizes of its messages; and batches of message numbers, each at least once, repeated,
    in any order."""
    sizes = draw(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=5), min_size=1, max_size=3))
    total = sum(map(len, sizes))
    repeats = draw(st.lists(st.integers(0, total - 1), max_size=8))
    order = draw(st.permutations([*range(total), *repeats]))
    cuts = sorted(draw(st.sets(st.integers(1, max(len(order) - 1, 1)), max_size=4)))
    bounds = [0, *cuts, len(order)]
    return sizes, [order[a:b] for a, b in itertools.pairwise(bounds)]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deliveries())
def test_any_interleaving_stores_each_number_once(
    shared_site: Site, plan: tuple[list[list[int]], list[list[int]]]
) -> None:
    sizes, batches = plan
    sources = [shared_site.enrol(f"source-{next(_names)}") for _ in sizes]
    sent = [(s, s.batch(n)) for s, counts in zip(sources, sizes, strict=True) for n in counts]
    shared_site.gateway.said.clear()
    for numbers in batches:
        inbound = [shared_site.inbound(sent[n][0], message(sent[n][1])) for n in numbers]
        assert set(shared_site.send_all(inbound)) <= {Verdict.STORED}
    _each_number_once(shared_site, sources)
    shared_site.drain()
    for source in sources:
        _acknowledged_as_sent(source, shared_site.acknowledgements(source.name))


def _each_number_once(site: Site, sources: list[Source]) -> None:
    names = {source.name for source in sources}
    records = [(leaf, r) for leaf, r in enumerate(site.records()) if r.source in names]
    assert Counter((r.source, r.boot, r.seq) for _, r in records) == Counter(
        (s.name, s.boot, seq) for s in sources for seq in range(s.seq)
    )
    hashes = {(s.name, seq): content_hash(raw) for s in sources for seq, raw in s.events.items()}
    with site.reader() as reader:
        for leaf, record in records:
            assert record.content_hash == hashes[record.source, record.seq]
            assert reader.ranges.leaf_of(record.source, record.boot, record.seq) == leaf
        for source in sources:
            assert reader.ranges.missing(source.name, Span(source.boot, 0, source.seq)) == []


def _acknowledged_as_sent(source: Source, said: list[Acknowledgement]) -> None:
    covered: set[int] = set()
    for stored in itertools.chain.from_iterable(ack.ranges for ack in said):
        numbers = range(stored.first, stored.first + stored.count)
        assert stored.digest == root_of([content_hash(source.events[seq]) for seq in numbers])
        covered.update(numbers)
    assert covered == set(range(source.seq))


def test_the_whole_site_of_all_those_interleavings_is_whole(shared_site: Site) -> None:
    shared_site.drain()
    assert fsck(shared_site.folder).entries == len(shared_site.records())


def test_repeats_of_seals_are_stored_once_and_acknowledged(site: Site) -> None:
    source = site.enrol("logger")
    raw, seal = source.batch(3), source.seal()
    whole = message(raw, seal)
    assert site.send_all([site.inbound(source, whole)] * 3) == [Verdict.STORED] * 3
    assert site.send(source, message([], seal)) is Verdict.STORED
    site.drain()
    assert [r.kind == SEAL_KIND for r in site.records()] == [False] * 3 + [True]
    assert site.acknowledgements("logger")[-1].sealed == seal_hash(seal.seal)
    assert site.gateway.committer.counters.duplicates == 9  # twice 3 events and a seal, and the seal once more


def test_acknowledgements_of_new_events_name_the_newest_stored_seal(site: Site) -> None:
    """docs/formats/device.md: `sealed` is the hash of the last seal that is stored, zeros for none."""
    source = site.enrol("logger")
    site.send(source, message(source.batch(1)))
    site.drain()
    assert site.acknowledgements("logger")[-1].sealed == bytes(32)
    site.send(source, message([], source.seal()))
    site.send(source, message(source.batch(1)))
    site.drain()
    assert site.acknowledgements("logger")[-1].sealed == source.previous


def test_acknowledgements_keep_repeats_and_new_events_apart(site: Site) -> None:
    source = site.enrol("logger")
    old = source.batch(2)
    site.send(source, message(old))
    site.drain()
    site.gateway.said.clear()
    site.send(source, message(old + source.batch(3)))
    site.drain()
    ranges = {(r.first, r.count) for r in site.acknowledgements("logger")[-1].ranges}
    assert ranges == {(0, 2), (2, 3)}


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two"])
def test_the_same_number_with_other_bytes_is_a_conflict(site: Site, together: bool) -> None:
    source = site.enrol("logger")
    clone = Source("logger", source.key)
    first, second = source.event(4.0), clone.event(5.0)
    sends = [site.inbound(source, message([raw])) for raw in (first, second, source.event(6.0))]
    verdicts = site.send_all(sends) if together else [site.send_all([one])[0] for one in sends]
    assert verdicts == [Verdict.STORED, Verdict.REJECTED, Verdict.STORED]
    assert [r.content_hash for r in site.records()] == [content_hash(source.events[seq]) for seq in (0, 1)]
    (letter,) = site.dead_letters()
    assert "boot 1 seq 0 of logger came again with other bytes" in letter.reason
    assert letter.head == second
    assert [a.text for a in site.alerts("conflict")] == [letter.reason]


def test_a_device_that_repeats_its_conflict_does_not_push_other_alerts_out(site: Site) -> None:
    source = site.enrol("logger")
    clone = Source("logger", source.key)
    site.send(source, message([source.event()]))
    again = message([clone.event(5.5)])
    assert site.send_all([site.inbound(source, again)] * 30) == [Verdict.REJECTED] * 30
    assert [letter.times for letter in site.dead_letters()] == [30]
    assert len(site.alerts("conflict")) == 1


def _chain_again(source: Source) -> SignedSeal:
    return source.seal(signed_us=7)


def _another_range(source: Source) -> SignedSeal:
    source.batch(2)
    return source.seal()


@pytest.mark.parametrize("second", [_chain_again, _another_range])
def test_two_seals_that_begin_at_one_number_are_a_conflict(site: Site, second: Callable[[Source], SignedSeal]) -> None:
    source = site.enrol("logger")
    clone = Source("logger", source.key)
    site.send(source, message(source.batch(2), source.seal()))
    clone.events, clone.seq = dict(source.events), 2
    other = second(clone)
    assert site.send(source, message([], other)) is Verdict.REJECTED
    assert "differently" in site.dead_letters()[0].reason
    assert len(site.alerts("conflict")) == 1


def test_plain_payloads_leave_no_holes_in_their_numbers(site: Site) -> None:
    """A hole always means a record that is gone: what is refused takes no number."""
    site.plain("meter")
    good, bad = b'[{"n":"t","u":"Cel","v":4}]', b"{"
    sends = [site.inbound("meter", payload, plain="reading") for payload in (good, bad, good, bad, bad, good)]
    ok, no = Verdict.STORED, Verdict.REJECTED
    assert site.send_all(sends) == [ok, no, ok, no, no, ok]
    assert site.send("meter", bad, plain="reading") is no
    assert site.send("meter", good, plain="reading") is ok
    assert [r.seq for r in site.records()] == [0, 1, 2, 3]


def test_a_redelivered_plain_payload_is_never_taken_for_an_earlier_one(site: Site) -> None:
    """It has no number: an equal payload that never arrived would look the same, so it is logged again."""
    site.plain("meter")
    payload = b'[{"n":"t","u":"Cel","v":4}]'
    first = site.inbound("meter", payload, plain="reading")
    again: Inbound = site.inbound("meter", payload, plain="reading")
    assert site.send_all([first]) == site.send_all([again]) == [Verdict.STORED]
    assert [r.seq for r in site.records()] == [0, 1]
