"""`sealtrail trace`: where a thing came from and where it went, by a site's own events or a running gateway's."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.options import JsonOption, token_option


def trace_command(
    identifier: Annotated[str, typer.Argument(
        metavar="ID", help="Digital Link, EPC URN, element strings or SSCC of a pack, lot or unit. A GTIN alone"
        " finds only what events name by product: for packs give a lot, (01)GTIN(10)LOT.", show_default=False)],
    up: Annotated[bool, typer.Option("--up", help="Only what it was made of and where it came from.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Only where it went and what was made of it.")] = False,
    data: Annotated[Path | None, typer.Option(help="Data directory of a gateway.", show_default=False)] = None,
    url: Annotated[str | None, typer.Option(
        help="URL of a running gateway instead, which also asks its partners.", show_default=False)] = None,
    token: Annotated[str, token_option("auditor or operator, with --url")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many things at most in each direction.")] = 5000,
    after: Annotated[str, typer.Option(help="Go on after this relative of it, as the last answer said.")] = "",
    local: Annotated[bool, typer.Option("--local", help="With --url: ask no partner.")] = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Trace a pack, lot, case, pallet or material up to every material and down to every place and product."""
    import json

    if (data is None) == (url is None) or (up and down):
        raise typer.BadParameter("give --data or --url, and --up or --down or neither")
    direction = "up" if up else "down" if down else "both"
    asked = {"id": identifier, "direction": direction, "limit": limit, "after": after}
    found = _ask(url, token, asked | ({"local": "true"} if local else {})) if url else _read(data or Path(), asked)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    from gateway.trace.tree import as_text

    print(as_text(found))


def _read(data: Path, asked: dict[str, Any]) -> dict[str, Any]:
    from contextlib import closing

    from chain.site import Folder
    from gateway.events.follower import bring_up_to_date
    from gateway.events.view import EventsView
    from gateway.trace.tracing import Question, trace

    folder = Folder.existing(data)
    question = Question.of(asked["id"], asked["direction"], asked["limit"], asked["after"])
    bring_up_to_date(folder)
    with closing(EventsView.open(folder)) as view, view.bounded(60.0):
        return trace(view, question)


def _ask(url: str, token: str, asked: dict[str, Any]) -> dict[str, Any]:
    from chain.remote import Remote
    from gateway.trace.errors import TraceError

    given = {name: value for name, value in asked.items() if value != ""}
    return Remote(url, token, TraceError).ask("GET", "/v1/trace", params=given)
