"""The state of a recall as numbers and as people read it: reach, tiers, silence, flags. Format: docs/rest.md."""

import html
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import reduce
from typing import Any

from gateway.recall.answering import corrected, excess
from gateway.recall.branches import Heard, added, passed_on, tiers
from gateway.recall.holdings import Holdings
from gateway.recall.records import Customer, Recall, Supplier
from gateway.recall.statements import Counts

US_A_MINUTE = 60_000_000


def state_of(
    recall: Recall, suppliers: list[Supplier], customers: list[Customer], found: Mapping[str, Holdings], now_us: int
) -> dict[str, Any]:
    """JSON values. `reach` is the share of packs of which somebody said what became of them, in percent."""
    heard = [Heard(one.organisation, one.salt, one.answer) for one in customers if one.answer is not None]
    waiting = [one for one in customers if one.answer is None]
    over = now_us > recall.deadline_us
    by_events = reduce(lambda total, part: total + part.own, found.values(), Counts())
    own = corrected(by_events, next((one.counts for one in suppliers if one.counts), None))
    beyond = passed_on(heard)
    unanswered = added([*(one.packs for one in waiting), *(one.answer.unanswered for one in heard)])
    packs = sum(part.received for part in found.values())
    accounted = own.accounted + beyond.accounted
    last_us = max((one.first_us for one in customers), default=0)
    rows = tiers(len(customers), len(waiting) if over else 0, last_us, heard)
    return {
        "id": recall.id, "drill": recall.drill, "maker": recall.maker, "lot": recall.lot, "class": recall.grade,
        "reason": recall.reason, "deadline_us": recall.deadline_us, "begun_us": recall.begun_us, "over": over,
        "closed": recall.closed, "packs": packs, "reach": _percent(accounted, packs), "own": asdict(own),
        "passed_on": asdict(beyond), "unanswered": unanswered,
        "tiers": [_tier(recall, n, tier) for n, tier in enumerate(rows, 1)],
        "customers": [_customer(recall, one, over) for one in customers],
        "flagged": added([sum(1 for one in customers if excess(one)), *(one.answer.flagged for one in heard)]),
        "suppliers": [_supplier(one) for one in suppliers],
    }  # fmt: skip


def _percent(part: int, whole: int) -> float:
    return round(100 * min(part, whole) / whole, 1) if whole else 100.0


def _tier(recall: Recall, number: int, tier: Any) -> dict[str, Any]:
    return {
        "tier": number, "customers": tier.customers, "answered": tier.answered, "silent": tier.silent,
        "minutes": _minutes(recall, tier.last_us),
    }  # fmt: skip


def _minutes(recall: Recall, time_us: int) -> float | None:
    return round((time_us - recall.begun_us) / US_A_MINUTE, 2) if time_us else None


def _customer(recall: Recall, one: Customer, over: bool) -> dict[str, Any]:
    state = "answered" if one.answer is not None else "silent" if over else "waiting"
    flag = excess(one)
    return {
        "organisation": one.organisation, "packs": one.packs, "received_by_ledger": one.ledger, "state": state,
        "late": one.late, "minutes": _minutes(recall, one.first_us), "newest": _minutes(recall, one.answered_us),
        "answers": one.number, "claims": flag[0] if flag else None, "got": flag[1] if flag else None,
    }  # fmt: skip


def _supplier(one: Supplier) -> dict[str, Any]:
    return {
        "organisation": one.organisation, "packs": one.packs, "heard_us": one.heard_us, "confirmed": one.confirmed,
    }  # fmt: skip


def as_text(state: Mapping[str, Any]) -> str:
    """Several lines for people."""
    what = "DRILL, nothing is touched" if state["drill"] else f"class {state['class']}"
    lines = [
        f"recall {state['id']} ({what}): {state['reason']}", f"  lot {state['lot']}",
        f"  answers until {_when(state['deadline_us'])}{', which is over' if state['over'] else ''}",
        f"  {state['packs']:,} packs, {state['reach']:g} % accounted for; {state['unanswered']:,} not answered for",
        f"  here:      {_counts(state['own'])}", f"  passed on: {_counts(state['passed_on'])}",
    ]  # fmt: skip
    for tier in state["tiers"]:
        minutes = "" if tier["minutes"] is None else f", the last after {tier['minutes']:g} min"
        said = f"{tier['answered']} of {tier['customers']} answered, {tier['silent']} silent"
        lines.append(f"  tier {tier['tier']}: {said}{minutes}")
    for one in state["customers"]:
        late = " (late)" if one["late"] else ""
        if one["newest"] != one["minutes"]:
            late += f", newest figures after {one['newest']:g} min"
        flag = f"  ! speaks of {one['claims']:,} packs and got {one['got']:,}" if one["claims"] is not None else ""
        lines.append(f"  {one['organisation']}: {one['packs']:,} packs, {one['state']}{late}{flag}")
    if state["flagged"]:
        lines.append(f"  ! {state['flagged']} claim more than they got")
    return "\n".join(lines)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in counts.items() if value) or "nothing"


def _when(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1c2733}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d5dbe1}
.bar{height:1.4rem;background:#d5dbe1}.bar>i{display:block;height:100%;background:#1f7a4d}
.drill{background:#fff3c4;padding:.5rem 1rem}.flag{color:#a61b1b}"""


def _row(one: Mapping[str, Any]) -> str:
    """A direct customer in the page."""
    flag = "" if one["claims"] is None else f"{one['claims']:,} said, {one['got']:,} got"
    late = " (late)" if one["late"] else ""
    name = html.escape(one["organisation"])
    return f"<tr><td>{name}</td><td>{one['packs']:,}</td><td>{one['state']}{late}</td><td class=flag>{flag}</td></tr>"


def as_html(state: Mapping[str, Any]) -> str:
    """One page without scripts or anything from elsewhere."""
    esc = html.escape
    drill = '<p class="drill">This is a drill: nothing was quarantined.</p>' if state["drill"] else ""
    tiers_rows = "".join(
        f"<tr><td>{t['tier']}</td><td>{t['answered']} of {t['customers']}</td><td>{t['silent']}</td>"
        f"<td>{'' if t['minutes'] is None else t['minutes']}</td></tr>"
        for t in state["tiers"]
    )
    customers = "".join(map(_row, state["customers"]))
    counts = "".join(
        f"<tr><td>{name.replace('_', ' ')}</td><td>{here:,}</td><td>{state['passed_on'][name]:,}</td></tr>"
        for name, here in state["own"].items()
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Recall {esc(state['id'])}</title>"
        f"<style>{_STYLE}</style><h1>{'Recall drill' if state['drill'] else 'Recall'}</h1>{drill}"
        f"<p>{esc(state['reason'])}<br>{esc(state['lot'])}<br>begun {_when(state['begun_us'])}, answers until"
        f" {_when(state['deadline_us'])}</p><h2>{state['reach']:g} % of {state['packs']:,} packs accounted for</h2>"
        f'<div class=bar><i style="width:{state["reach"]:g}%"></i></div>'
        f"<h2>Tiers</h2><table><tr><th>tier<th>answered<th>silent<th>minutes to the last answer{tiers_rows}</table>"
        f"<h2>Packs</h2><table><tr><th><th>here<th>passed on{counts}"
        f"<tr><td>not answered yet</td><td></td><td>{state['unanswered']:,}</td></tr></table>"
        f"<h2>Direct customers</h2><table><tr><th>company<th>packs<th>state<th>{customers}</table></html>\n"
    )
