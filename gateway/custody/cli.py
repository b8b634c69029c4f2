"""`sealtrail exceptions`, goods and data that disagree, and `sealtrail custody`, what the ledger is told, over REST."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.options import JsonOption, UrlOption, say, token_option

if TYPE_CHECKING:
    from chain.remote import Remote

TokenOption = Annotated[str, token_option("operator")]
IdArgument = Annotated[int, typer.Argument(help="Number of the exception.", show_default=False)]

app = typer.Typer(
    help="Goods and data that disagree: product without data, data without product, duplicate serials.",
    no_args_is_help=True,
)
custody = typer.Typer(help="What this company's events ask the ledger for.", no_args_is_help=True)


@app.command("list")
def list_exceptions(
    url: UrlOption, token: TokenOption,
    state: Annotated[str, typer.Option(help="open, answered or resolved; empty: all.")] = "",
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """List exceptions, the oldest first."""
    found = _pages(url, token, "/v1/exceptions", "exceptions", {"state": state} if state else {})
    lines = [_line(one) for one in found]
    say({"exceptions": found}, as_json, "\n".join(lines) or "none")


@app.command("show")
def show(number: IdArgument, url: UrlOption, token: TokenOption, as_json: JsonOption = False) -> None:
    """Show one: what was compared, both sides' words, the deadline."""
    found = _remote(url, token).ask("GET", f"/v1/exceptions/{number}")
    say(found, as_json, _whole(found))


@app.command("answer")
def answer(
    number: IdArgument, url: UrlOption, token: TokenOption,
    text: Annotated[str, typer.Option(help="What you say; the other company reads it.", show_default=False)],
) -> None:  # fmt: skip
    """Answer an exception that another company reported."""
    _remote(url, token).ask("POST", f"/v1/exceptions/{number}/answer", json={"text": text})
    print(f"exception {number} is answered; the ledger and the other company are being told")


@app.command("resolve")
def resolve(
    number: IdArgument, url: UrlOption, token: TokenOption,
    how: Annotated[
        str,
        typer.Option(
            "--as", show_default=False,
            help="corrected, explained, false-alert, falsified, returned, destroyed, withdrawn or unanswered.",
        ),
    ],
    remark: Annotated[str, typer.Option(help="In words.")] = "",
) -> None:  # fmt: skip
    """End an exception of your own."""
    _remote(url, token).ask("POST", f"/v1/exceptions/{number}/resolve", json={"resolution": how, "remark": remark})
    print(
        f"exception {number} is resolved as {how}; the ledger and the other company are being told. Where the ledger"
        " refuses it is open again, and says why"
    )


@custody.command("list")
def list_transitions(
    url: UrlOption, token: TokenOption,
    state: Annotated[str, typer.Option(help="pending, waiting, done, refused or void; empty: all.")] = "",
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """List transitions, in the order of the events; those that wait, are behind others or were refused say why."""
    found = _pages(url, token, "/v1/custody", "transitions", {"state": state} if state else {})
    lines = [
        f"{one['id']:>8}  {one['name']:<13} {one['state']:<8} record {one['record']:<8}"
        f" {one['things'][0] if one['things'] else ''}  {one['reason']}".rstrip()
        for one in found
    ]
    say({"transitions": found}, as_json, "\n".join(lines) or "none")


@custody.command("retry")
def retry(
    number: Annotated[int, typer.Argument(help="Number of a refused transition.", show_default=False)], url: UrlOption,
    token: TokenOption,
) -> None:  # fmt: skip
    """Ask the contract again for what it refused, when the reason is gone."""
    _remote(url, token).ask("POST", f"/v1/custody/{number}/retry")
    print(f"transition {number} is tried again")


@custody.command("close")
def close(
    gtin: Annotated[str, typer.Argument(help="GTIN of the product.", show_default=False)],
    lot: Annotated[str, typer.Argument(help="The lot.", show_default=False)], url: UrlOption, token: TokenOption,
) -> None:  # fmt: skip
    """Close a lot: no more packs are made of it, and the ledger gets their tree."""
    from urllib.parse import quote

    _remote(url, token).ask("POST", f"/v1/lots/{quote(gtin, safe='')}/{quote(lot, safe='')}/close")
    print(f"lot {lot} of {gtin} is closed; the ledger is being told")


def _line(one: dict[str, Any]) -> str:
    who = "ours" if one["ours"] else f"asked by {one['owner']}"
    thing, trouble = one["things"][0] if one["things"] else "", f"  ! {one['trouble']}" if one["trouble"] else ""
    return f"{one['id']:>6}  {one['state']:<9} {one['kind']:<21} {who:<24} {thing}{trouble}"


def _whole(one: dict[str, Any]) -> str:
    lines = [_line(one), f"compared: {one['compared']}", f"records: {', '.join(one['records']) or 'none'}"]
    lines += [f"thing: {thing}" for thing in one["things"]]
    if one["deadline_us"]:
        lines.append(f"answer by: {_moment(one['deadline_us'])}")
    lines += [f"{name}: {one[name]}" for name in ("answer", "resolution", "remark") if one[name]]
    return "\n".join(lines)


def _moment(us: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _pages(url: str, token: str, path: str, what: str, params: dict[str, str]) -> list[dict[str, Any]]:
    remote, found, after = _remote(url, token), list[dict[str, Any]](), "0"
    while True:
        page = remote.ask("GET", path, params={**params, "after": after})
        found += page[what]
        if page["after"] is None:
            return found
        after = page["after"]


def _remote(url: str, token: str) -> "Remote":
    from chain.remote import Remote
    from gateway.custody.errors import CustodyError

    return Remote(url, token, CustodyError)
