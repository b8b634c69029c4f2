"""The committer's queue: nothing lost, each lane in order, and nobody kept waiting by somebody else's flood."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.ingest.inbound import Channel, Inbound
from gateway.pipeline.fair_queue import OVERHEAD_BYTES, FairQueue


def inbound(source: str, number: int = 0, size: int = 8, *, authenticated: bool = True) -> Inbound:
    payload = number.to_bytes(size, "big")
    return Inbound(source, authenticated, Channel.EVENTS, "", [payload], size, 0, "front", lambda verdicts: None)


SENT = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(8, 40_000)), max_size=60)


@given(SENT, st.integers(1, 200_000))
def test_all_come_out_once_and_each_lane_in_its_order(sent: list[tuple[str, int]], size: int) -> None:
    queue = FairQueue(1_000_000)
    for number, (source, length) in enumerate(sent):
        queue.put(inbound(source, number, length))
    assert queue.size == sum(length + OVERHEAD_BYTES for _, length in sent)
    out: list[tuple[str, int]] = []
    while queue:
        taken = queue.take(size)
        assert taken
        out += [(m.source, int.from_bytes(m.payloads[0], "big")) for m in taken]
    assert queue.size == 0
    for lane in "abcd":
        assert [n for source, n in out if source == lane] == [n for n, (source, _) in enumerate(sent) if source == lane]


@given(st.integers(1, 10), st.integers(0, 9), st.integers(8, 4000))
def test_one_message_is_in_the_next_batch_whatever_floods(floods: int, before: int, size: int) -> None:
    queue = FairQueue(10**9)
    for number in range(1200):
        for flood in range(floods):
            queue.put(inbound(f"flood-{flood}", number, size))
    for _ in range(before):
        queue.take(1_000_000)
    queue.put(inbound("polite"))
    assert "polite" in [m.source for m in queue.take(1_000_000)]


@given(st.integers(1, 20))
def test_floods_share_and_leave_room(floods: int) -> None:
    bound = 1_000_000
    queue = FairQueue(bound)
    names = [f"flood-{n}" for n in range(floods)]
    while waiting := [name for name in names if not queue.crowded(name)]:
        for name in waiting:
            queue.put(inbound(name, size=744))
    assert not queue.full
    assert not queue.crowded("polite")
    assert bound - queue.size >= bound // (floods + 1) - 1000 * floods, "no room is left for who comes now"
    assert queue.size >= bound * floods // (floods + 1) - 1000 * floods, "they may use what nobody else needs"


def test_a_full_queue_crowds_everybody() -> None:
    queue = FairQueue(1000)
    queue.put(inbound("a", size=2000))
    assert queue.full
    assert queue.crowded("a")
    assert queue.crowded("b")


def test_what_no_door_authenticated_shares_one_lane() -> None:
    queue = FairQueue(10_000)
    for number in range(10):
        queue.put(inbound(f"claimed-{number}", size=500, authenticated=False))
    assert queue.crowded("")
    assert not queue.crowded("claimed-0"), "nobody uses up a source's share by saying its name"
