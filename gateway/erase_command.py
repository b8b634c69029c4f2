"""The subcommand `erase`: on the data directory of a stopped gateway, or by a running one's REST interface."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.options import JsonOption, token_option

NO_REASON = "no reason was given"


def erase(
    subject: Annotated[str | None, typer.Option(help="Pseudonym of a person, or name of a source.")] = None,
    reason: Annotated[str, typer.Option(help="Why, for the auditors. It stands in the log's statement.")] = NO_REASON,
    by: Annotated[str, typer.Option(help="Who asked, in a word that is no personal data itself.")] = "the operator",
    data: Annotated[Path | None, typer.Option(help="Data directory of a gateway that is stopped.")] = None,
    url: Annotated[str | None, typer.Option(help="URL of a running gateway instead.")] = None,
    token: Annotated[str, token_option("data-protection, with --url")] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Finish what was cut short, or came back with a backup.")
    ] = False,
    erased: Annotated[Path | None, typer.Option("--list", help="With --again: a list of later erasures.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the list of erasures, for backups.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Destroy payloads, salts and key of a subject for good. The log keeps its records, and says what was erased."""
    import json

    if (data is None) == (url is None) or (url and (again or output)) or sum(map(bool, (subject, again, output))) != 1:
        raise typer.BadParameter(
            "give --data or --url, and one of --subject, --again, --output; the last two need --data"
        )
    if output and data:
        from chain.erased_list import write_list
        from chain.site import Folder

        print(f"wrote {output}: {write_list(Folder.existing(data), output)} erasures; keep it beside the backups")
        return
    asked = subject or ""
    found = _ask(url, token, asked, reason) if url else _stopped(data or Path(), subject, by, reason, erased)
    print(json.dumps(found) if as_json else _said(found))


def _stopped(data: Path, subject: str | None, by: str, reason: str, erased: Path | None) -> dict[str, Any]:
    from chain.errors import ErasureError
    from chain.site import Folder
    from gateway.erasing import erase_stopped

    folder, later = Folder.existing(data), list[bytes]()
    if erased is not None:
        from chain.erased_list import adopt_list

        try:
            listed = erased.read_bytes()
        except OSError as e:
            raise ErasureError(f"cannot read {erased}: {e.strerror}") from e
        later = adopt_list(folder, listed)
    stored = erase_stopped(folder, subject, by, reason, later)
    events = sum(one.erasure.count for one in stored)
    return {"entries": [one.leaf for one in stored], "events": events, "later": len(later)}


def _ask(url: str, token: str, subject: str, reason: str) -> dict[str, Any]:
    from chain.errors import ErasureError
    from chain.remote import Remote

    remote = Remote(url, token, ErasureError, timeout_s=600)
    found = remote.ask("POST", "/v1/erasures", json={"subject": subject, "reason": reason})
    return {"entries": [int(entry) for entry in found["entries"]], "events": found["events"], "later": 0}


def _said(found: dict[str, Any]) -> str:
    lines = []
    if found["later"]:
        lines.append(f"erased {found['later']} subjects that were erased after this copy was made")
    if found["entries"]:
        entries = ", ".join(map(str, found["entries"][:8]))
        lines.append(
            f"erased the payloads of {found['events']:,} events; the log says so at entry {entries}\n"
            "backups still hold them: destroy these, or keep the list of erasures (erase --output) beside them"
        )
    return "\n".join(lines) or "nothing was left to erase"
