"""The small parts of the front door alone: ordered acknowledgements, kept sessions, topics."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.ingest.inbound import Channel, Verdict
from gateway.ingest.mqtt.acks import AckQueue
from gateway.ingest.mqtt.session import SessionKey, SessionTable
from gateway.ingest.mqtt.topics import Target, is_filter, is_source, target_of


@given(st.permutations(range(8)))
def test_acknowledgements_leave_in_the_order_of_their_messages(order: list[int]) -> None:
    queue = AckQueue(lambda: None)
    acks = [queue.expect(bytes((0, number + 1)), 10) for number in range(8)]
    left: list[bytes] = []
    for index in order:
        acks[index].done([Verdict.STORED])
        left += [ack.identifiers for ack in queue.settled()]
        assert left == [bytes((0, number + 1)) for number in range(len(left))]
        assert queue.size == 10 * len(queue) == 10 * queue.unacked
    assert len(left) == 8


def test_the_first_verdict_counts() -> None:
    woken: list[int] = []
    queue = AckQueue(lambda: woken.append(1))
    ack = queue.expect(b"\0\1", 0)
    ack.done([Verdict.REJECTED])
    ack.done([Verdict.STORED])
    assert ack.verdicts == [Verdict.REJECTED]
    assert woken == [1]


def test_session_is_resumed_until_it_expires_and_only_by_its_source() -> None:
    table = SessionTable(10)
    key = SessionKey("dev", "c")
    session, present = table.resume(key, clean=False, expiry_s=5, now=0)
    assert not present
    session.filters.add("x")
    table.keep(key, session, now=0)
    assert table.resume(SessionKey("other", "c"), clean=False, expiry_s=5, now=1)[1] is False
    again, present = table.resume(key, clean=False, expiry_s=5, now=4)
    assert present
    assert again.filters == {"x"}
    table.keep(key, again, now=4)
    assert table.resume(key, clean=False, expiry_s=5, now=9)[1] is False


def test_session_table_is_bounded_and_forgets_the_one_that_left_first() -> None:
    table = SessionTable(2)
    for number in range(3):
        key = SessionKey("dev", str(number))
        table.keep(key, table.resume(key, clean=True, expiry_s=9, now=number)[0], now=number)
    assert len(table) == 2
    assert [table.resume(SessionKey("dev", str(n)), False, 9, 3)[1] for n in range(3)] == [False, True, True]


def test_topics() -> None:
    assert target_of("st/1/dev-1.a_b/events") == Target("dev-1.a_b", Channel.EVENTS, "")
    assert target_of("st/1/dev/plain/reading") == Target("dev", Channel.PLAIN, "reading")
    for other in (
        "st/1/dev",
        "st/1/dev/events\n",
        "st/2/dev/events",
        "st/1/Dev/events",
        "st/1/dev/plain/",
        "st/1//events",
    ):
        assert target_of(other) is None
    assert target_of(f"st/1/{'x' * 64}/events") is not None
    assert target_of(f"st/1/{'x' * 65}/events") is None
    assert not is_source("dev\n")
    assert [is_filter(f) for f in ("a/#", "#", "+/a", "a#", "#/a", "a+/b")] == [True, True, True, False, False, False]
