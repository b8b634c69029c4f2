"""`sealtrail epcis capture`: bring a file of EPCIS events to a gateway, in documents that it takes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.options import JsonOption, UrlOption, token_option

if TYPE_CHECKING:
    from gateway.capture.remote import Told

PART = 3  # some events were refused


def capture(
    file: Annotated[Path, typer.Argument(help="EPCIS document, event, or list of events (JSON).", show_default=False)],
    url: UrlOption,
    token: Annotated[str, token_option("capture")],
    proceed: Annotated[bool, typer.Option("--proceed", help="Store what holds, though other events do not.")] = False,
    batch: Annotated[int, typer.Option(min=1, max=20_000, help="Events in one request.")] = 500,
    as_json: JsonOption = False,
) -> None:
    """Capture events. The file is checked here first; what is in the log already is not stored twice, so a capture that
    broke off is simply repeated. Exit codes: 0 all events are in the log; 3 with --proceed, some were refused; 1 the
    file or the gateway cannot be used, or without --proceed an event does not hold."""
    from gateway.capture.remote import bring, pieces

    lot = pieces(file, proceed=proceed)
    told: list[Told] = []
    with typer.progressbar(length=lot.total, label="capturing", file=typer.get_text_stream("stderr"),
                           hidden=as_json) as bar:  # fmt: skip
        for one in bring(url, token, lot, batch, proceed=proceed):
            told.append(one)
            bar.update(one.events)
    _say(told, as_json)
    if any(one.refused for one in told):
        raise typer.Exit(PART)


def _say(told: "list[Told]", as_json: bool) -> None:
    import json

    stored, known = sum(one.stored for one in told), sum(one.duplicates for one in told)
    refused = [refusal for one in told for refusal in one.refused]
    if as_json:
        verdicts = [verdict for one in told for verdict in one.verdicts]
        print(json.dumps({"stored": stored, "duplicates": known, "refused": len(refused), "events": verdicts,
                          "jobs": [one.job for one in told if one.job]}))  # fmt: skip
        return
    for refusal in refused:
        print(f"event {refusal['event']}  refused  {refusal['place']}: {refusal['reason']}")
    print(f"{stored:,} stored, {known:,} known already, {len(refused):,} refused")
