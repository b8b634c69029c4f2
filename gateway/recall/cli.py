"""`sealtrail recall`: begin, answer, look at and end recalls at a running gateway; drills; branches for authorities."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.options import JsonOption, UrlOption, say, token_option

if TYPE_CHECKING:
    from chain.remote import Remote

app = typer.Typer(help="Recalls of lots, tier by tier, and drills of them.", no_args_is_help=True)
TokenOption = Annotated[str, token_option("operator, or auditor to look")]
LotArgument = Annotated[
    str, typer.Argument(help="The lot: LGTIN as URN, Digital Link or (01)…(10)….", show_default=False)
]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the recall.", show_default=False)]
CountOption = Annotated[int | None, typer.Option(min=0, help="Packs, where the events do not have it right.")]


@app.command("start")
def start(
    lot: LotArgument, url: UrlOption, token: TokenOption,
    grade: Annotated[int, typer.Option("--class", min=1, max=3, help="1 is the gravest.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why, for everybody.", show_default=False)],
    deadline: Annotated[str, typer.Option(help="Until answers are wanted: 90m, 24h, 3d.")] = "24h",
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Recall a lot that was made here: it stops on the ledger, and our customers' gateways are told."""
    body = {"lot": lot, "class": grade, "reason": reason, "deadline_s": _seconds(deadline)}
    _begun(_remote(url, token).ask("POST", "/v1/recalls", json=body), as_json)


@app.command("drill")
def drill(
    lot: LotArgument, url: UrlOption, token: TokenOption,
    reason: Annotated[str, typer.Option(help="What is tried out.")] = "mock recall",
    deadline: Annotated[str, typer.Option(help="Until answers are wanted: 90m, 24h.")] = "2h",
    wait: Annotated[bool, typer.Option("--wait", help="Until the deadline or all answers; print the report.")] = False,
    html: Annotated[Path | None, typer.Option(help="With --wait: also write the report as a page.")] = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """A mock recall: everybody is told and answers, all of it marked as a drill; nothing is stopped or quarantined."""
    remote = _remote(url, token)
    body = {"lot": lot, "class": 3, "reason": reason, "deadline_s": _seconds(deadline), "drill": True}
    begun = remote.ask("POST", "/v1/recalls", json=body)
    if not wait:
        _begun(begun, as_json)
        return
    state = remote.ask("GET", f"/v1/recalls/{begun['id']}")
    while not (state["over"] or _complete(state)):
        time.sleep(1.0)
        state = remote.ask("GET", f"/v1/recalls/{begun['id']}")
    _print_state(state, html, as_json)


@app.command("status")
def status(
    url: UrlOption, token: TokenOption,
    recall: Annotated[str | None, typer.Argument(metavar="[ID]", help="One recall; all without it.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write the report of one recall as a page.")] = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """How far a recall is: packs accounted for, tiers, silence, and what each direct customer said."""
    remote = _remote(url, token)
    if recall is not None:
        _print_state(remote.ask("GET", f"/v1/recalls/{recall}"), html, as_json)
        return
    found = remote.ask("GET", "/v1/recalls")["recalls"]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for one in found:
        state = "closed" if one["closed"] else "over" if one["deadline_us"] < time.time_ns() // 1000 else "open"
        what = "drill" if one["drill"] else f"class {one['class']}"
        print(
            f"{one['id']}  {what:<8}  {state:<6}  {'ours' if one['maker'] else 'heard'}  {one['lot']}  {one['reason']}"
        )


@app.command("answer")
def answer(
    recall: IdArgument, url: UrlOption, token: TokenOption, quarantined: CountOption = None, sold: CountOption = None,
    destroyed: CountOption = None, returned: CountOption = None, in_transit: CountOption = None,
    unknown: CountOption = None,
) -> None:  # fmt: skip
    """Confirm for this company: what is here is in quarantine, or as the counts say. Our suppliers get it signed."""
    given = {
        "quarantined": quarantined, "sold": sold, "destroyed": destroyed, "returned": returned,
        "in_transit": in_transit, "unknown": unknown,
    }  # fmt: skip
    counts = {name: value for name, value in given.items() if value is not None}
    _remote(url, token).ask("POST", f"/v1/recalls/{recall}/answer", json=counts)
    print(f"answered {recall}; it goes to our suppliers, and again whenever a customer's answer changes it")


@app.command("lift")
def lift(
    recall: IdArgument, url: UrlOption, token: TokenOption,
    reason: Annotated[str, typer.Option(help="Why it ends.", show_default=False)],
) -> None:  # fmt: skip
    """End a recall that was false, or a drill that is done."""
    _remote(url, token).ask("POST", f"/v1/recalls/{recall}/lift", json={"reason": reason})
    print(f"ended {recall}")


@app.command("open-branch")
def open_branch(
    recall: IdArgument, url: UrlOption, token: TokenOption,
    supplier: Annotated[str, typer.Option(help="To whom the answer was given.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.", show_default=False)],
    number: Annotated[int | None, typer.Option(min=1, help="Which answer; the newest without it.")] = None,
) -> None:  # fmt: skip
    """Write our signed answer with our customers' signed answers, for an authority. It names our customers."""
    from crypto.files import write_durably

    params: dict[str, Any] = {"supplier": supplier} | ({} if number is None else {"number": number})
    found = _remote(url, token).ask("GET", f"/v1/recalls/{recall}/branch", params=params)
    write_durably(output, json.dumps(found, indent=1).encode() + b"\n")
    print(f"wrote {output}; whoever has it sees who our customers are")


@app.command("check-branch")
def check(
    file: Annotated[Path, typer.Argument(help="A branch that was opened.", show_default=False)],
    organisation: Annotated[str, typer.Option(help="Whose branch it should be.", show_default=False)],
    data: Annotated[Path, typer.Option("--data", help="A gateway's data directory; its ledger.", show_default=False)],
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Check a branch against the ledger: signatures, that no answer is missing or added, and the sums. Exit 0 if all
    holds."""
    from gateway.recall.checking import checked_file

    found = checked_file(file, organisation, data)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    print(f"{organisation} answered as it signed: {found['received']:,} packs received, {found['flagged']} flagged")
    for one in found["customers"]:
        print(f"  {one['organisation']}: {one['received']:,} packs received, {one['own']}")
    print(f"  commitment {found['commitment']}")


def _remote(url: str, token: str) -> "Remote":
    from chain.remote import Remote
    from gateway.recall.errors import RecallError

    return Remote(url, token, RecallError)


def _begun(found: Any, as_json: bool) -> None:
    say(found, as_json, f"begun: {found['id']}\nsealtrail recall status {found['id']} shows how far it is")


def _complete(state: Any) -> bool:
    """All that were told have answered. Before anybody was told nothing is, unless no pack went away from here."""
    if not state["customers"]:
        return bool(state["packs"] > 0 and state["reach"] >= 100)
    return all(tier["answered"] == tier["customers"] for tier in state["tiers"])


def _print_state(state: Any, html: Path | None, as_json: bool) -> None:
    from gateway.recall.report import as_html, as_text

    if html is not None:
        html.write_text(as_html(state))
    say(state, as_json, as_text(state))


def _seconds(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    if text[-1:] not in units or not text[:-1].replace(".", "", 1).isdigit():
        raise typer.BadParameter(f"expected a time like 90m, 24h or 3d, got {text!r}")
    return float(text[:-1]) * units[text[-1]]
