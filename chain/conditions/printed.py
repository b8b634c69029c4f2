"""A recomputation as people and as programs read it: reported and recomputed numbers side by side.

What a bundle says is shown, never trusted: it cannot draw lines of its own.
"""

from typing import Any

from chain.checks import moment
from chain.conditions.case import Case
from chain.conditions.opened import Opened
from chain.conditions.recompute import Compared, Judged, Judgement, Recomputation, Seen, figures
from chain.report import MARKS, printable
from chaincode.coldchain.alarms import Cause
from chaincode.coldchain.policy import Limit, Mode
from chaincode.coldchain.report import LoggerReport

_SIGNS = {Judgement.RIGHT: "✓", Judgement.LATE: "✗", Judgement.FALSE: "✗", Judgement.SUPPRESSED: "✗"}
_WORDS = {
    "count": "readings", "first_us": "first reading", "last_us": "last reading", "least": "minimum °C",
    "most": "maximum °C", "mkt": "MKT °C", "longest_gap_s": "longest gap s", "missing_s": "missing s",
    "late": "late readings", "backwards": "running backwards", "repeated": "repeated times", "ahead": "ahead of time",
    "digest": "digest of readings",
}  # fmt: skip


def as_text(opened: Opened, found: Recomputation | None, result: str) -> str:
    """The links of the proof, each report, each alarm, and the result."""
    lines = [f" {step.number}. {MARKS[step.state]} {step.name:<10} {step.text}" for step in opened.steps]
    if found is not None and opened.case is not None:
        for compared in found.reports:
            lines += _report(opened.case, compared, last=compared is found.reports[-1])
        lines += [_alarm(opened.case, one) for one in found.alarms] or ["no alarm was raised, and none was due"]
    return "\n".join(map(printable, [*lines, f"result: {result}"]))


def _report(case: Case, compared: Compared, *, last: bool) -> list[str]:
    said = compared.reported
    head = f"report {said.seq}: {moment(said.from_us)} to {moment(said.to_us)}, entries {said.first} to {said.end - 1}"
    if compared.agrees and not last:
        return [f"{head}: agrees"]
    lines = [f"{head}: {'agrees' if compared.agrees else 'DIFFERS'}"]
    for place, logger in enumerate(case.shipment.loggers):
        again = compared.recomputed.loggers[place]
        lines.append(f"  logger {place}: {logger.source}, {logger.series}")
        lines.append(f"    {'':<44} {'reported':>22} {'recomputed':>22}")
        lines += _figures(case, said.loggers[place], again)
        if place in compared.swapped:
            lines.append(f"    these are the figures of logger {compared.swapped[place]}: the two were swapped")
    if compared.left_out:
        lines.append(f"  {compared.left_out} readings of this time lie before the report's entries, and were left out")
    return lines


def _figures(case: Case, said: LoggerReport, again: LoggerReport) -> list[str]:
    rows = []
    for (name, one), (_, other) in zip(figures(said), figures(again), strict=True):
        shown = _shown(name, one), _shown(name, other)
        rows.append(f"    {_words(case, name):<44} {shown[0]:>22} {shown[1]:>22}{'' if one == other else '  ≠'}")
    return rows


def _words(case: Case, name: str) -> str:
    if not name.startswith("limit "):
        return _WORDS[name]
    _, place, part = name.split()
    short = {"longest_s": "longest s", "total_s": "together s", "beyond_s": "too long s"}[part]
    return f"{limit_text(case.policy.limits[int(place)])}, {short}"


def limit_text(limit: Limit) -> str:
    """A limit as people say it."""
    allowed = f" over {limit.allowed_s:,} s" if limit.allowed_s else ""
    together = " in all" if limit.mode is Mode.CUMULATIVE else ""
    return f"{limit.direction.replace('-', ' ')} {limit.threshold / 1000:g} °C{allowed}{together}"


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bytes):
        return f"{value.hex()[:16]}…"
    if name in ("first_us", "last_us"):
        return moment(value).removesuffix("+00:00")
    return f"{value / 1000:.3f}" if name in ("least", "most", "mkt") else f"{value:,}"


def _alarm(case: Case, one: Judged) -> str:
    what = str(one.cause)
    if one.logger is not None:
        what += f" of logger {one.logger}"
    if one.limit is not None:
        what += f" ({limit_text(case.policy.limits[one.limit])})"
    seen = f"{_seen('reported', one.cause, one.said)}, {_seen('in the readings', one.cause, one.shown)}"
    return f" {_SIGNS[one.judgement]} alarm {what}: {one.judgement}: {seen}"


def _seen(place: str, cause: Cause, seen: Seen | None) -> str:
    if seen is None:
        return f"never {place}"
    return f"{place} with {figure_words(cause, seen.figure)} by report {seen.seq}"


def figure_words(cause: str, figure: int) -> str:
    """An alarm's figure with its unit."""
    match cause:
        case Cause.LIMIT:
            return f"{figure:,} s too long"
        case Cause.GAP:
            return f"{figure:,} s missing"
        case Cause.MKT:
            return f"{figure / 1000:.3f} °C"
        case Cause.CLOCK:
            return f"{figure:,} reading{'' if figure == 1 else 's'}"
        case Cause.OVERDUE:
            return f"nothing since {moment(figure * 1_000_000)}"
        case _:
            return f"{figure:,}"


def as_json(opened: Opened, found: Recomputation | None, result: str) -> dict[str, Any]:
    """For programs; docs/formats/conditions.md names its keys."""
    steps = [{"number": s.number, "name": s.name, "state": s.state, "text": s.text} for s in opened.steps]
    said: dict[str, Any] = {"result": result, "proof": {"result": opened.outcome, "steps": steps}}
    case = opened.case
    if found is None or case is None:
        return said
    loggers = [{"handle": logger.handle, "series": logger.series} for logger in case.shipment.loggers]
    return said | {
        "shipment": case.shipment.shipment_id.hex(),
        "policy": {"name": case.policy.name, "id": case.policy.id.hex()},
        "held": case.progress.held,
        "loggers": loggers,
        "reports": [_report_json(compared) for compared in found.reports],
        "alarms": [_alarm_json(one) for one in found.alarms],
    }


def _report_json(compared: Compared) -> dict[str, Any]:
    said = compared.reported
    pairs = zip(said.loggers, compared.recomputed.loggers, strict=True)
    return {
        "seq": said.seq, "from_us": said.from_us, "to_us": said.to_us, "first": said.first, "end": said.end,
        "agrees": compared.agrees, "left_out": compared.left_out,
        "swapped": {str(place): other for place, other in sorted(compared.swapped.items())},
        "loggers": [{"reported": _plain(one), "recomputed": _plain(other)} for one, other in pairs],
        "differences": [
            {"logger": place, "figure": name, "reported": _hex(one), "recomputed": _hex(other)}
            for place, name, one, other in compared.differences()
        ],
    }  # fmt: skip


def _plain(logger: LoggerReport) -> dict[str, Any]:
    return {name: _hex(value) for name, value in figures(logger)}


def _hex(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _alarm_json(one: Judged) -> dict[str, Any]:
    return {
        "cause": one.cause, "logger": one.logger, "limit": one.limit, "judgement": one.judgement,
        "reported": None if one.said is None else {"report": one.said.seq, "figure": one.said.figure},
        "recomputed": None if one.shown is None else {"report": one.shown.seq, "figure": one.shown.figure},
    }  # fmt: skip
