"""`sealtrail alarms`: what a person should know, and who has seen to it, over a gateway's REST interface."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.options import JsonOption, UrlOption, say, token_option

if TYPE_CHECKING:
    from chain.remote import Remote

TokenOption = Annotated[str, token_option("operator, or auditor to look")]

app = typer.Typer(help="Alarms of a gateway: list them, acknowledge them.", no_args_is_help=True)


@app.command("list")
def list_command(
    url: UrlOption, token: TokenOption,
    pending: Annotated[bool, typer.Option("--pending", help="Only those that nobody has acknowledged.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many, the newest first.")] = 50,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """The newest alarms."""
    asked = {"limit": str(limit), "pending": str(pending).lower()}
    found = _remote(url, token).ask("GET", "/v1/alarms", params=asked)
    lines = [f"{one['id']:>6}  {one['what']:<10} {one['text']}{_seen(one)}" for one in found["alarms"]]
    say(found, as_json, "\n".join(lines) or "none")


@app.command("acknowledge")
def acknowledge(
    number: Annotated[int, typer.Argument(help="Number of the alarm.", show_default=False)],
    by: Annotated[str, typer.Option(help="Your name.", show_default=False)],
    reason: Annotated[str, typer.Option(help="What you did about it.", show_default=False)],
    url: UrlOption, token: TokenOption, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Say that you have seen to an alarm."""
    done = _remote(url, token).ask("POST", f"/v1/alarms/{number}/acknowledge", json={"by": by, "reason": reason})
    say(done, as_json, f"alarm {number}{_seen(done)}")


def _seen(one: dict[str, Any]) -> str:
    done = one["acknowledged"]
    return f" [{done['by']}: {done['reason']}]" if done else ""


def _remote(url: str, token: str) -> "Remote":
    from chain.remote import Remote
    from gateway.alarms.errors import AlarmError

    return Remote(url, token, AlarmError)
