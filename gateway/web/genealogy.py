"""A trace as two drawings: what became of what, and through whose hands it went.

JSON values of gateway.trace.answer in, diagrams out.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote

from gateway.trace.identify import label
from gateway.web.diagram import Diagram, Edge, Node, diagram
from gateway.web.text import moment

MANY = 4  # things alike that are drawn as one box
MAX_BOXES = 120
_RELATION = {"made-into": "made into", "contained": "in", "lot": ""}

Organisation = Callable[[str | None], str]


def page_of(uri: str) -> str:
    """The page of a thing."""
    return f"/goods?id={quote(uri, safe='')}"


def genealogy(found: dict[str, Any]) -> Diagram:
    """Materials on the left, where it all went on the right. Things with the same neighbours are one box."""
    links = [link for link in found["links"] if link["source"] != link["target"]]
    groups = _groups([thing["id"] for thing in found["things"]], links)
    boxes = {uri: members[0] for members in groups for uri in members}
    nodes = [_thing(members, found["id"]) for members in groups][:MAX_BOXES]
    edges = {(boxes[k["source"]], boxes[k["target"]], k["relation"]): k for k in links if _drawn(k, boxes)}
    return diagram(nodes, [Edge(a, b, _amount(link)) for (a, b, _), link in edges.items() if a != b])


def _drawn(link: dict[str, Any], boxes: dict[str, str]) -> bool:
    return link["source"] in boxes and link["target"] in boxes


def _groups(uris: Sequence[str], links: Iterable[dict[str, Any]]) -> list[list[str]]:
    """Things of one kind between the same neighbours: one group if there are many, else each for itself."""
    around: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
    for link in links:
        around[link["source"]].add(("to", link["relation"], link["target"]))
        around[link["target"]].add(("from", link["relation"], link["source"]))
    alike: dict[tuple[str, frozenset[tuple[str, str, str]]], list[str]] = defaultdict(list)
    for uri in dict.fromkeys(uris):
        alike[_kind(uri), frozenset(around[uri])].append(uri)
    return [part for group in alike.values() for part in ([group] if len(group) > MANY else [[uri] for uri in group])]


def _thing(members: Sequence[str], asked: str) -> Node:
    first, kind = members[0], _kind(members[0])
    state = "asked" if asked in members else ""
    if len(members) > 1:
        title = f"{len(members):,} {kind}s"
        return Node(first, title, "" if kind == "unit" else _words(first)[1], kind, state, page_of(first))
    title, detail = _words(first)
    return Node(first, title, detail, kind, state, page_of(first))


def _words(uri: str) -> tuple[str, str]:
    """Title and detail of a thing."""
    said = label(uri)
    if said.startswith("SSCC "):
        return f"SSCC …{said[-6:]}", said.removeprefix("SSCC ")
    for mark in (" serial ", " of "):
        if mark in said:
            before, after = said.split(mark, 1)
            return (f"serial {after}", before.removeprefix("pack ")) if mark == " serial " else (before, after)
    return said, ""


def _kind(uri: str) -> str:
    for mark, kind in (("/00/", "unit"), ("/21/", "pack"), ("/10/", "lot"), ("/01/", "product")):
        if mark in uri:
            return kind
    return "thing"


def _amount(link: dict[str, Any]) -> str:
    if link.get("quantity") is None:
        return _RELATION.get(link["relation"], "")
    return f"{link['quantity']:g} {link.get('uom') or ''}".strip()


def custody(found: dict[str, Any], organisation: Organisation) -> Diagram:
    """Places as boxes in the order in which they were reached, and how many things went from one to the next."""
    steps = [step for step in found["steps"] if not step["void"] and not step["declares_error"]]
    places = {place["id"]: place for place in found["places"]}
    moves = _moves(steps)
    nodes = [_place(place, organisation, found["holders"]) for place in places.values()][:MAX_BOXES]
    edges = [Edge(a, b, f"{count:,} · {moment(us, '%-d %b %H:%M')}") for (a, b), (count, us) in moves.items()]
    return diagram(nodes, edges)


def _moves(steps: Iterable[dict[str, Any]]) -> dict[tuple[str, str], tuple[int, int]]:
    """(from, to) → how many things, and when first. Steps are in order of time."""
    at: dict[str, str] = {}
    counts, first = Counter[tuple[str, str]](), dict[tuple[str, str], int]()
    for step in steps:
        place = step["location"] or step["read_point"]
        for thing in step["things"] if place else ():
            before = at.get(thing)
            if before and before != place:
                counts[before, place] += 1
                first.setdefault((before, place), step["time_us"])
            at[thing] = place
    return {move: (count, first[move]) for move, count in counts.items()}


def _place(place: dict[str, Any], organisation: Organisation, holders: Iterable[dict[str, Any]]) -> Node:
    here = sum(row["count"] for row in holders if row["place"] == place["id"] and row["state"] == "at")
    name = organisation(place["id"])
    detail = f"holds {here:,} now" if here else f"since {moment(place['first_us'], '%-d %b %H:%M')}"
    return Node(place["id"], name or place["label"], detail, "place", "holds" if here else "")
