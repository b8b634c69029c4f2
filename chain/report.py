"""A verifier's report as people and programs read it, and what each link proves and does not.

What a receipt discloses is shown, never trusted: it cannot draw lines of its own.
"""

import json
from typing import Any, Final

from chain.disclosed import DisclosureReport
from chain.verify import Report, Step

MARKS: Final = {"holds": "✓", "doubtful": "?", "missing": "–", "false": "✗"}
MEANING: Final = {
    "disclosure": (
        "the gateway made exactly this file, for whom and why it says",
        "when, beyond the gateway's word; nor anything of records that are not in it",
    ),
    "checkpoint": (
        "the holder of the log's keys signed this size and this root",
        "that nobody was shown another history: that is for witnesses and ledger",
    ),
    "witnesses": (
        "the quorum saw this state of the log and none that contradicts it",
        "anything of the content; no witness sees it",
    ),
    "record": (
        "the record stands at this place of the log, and cannot be taken back",
        "who reported it: that is for identity and seal",
    ),
    "event": (
        "these are the very bytes that were logged, or an entry of the log says when and why they were erased",
        "that what they say is true; nor that nobody kept a copy of what was erased",
    ),
    "fields": (
        "each shown field is what was committed to, and stood at its place",
        "anything of the fields that are not shown",
    ),
    "identity": (
        "the ledger took this key for this source, for these places of the log",
        "who held the device, or that no later transaction changed the keys",
    ),
    "seal": (
        "the source signed exactly these bytes under this number",
        "that the sensor told the truth, or when it was",
    ),
    "anchor": (
        "the contract, which compares each checkpoint with the one before, accepted this state of the log",
        "wall-clock time; nor more than those can vouch for who are named: on an embedded ledger that is its operator",
    ),
}


def as_text(report: Report, *, explain: bool = False) -> str:
    """One line for each link, the disclosed fields, and the verdict."""
    lines = [line for step in report.steps for line in _lines(step, explain)]
    shown = [f"    {path} = {json.dumps(_readable(value), ensure_ascii=False)}" for path, value in report.fields]
    said = [*lines, *(["disclosed:", *shown] if shown else []), f"result: {report.outcome}"]
    return "\n".join(map(printable, said))


def _lines(step: Step, explain: bool) -> list[str]:
    line = f" {step.number}. {MARKS[step.state]} {step.name:<10} {step.state}: {step.text}"
    if not explain:
        return [line]
    proves, not_proved = MEANING[step.name]
    return [line, f"{'':17}proves: {proves}", f"{'':17}does not prove: {not_proved}"]


def disclosure_as_text(report: DisclosureReport, *, explain: bool = False) -> str:
    """The step over the file, each record under its number, and the verdict over all."""
    parts = [printable(line) for line in _lines(report.made, explain)]
    for index, found in report.records:
        parts += [f"record {index}", as_text(found, explain=explain)]
    return "\n".join([*parts, f"disclosure of {len(report.records)} records: {report.outcome}"])


def disclosure_as_json(report: DisclosureReport) -> dict[str, Any]:
    """For programs; docs/formats/disclosure.md names its keys."""
    records = [{"index": index} | as_json(found) for index, found in report.records]
    return {"result": report.outcome, "disclosure": _step(report.made), "records": records}


def _step(step: Step) -> dict[str, Any]:
    proves, not_proved = MEANING[step.name]
    return {
        "number": step.number, "name": step.name, "state": step.state, "text": step.text,
        "proves": proves, "does_not_prove": not_proved,
    }  # fmt: skip


def as_json(report: Report) -> dict[str, Any]:
    """The report for programs; docs/formats/receipt.md names its keys."""
    steps = [_step(step) for step in report.steps]
    fields = {path: _readable(value) for path, value in report.fields}
    return {"result": report.outcome, "steps": steps, "fields": fields}


def printable(line: str) -> str:
    """What a receipt says, or a file is named, must not be able to draw lines of its own on the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _readable(value: Any) -> Any:
    """CBOR values as JSON shows them; bytes as hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [_readable(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _readable(item) for key, item in value.items()}
    return value
