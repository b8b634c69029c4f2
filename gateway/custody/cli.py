"""`sealtrail exceptions`, goods and data that disagree, and `sealtrail custody`, what the ledger is told, over REST."""

import json
from typing import Annotated, Any

import typer

UrlOption = Annotated[str, typer.Option(help="URL of the gateway.", show_default=False)]
TokenOption = Annotated[
    str, typer.Option(help="API token with scope operator.", envvar="SEALTRAIL_TOKEN", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
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
    _say({"exceptions": found}, as_json, "\n".join(lines) or "none")


@app.command("show")
def show(number: IdArgument, url: UrlOption, token: TokenOption, as_json: JsonOption = False) -> None:
    """Show one: what was compared, both sides' words, the deadline."""
    found = _ask(url, token, "GET", f"/v1/exceptions/{number}")
    _say(found, as_json, _whole(found))


@app.command("answer")
def answer(
    number: IdArgument, url: UrlOption, token: TokenOption,
    text: Annotated[str, typer.Option(help="What you say; the other company reads it.", show_default=False)],
) -> None:  # fmt: skip
    """Answer an exception that another company reported."""
    _ask(url, token, "POST", f"/v1/exceptions/{number}/answer", json={"text": text})
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
    _ask(url, token, "POST", f"/v1/exceptions/{number}/resolve", json={"resolution": how, "remark": remark})
    print(f"exception {number} is resolved as {how}; the ledger and the other company are being told")


@custody.command("list")
def list_transitions(
    url: UrlOption, token: TokenOption,
    state: Annotated[str, typer.Option(help="pending, waiting, done, refused or void; empty: all.")] = "",
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """List transitions, in the order of the events; those that wait or were refused say why."""
    found = _pages(url, token, "/v1/custody", "transitions", {"state": state} if state else {})
    lines = [
        f"{one['id']:>8}  {one['name']:<13} {one['state']:<8} record {one['record']:<8}"
        f" {one['things'][0] if one['things'] else ''}  {one['reason']}".rstrip()
        for one in found
    ]
    _say({"transitions": found}, as_json, "\n".join(lines) or "none")


@custody.command("retry")
def retry(
    number: Annotated[int, typer.Argument(help="Number of a refused transition.", show_default=False)], url: UrlOption,
    token: TokenOption,
) -> None:  # fmt: skip
    """Ask the contract again for what it refused, when the reason is gone."""
    _ask(url, token, "POST", f"/v1/custody/{number}/retry")
    print(f"transition {number} is tried again")


@custody.command("close")
def close(
    gtin: Annotated[str, typer.Argument(help="GTIN of the product.", show_default=False)],
    lot: Annotated[str, typer.Argument(help="The lot.", show_default=False)], url: UrlOption, token: TokenOption,
) -> None:  # fmt: skip
    """Close a lot: no more packs are made of it, and the ledger gets their tree."""
    from urllib.parse import quote

    _ask(url, token, "POST", f"/v1/lots/{quote(gtin, safe='')}/{quote(lot, safe='')}/close")
    print(f"lot {lot} of {gtin} is closed; the ledger is being told")


def _line(one: dict[str, Any]) -> str:
    who = "ours" if one["ours"] else f"asked by {one['owner']}"
    return f"{one['id']:>6}  {one['state']:<9} {one['kind']:<21} {who:<24} {one['things'][0] if one['things'] else ''}"


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
    found: list[dict[str, Any]] = []
    after = "0"
    while True:
        page = _ask(url, token, "GET", path, params={**params, "after": after})
        found += page[what]
        if page["after"] is None:
            return found
        after = page["after"]


def _ask(url: str, token: str, method: str, path: str, **more: Any) -> Any:
    import httpx

    from crypto.tls.client import for_httpx
    from gateway.custody.errors import CustodyError

    headers = {"Authorization": f"Bearer {token}"}
    try:
        answer = httpx.request(method, url.rstrip("/") + path, headers=headers, timeout=60, verify=for_httpx(), **more)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as e:
        raise CustodyError(f"cannot reach {url}: {e}") from e
    if answer.status_code >= 300:
        try:
            detail = answer.json()["detail"]
        except (ValueError, KeyError, TypeError):
            detail = answer.text[:300]
        raise CustodyError(f"the gateway refused ({answer.status_code}): {detail}")
    return answer.json() if answer.content else None


def _say(found: Any, as_json: bool, text: str) -> None:
    print(json.dumps(found) if as_json else text)
