"""Asks partners' gateways where a trace leaves this company: who sold what came in, who bought what went out.

Trust boundary: what a partner answers is untrusted; it is bounded, must have the form of a trace, and is shown under
the partner's name. A partner that is away or refuses is told, not hidden. Only direct partners are asked, and each
decides what it shows (gateway.trace.sharing).
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from gateway.custody.errors import PartnerAwayError, PartnerError
from gateway.custody.partners import Partner, Partners
from gateway.trace.forms import TracesOut

MAX_PARTNERS_ASKED = 16
MAX_ANSWER_BYTES = 4 * 2**20
TIMEOUT_S = 4.0
MAX_IDS = 64
_MERGED = ("things", "links", "steps", "materials", "places", "holders")


async def with_partners(found: dict[str, Any], partners: Partners) -> dict[str, Any]:
    """The trace with what partners tell of things that came from them (up) or went to them (down)."""
    asked: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    known: dict[str, Partner] = {}
    for direction, name in (("up", "sources"), ("down", "destinations")):
        if found["direction"] in (direction, "both"):
            for partner, thing in _ends(found["steps"], name, partners):
                known[partner.organisation] = partner
                asked[partner.organisation, direction][thing] = None
    chosen = list(asked.items())[:MAX_PARTNERS_ASKED]
    answers = await asyncio.gather(*(
        _ask(known[organisation], list(things)[:MAX_IDS], direction) for (organisation, direction), things in chosen
    ))  # fmt: skip
    merged = found | {name: list(found[name]) for name in _MERGED} | {"partners": [about for about, _ in answers]}
    for about, traces in answers:
        for one in traces:
            for name in _MERGED:
                merged[name] += [item | {"by": about["organisation"]} for item in one[name]]
    merged["steps"].sort(key=lambda step: step["time_us"])
    return merged


def _ends(steps: Iterable[Mapping[str, Any]], name: str, partners: Partners) -> Iterable[tuple[Partner, str]]:
    for step in steps:
        if step["void"] or step["declares_error"]:
            continue
        for party in step.get(name, ()):
            partner = partners.at(party["id"])
            if partner is not None:
                yield from ((partner, thing) for thing in step["things"])


async def _ask(partner: Partner, ids: list[str], direction: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    about: dict[str, Any] = {"organisation": partner.organisation, "state": "answered", "asked": ids}
    try:
        answer = await partner.post(
            "/v1/trace/shared", json={"ids": ids, "direction": direction}, most=MAX_ANSWER_BYTES, timeout_s=TIMEOUT_S
        )
        traces = await asyncio.to_thread(_opened, answer.body)  # it may be megabytes
    except PartnerAwayError as e:
        return about | {"state": "away", "why": str(e)}, []
    except PartnerError as e:
        return about | {"state": "refused", "why": str(e)}, []
    except ValidationError as e:
        return about | {"state": "refused", "why": f"the answer is no trace: {e.error_count()} faults"}, []
    return about, traces


def _opened(body: bytes) -> list[dict[str, Any]]:
    """ValidationError where it is no list of traces."""
    return [one.model_dump(by_alias=True, exclude_unset=True) for one in TracesOut.model_validate_json(body).traces]
