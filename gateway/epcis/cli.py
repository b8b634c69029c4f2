"""`sealtrail epcis`: check documents and name their events, without any gateway."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.options import JsonOption

if TYPE_CHECKING:
    from gateway.epcis.document import Sifted
    from gateway.epcis.errors import EpcisError

app = typer.Typer(help="EPCIS 2.0 documents and events (GS1), as JSON-LD.", no_args_is_help=True)
app.callback()(lambda: None)

FileArgument = Annotated[Path, typer.Argument(help="An EPCIS document or one event; - for standard input.")]
MAX_SHOWN = 1_000


@app.command()
def check(file: FileArgument, as_json: JsonOption = False) -> None:
    """Check a document by the standard, GS1's vocabulary and check digits. Exit code 0 only if all of it is valid.

    Otherwise one line for each faulty event, at most 1,000: where it is (JSON pointer), and what to mend.
    """
    from gateway.epcis.errors import EpcisError

    try:
        sifted = _sifted(file)
        faults, good = sifted.faults, len(sifted.document.events)
    except EpcisError as e:
        faults, good = (e,), 0
    if as_json:
        told = [{"place": e.place, "reason": e.reason} for e in faults]
        print(json.dumps({"valid": not faults, "events": good, "faults": told}))
    else:
        _say(faults, good)
    if faults:
        raise typer.Exit(1)


@app.command("hash")
def hash_command(file: FileArgument, as_json: JsonOption = False) -> None:
    """The event hash id (CBV 2.0) of each event, one a line, in the order of the document, which must be valid."""
    from gateway.epcis.event import read_event

    sifted = _sifted(file)
    if sifted.faults:
        raise sifted.faults[0]
    ids = [read_event(event).hash_id for event in sifted.document.events]
    if as_json:
        print(json.dumps(ids))
    for one in () if as_json else ids:
        print(one)


def _sifted(file: Path) -> "Sifted":
    from gateway.epcis.document import MAX_DOCUMENT_BYTES, sift_document

    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1)
        else:
            with file.open("rb") as source:
                data = source.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as e:
        raise typer.BadParameter(f"cannot read {file}: {e.strerror}") from e
    return sift_document(data, most_faults=MAX_SHOWN)


def _say(faults: "tuple[EpcisError, ...]", good: int) -> None:
    if not faults:
        print(f"valid: {good} event{'' if good == 1 else 's'}")
    for fault in faults:
        print(f"{fault.place or 'document'}: {fault.reason}")
