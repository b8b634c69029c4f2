"""The form of an answer: what a request asked for, and the answer as JSON or as a GS1 linkset.

Source: GS1 Digital Link Standard, resolution 1.2: link types and the linkset (RFC 9264). This page is no resolver of
others' links: every link leads to itself.
"""

from enum import StrEnum
from typing import Any, Final

from gateway.consumer.facts import PackFacts, PackQuestion
from gateway.consumer.language import Language, day_of
from gateway.consumer.question import path_of
from gateway.consumer.scans import Scan
from gateway.consumer.verdict import Answer

LINK_TYPES: Final = ("gs1:pip", "gs1:verificationService", "gs1:recallStatus", "gs1:traceability", "gs1:defaultLink")
VOCABULARY: Final = "https://ref.gs1.org/voc/"
LINKSET_TYPE: Final = "application/linkset+json"


class Form(StrEnum):
    """What the caller wants."""

    PAGE = "page"
    JSON = "json"
    LINKSET = "linkset"
    PROOF = "proof"
    RECEIPT = "receipt"


def form_of(accept: str, query: dict[str, str]) -> Form | None:
    """By the query first, then by the header Accept; None for a link type that is not served here."""
    link_type = query.get("linkType", "")
    if link_type in ("all", "linkset"):
        return Form.LINKSET
    if link_type and link_type.replace(VOCABULARY, "gs1:") not in LINK_TYPES:
        return None
    if query.get("show") in ("proof", "receipt"):
        return Form(query["show"])
    if query.get("format") == "json":
        return Form.JSON
    if LINKSET_TYPE in accept:
        return Form.LINKSET
    return Form.JSON if "json" in accept and "text/html" not in accept else Form.PAGE


def as_json(
    question: PackQuestion, facts: PackFacts, answer: Answer, scan: Scan | None, language: Language
) -> dict[str, Any]:
    """The same members for whatever is known or not. Days are YYYY-MM-DD; nothing finer is told."""
    shown = facts if answer.lines else PackFacts()
    recalled = shown.recalled
    return {
        "gtin": question.gtin, "lot": question.lot, "serial": question.serial, "status": str(answer.status),
        "known": shown.known, "expiry": None if shown.expiry is None else shown.expiry.isoformat(),
        "commissioned": _day(shown.commissioned_us),
        "recalled": None if recalled is None else {"class": recalled.grade, "since": _day(recalled.since_us)},
        "dispensed": _day(shown.dispensed_us), "withdrawn": _day(shown.withdrawn_us),
        "quarantined": shown.quarantined, "kept_cold": str(shown.kept_cold),
        "scan": None if scan is None else {"what": str(scan.what), "before": scan.before},
        "proof": f"{path_of(question)}?show=receipt" if shown.proof is not None else None,
        "language": language.tag, "title": language[f"status_{answer.status}"],
        "advice": language[f"lead_{answer.status}"], "lines": [language.line(line) for line in answer.lines],
    }  # fmt: skip


def linkset(question: PackQuestion, base: str) -> dict[str, Any]:
    """The linkset of a code: the page in two languages, and its JSON. `base`: scheme and host."""
    anchor = base + path_of(question)
    targets = [
        {"href": f"{anchor}?lang={code}", "type": "text/html", "hreflang": [code], "title": "medicine pack"}
        for code in ("en", "zh")
    ]
    targets.append({"href": f"{anchor}?format=json", "type": "application/json", "title": "medicine pack"})
    return {"linkset": [{"anchor": anchor, **{VOCABULARY + name[4:]: targets for name in LINK_TYPES}}]}


def _day(us: int | None) -> str | None:
    return None if us is None else day_of(us).isoformat()
