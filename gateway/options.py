"""What commands have in common: where the gateway or its data is, who asks, and how the answer is shown."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

UrlOption = Annotated[
    str, typer.Option("--url", help="URL of the running gateway.", envvar="SEALTRAIL_URL", show_default=False)
]
DataOption = Annotated[Path, typer.Option("--data", help="Data directory of a gateway.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def token_option(scopes: str) -> Any:
    """The option for a token with one of these scopes."""
    return typer.Option("--token", help=f"API token of scope {scopes}.", envvar="SEALTRAIL_TOKEN", show_default=False)


def say(found: Any, as_json: bool, text: str) -> None:
    """What was found, as JSON or in words."""
    print(json.dumps(found, indent=2) if as_json else text)
