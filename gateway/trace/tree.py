"""A trace as people read it: a tree of where it came from, a tree of what became of it, the way, and who has it now."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from gateway.trace.identify import label

MAX_BRANCHES, MAX_LINES, MAX_DEPTH = 12, 400, 32


def as_text(found: dict[str, Any]) -> str:
    """Several lines, bounded; what is left out is counted."""
    lines = [found["label"], f"  {found['id']}"]
    if found["direction"] != "down":
        lines += ["", "made of:", *_tree(found, "target", "source")]
    if found["direction"] != "up":
        lines += ["", "became:", *_tree(found, "source", "target")]
    lines += ["", "way:", *_few([_step(step) for step in found["steps"]])]
    if found["holders"]:
        lines += ["", "now:", *_few([_holder(holder) for holder in found["holders"]])]
    for partner in found.get("partners", ()):
        why = f": {partner['why']}" if partner.get("why") else ""
        lines.append(f"partner {partner['organisation']} {partner['state']}{why}")
    return "\n".join([*lines, *(f"! {_cut(cut)}" for cut in found["truncated"])])


def _tree(found: dict[str, Any], here: str, there: str) -> list[str]:
    """Links from `here` to `there`, from the thing asked about on; what lies in it is under it either way."""
    links: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for link in found["links"]:
        if link["relation"] == "contained":
            links[link["target"]].append(link | {"next": link["source"]})
        else:
            links[link[here]].append(link | {"next": link[there]})
    carriers = {thing["id"] for thing in found["things"] if thing["as"] == "carrier"}
    lines: list[str] = []
    for line in _branches(found["id"], links, carriers, frozenset(), ""):
        if len(lines) == MAX_LINES:
            return [*lines, "  … more; --json has all"]
        lines.append(line)
    return lines or ["  nothing that is known here"]


def _branches(uri: str, links: dict[str, list[dict[str, Any]]], carriers: set[str], above: frozenset[str], indent: str
              ) -> Iterator[str]:  # fmt: skip
    below = [link for link in links.get(uri, ()) if link["next"] not in carriers]
    for n, link in enumerate(below):
        if n == MAX_BRANCHES:
            yield f"  {indent}└─ … {len(below) - n} more"
            return
        last = n == len(below) - 1
        quantity = f"  {link['quantity']:g} {link['uom'] or ''}".rstrip() if link.get("quantity") is not None else ""
        branch = "└─" if last else "├─"
        yield f"  {indent}{branch} {label(link['next'])}{quantity}  ({link['relation']}, record {link['record']})"
        if link["next"] not in above and len(above) < MAX_DEPTH:
            yield from _branches(
                link["next"], links, carriers, above | {uri}, indent + ("   " if last else "│  ")
            )  # fmt: skip


def _few(lines: list[str]) -> list[str]:
    more = [f"  … {len(lines) - MAX_LINES} more; --json has all"] if len(lines) > MAX_LINES else []
    return [f"  {line}" for line in lines[:MAX_LINES]] + more


def _step(step: dict[str, Any]) -> str:
    when = datetime.fromtimestamp(step["time_us"] / 1e6, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    mark = "  VOID: declared erroneous" if step["void"] else "  declares an error" if step["declares_error"] else ""
    place = step["location"] or step["read_point"]
    what = label(step["things"][0]) if step["count"] == 1 and step["things"] else f"{step['count']} things"
    by = f"  by {step['by']}" if "by" in step else ""
    where = f" at {label(place)}" if place else ""
    if step.get("refused") is not None:
        part = f" for {step['refused_count']} of them" if (step.get("refused_count") or 0) < step["count"] else ""
        mark += f"  REFUSED{part}: {step['refused']}"
    return f"{when}  {step['step'] or step['type']}{where}  {what}  record {step['record']}{by}{mark}"


def _holder(holder: dict[str, Any]) -> str:
    where = f" {holder['label']}" if holder["label"] else ""
    by = f"  by {holder['by']}" if "by" in holder else ""
    refused = f"  as an event says that was REFUSED: {holder['refused']}" if holder.get("refused") is not None else ""
    return f"{holder['count']:>8,}  {holder['state']}{where}  ({holder['step']}){by}{refused}"


def _cut(cut: dict[str, Any]) -> str:
    if "relation" in cut:
        after = f"; go on with --after {cut['after']}" if cut["after"] else ""
        return f"{cut['shown']:,} of {cut['total']:,} shown: {cut['relation']}, {label(cut['thing'])}{after}"
    return f"not all is shown: {cut['how']}"
