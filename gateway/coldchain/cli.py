"""`sealtrail shipment`: goods under a cold chain policy, over a gateway's REST interface."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.options import JsonOption, UrlOption, say, token_option

if TYPE_CHECKING:
    from chain.remote import Remote

app = typer.Typer(help="Goods under a cold chain policy: open, watch, explain, release, close.", no_args_is_help=True)
TokenOption = Annotated[str, token_option("operator")]
IdArgument = Annotated[str, typer.Argument(help="Shipment id, 64 hex digits.", show_default=False)]


@app.command("policies")
def policies(url: UrlOption, token: TokenOption, as_json: JsonOption = False) -> None:
    """The ready-made policies."""
    found = _remote(url, token).ask("GET", "/v1/shipments/policies")
    say(found, as_json, "\n".join(f"{one['name']:<18} {_limits(one)}" for one in found["policies"]))


@app.command("open")
def open_command(
    policy: Annotated[str, typer.Option(help="A ready-made policy's name, or a JSON file.", show_default=False)],
    recipient: Annotated[str, typer.Option(help="The recipient's organisation.", show_default=False)],
    logger: Annotated[list[str], typer.Option(
        help="SOURCE=SERIES or SOURCE=SERIES=CALIBRATED (a day, 2026-03-01); may be repeated.", show_default=False)],
    unit: Annotated[list[str], typer.Option(
        help="SSCC, EPC URN, Digital Link, or unit id in hex; may be repeated.", show_default=False)],
    url: UrlOption, token: TokenOption,
    reporter: Annotated[str, typer.Option(help="Origin of the log that reports; without it this gateway's.")] = "",
    from_us: Annotated[int, typer.Option(help="Beginning, µs since 1970; 0: now.")] = 0,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Put goods on their way: units of ours, under a policy, with loggers that report."""
    body = {
        "policy": _policy(policy), "recipient": recipient, "loggers": [_logger(one) for one in logger], "units": unit,
        "reporter": reporter, "from_us": from_us,
    }  # fmt: skip
    _print(_remote(url, token).ask("POST", "/v1/shipments", json=body), as_json)


@app.command("show")
def show(name: IdArgument, url: UrlOption, token: TokenOption, as_json: JsonOption = False) -> None:
    """One shipment: how far it is reported, its alarms, who holds or released its units."""
    _print(_remote(url, token).ask("GET", f"/v1/shipments/{name}"), as_json)


@app.command("list")
def list_command(
    url: UrlOption, token: TokenOption,
    state: Annotated[str, typer.Option(help="any, open, closed, complete, excursion or released.")] = "any",
    organisation: Annotated[str, typer.Option(help="Whose; without it this gateway's.")] = "",
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Ids of the shipments that an organisation opened, reports or receives."""
    remote, found = _remote(url, token), list[str]()
    asked = {"state": state} | ({"organisation": organisation} if organisation else {})
    while True:
        page = remote.ask("GET", "/v1/shipments", params=asked)
        found += page["shipments"]
        if page["next"] is None:
            break
        asked["after"] = page["next"]
    say({"shipments": found}, as_json, "\n".join(found) or "none")


@app.command("explain")
def explain(
    name: IdArgument,
    alarm: Annotated[int, typer.Option(help="Number of the alarm, as shown.", show_default=False)],
    code: Annotated[str, typer.Option(help="In one word.", show_default=False)],
    text: Annotated[str, typer.Option(help="In your words; stays at this gateway.", show_default=False)],
    url: UrlOption, token: TokenOption, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Say how an alarm came about, as who reported or shipped."""
    body = {"alarm": alarm, "code": code, "text": text}
    done = _remote(url, token).ask("POST", f"/v1/shipments/{name}/explain", json=body)
    say(done, as_json, f"alarm {alarm} is explained on the ledger: {code}")


@app.command("release")
def release(
    name: IdArgument,
    reason: Annotated[str, typer.Option(
        help="Why the units may go: 1 to 200 printable ASCII characters, which stand on the ledger.",
        show_default=False)],
    url: UrlOption, token: TokenOption, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Let held units go, as another organisation than the one that reported."""
    _print(_remote(url, token).ask("POST", f"/v1/shipments/{name}/release", json={"reason": reason}), as_json)


@app.command("accept")
def accept(name: IdArgument, url: UrlOption, token: TokenOption, as_json: JsonOption = False) -> None:
    """Report a shipment that another organisation opened, which this gateway does not report by itself."""
    _print(_remote(url, token).ask("POST", f"/v1/shipments/{name}/accept"), as_json)


@app.command("close")
def close(name: IdArgument, url: UrlOption, token: TokenOption, as_json: JsonOption = False) -> None:
    """Say that the goods have arrived, as their recipient."""
    _print(_remote(url, token).ask("POST", f"/v1/shipments/{name}/close"), as_json)


def _policy(text: str) -> Any:
    file = Path(text)
    if file.suffix != ".json":
        return text
    from pydantic import ValidationError

    from gateway.api.alarm_models import PolicyIn

    try:
        return PolicyIn.model_validate_json(file.read_bytes()).model_dump()
    except OSError as e:
        raise typer.BadParameter(f"cannot read a policy from {file}: {e.strerror}") from e
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False, include_context=False)[0]
        place = "".join(f"{part}: " for part in first["loc"])
        raise typer.BadParameter(f"{file} is no policy: {place}{first['msg']}") from e


def _logger(text: str) -> dict[str, str]:
    parts = text.split("=")
    if not 2 <= len(parts) <= 3:
        raise typer.BadParameter(f"expected SOURCE=SERIES or SOURCE=SERIES=CALIBRATED, got {text!r}")
    return dict(zip(("source", "series", "calibrated"), parts, strict=False))


def _limits(policy: dict[str, Any]) -> str:
    said = [_limit(one) for one in policy["limits"]]
    mkt = [f"MKT above {policy['mkt']['most_milli_c'] / 1000:g} °C"] if policy["mkt"] else []
    return ", ".join(said + mkt)


def _limit(one: dict[str, Any]) -> str:
    allowed = f" ({one['mode']}, {one['allowed_s']} s allowed)" if one["allowed_s"] else ""
    return f"{one['direction']} {one['threshold_milli_c'] / 1000:g} °C{allowed}"


def _alarm(shown: dict[str, Any], one: dict[str, Any]) -> str:
    """One alarm of a shipment, told apart from all others: its number is what `explain` takes."""
    from chain.checks import moment
    from chain.conditions.printed import figure_words

    said = f"alarm {one['number']}: {one['cause']}"
    if one["logger"] is not None:
        logger = shown["loggers"][one["logger"]]
        said += f" of {logger['source']} ({logger['series']})"
    if one["limit"] is not None:
        said += f", {_limit(shown['policy']['limits'][one['limit']])}"
    said += f": {figure_words(one['cause'], one['figure'])}, "
    return said + (f"by report {one['report']}, " if one["report"] else "") + f"since {moment(one['since_us'])}"


def _print(shown: dict[str, Any], as_json: bool) -> None:
    state = "held" if shown["held"] else "complete" if shown["complete"] else "under way"
    lines = [
        f"shipment {shown['id']}: {state}, {shown['policy']['name']}, {shown['opener']} to {shown['recipient']}",
        f"{shown['reports']} reports by {shown['reporter']}, {len(shown['units'])} units",
        *(_alarm(shown, one) for one in shown["alarms"]),
        *(f"explained {one['alarm']} by {one['organisation']}: {one['code']}" for one in shown["explanations"]),
    ]
    if shown["released"]:
        lines.append(f"released by {shown['released']['by']}: {shown['released']['reason']}")
    say(shown, as_json, "\n".join(lines))


def _remote(url: str, token: str) -> "Remote":
    from chain.remote import Remote
    from gateway.coldchain.errors import ShipmentError

    return Remote(url, token, ShipmentError)
