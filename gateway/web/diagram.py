"""Geometry of diagrams: things and what leads from one to another, in columns from left to right; the templates draw.

Numbers in, SVG coordinates out. Layers by the longest way from a beginning (Sugiyama, without dummy nodes), each
ordered by where its neighbours stand, so that few lines cross.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

BOX_WIDTH, BOX_HEIGHT = 190.0, 58.0
GAP_X, GAP_Y = 118.0, 20.0
MARGIN = 8.0
MAX_LAYERS = 64
SWEEPS = 4


@dataclass(frozen=True, slots=True)
class Node:
    """A thing: what it is called, a line about it, its kind and state (classes of the style sheet), and its page."""

    key: str
    title: str
    detail: str = ""
    kind: str = ""
    state: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """What leads from one thing to another; `label` tells how."""

    start: str
    end: str
    label: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """A node at its place; x and y are of its top left corner."""

    node: Node
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Line:
    """An edge as path data, with the place of its label."""

    edge: Edge
    path: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Diagram:
    """Everything to draw, in a drawing of width × height units."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]


def diagram(nodes: Sequence[Node], edges: Iterable[Edge]) -> Diagram:
    """The drawing. Edges to what is no node are left out; of a cycle one edge leads back."""
    known = {node.key: node for node in nodes}
    kept = [edge for edge in edges if edge.start in known and edge.end in known and edge.start != edge.end]
    layers = _ordered(_layers(list(known), kept), kept)
    places = _places(layers)
    boxes = tuple(Box(known[key], *places[key]) for layer in layers for key in layer)
    height = max((len(layer) for layer in layers), default=1) * (BOX_HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN
    width = max(len(layers), 1) * (BOX_WIDTH + GAP_X) - GAP_X + 2 * MARGIN
    return Diagram(width, height, boxes, tuple(_line(edge, places) for edge in kept))


def _layers(keys: Sequence[str], edges: Sequence[Edge]) -> list[list[str]]:
    """Each node behind all that lead to it; bounded, so that a cycle ends."""
    depth = dict.fromkeys(keys, 0)
    for _ in range(min(len(keys), MAX_LAYERS)):
        moved = False
        for edge in edges:
            if depth[edge.end] <= depth[edge.start] < MAX_LAYERS:
                depth[edge.end], moved = depth[edge.start] + 1, True
        if not moved:
            break
    found: dict[int, list[str]] = defaultdict(list)
    for key in keys:
        found[depth[key]].append(key)
    return [found[level] for level in sorted(found)]


def _ordered(layers: list[list[str]], edges: Sequence[Edge]) -> list[list[str]]:
    """Each layer by the mean place of its neighbours before it, then of those behind it, some times."""
    before, behind = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for edge in edges:
        before[edge.end].append(edge.start)
        behind[edge.start].append(edge.end)
    for sweep in range(SWEEPS):
        neighbours = before if sweep % 2 == 0 else behind
        row = {key: at / max(len(layer), 1) for layer in layers for at, key in enumerate(layer)}
        layers = [_sorted(layer, neighbours, row) for layer in layers]
    return layers


def _sorted(layer: list[str], neighbours: Mapping[str, list[str]], row: Mapping[str, float]) -> list[str]:
    def middle(key: str) -> float:
        near = [row[other] for other in neighbours.get(key, ())]
        return sum(near) / len(near) if near else row[key]

    return sorted(layer, key=middle)


def _places(layers: list[list[str]]) -> dict[str, tuple[float, float]]:
    """Columns are centred on the tallest one."""
    tallest = max((len(layer) for layer in layers), default=0)
    places = {}
    for column, layer in enumerate(layers):
        top = MARGIN + (tallest - len(layer)) * (BOX_HEIGHT + GAP_Y) / 2
        for at, key in enumerate(layer):
            places[key] = (MARGIN + column * (BOX_WIDTH + GAP_X), round(top + at * (BOX_HEIGHT + GAP_Y), 1))
    return places


def _line(edge: Edge, places: Mapping[str, tuple[float, float]]) -> Line:
    (x1, y1), (x2, y2) = places[edge.start], places[edge.end]
    x1, y1, y2 = x1 + BOX_WIDTH, y1 + BOX_HEIGHT / 2, y2 + BOX_HEIGHT / 2
    bend = max((x2 - x1) / 2, GAP_X / 2)
    path = f"M{x1:g} {y1:g}C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}"
    return Line(edge, path, round((x1 + x2) / 2, 1), round((y1 + y2) / 2, 1))
