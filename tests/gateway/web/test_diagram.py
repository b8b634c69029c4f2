"""Where boxes and lines of a diagram lie: nothing overlaps, lines lead from left to right, and a cycle ends."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from gateway.web.diagram import BOX_HEIGHT, BOX_WIDTH, Edge, Node, diagram

KEYS = [f"n{i}" for i in range(12)]
EDGES = st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS)), max_size=30)


@given(EDGES)
def test_boxes_never_overlap_and_lie_inside(pairs: list[tuple[str, str]]) -> None:
    drawn = diagram([Node(key, key) for key in KEYS], [Edge(*pair) for pair in pairs])
    assert {box.node.key for box in drawn.boxes} == set(KEYS)
    for box in drawn.boxes:
        assert 0 <= box.x <= drawn.width - BOX_WIDTH
        assert 0 <= box.y <= drawn.height - BOX_HEIGHT
    for a, b in combinations(drawn.boxes, 2):
        assert abs(a.x - b.x) >= BOX_WIDTH or abs(a.y - b.y) >= BOX_HEIGHT


@given(EDGES)
def test_what_leads_somewhere_lies_before_it(pairs: list[tuple[str, str]]) -> None:
    forward = [(a, b) for a, b in pairs if KEYS.index(a) < KEYS.index(b)]  # no cycles
    drawn = diagram([Node(key, key) for key in KEYS], [Edge(*pair) for pair in forward])
    at = {box.node.key: box.x for box in drawn.boxes}
    assert all(at[a] < at[b] for a, b in forward)
    assert len(drawn.lines) == len(forward)


def test_an_edge_to_nothing_is_left_out() -> None:
    drawn = diagram([Node("a", "a")], [Edge("a", "b"), Edge("a", "a")])
    assert drawn.lines == ()
    assert diagram([], []).boxes == ()
