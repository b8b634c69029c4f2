"""The subcommand `open-records`: a recipient reads what a one-way gateway sealed to it, from a copy of its data.

The copy needs none of the site's own keys: site.db and the folder ledger are enough.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer


def open_records(
    data: Annotated[Path, typer.Option("--data", help="Data directory, or a copy without its keys.")],
    keys: Annotated[Path, typer.Option("--keys", help="Folder of your private keys.")],
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write, mode 0600.")] = None,
) -> None:
    """Print the events that your keys open, checked against the log's records, one JSON object a line."""
    import json
    from contextlib import closing

    from chain.errors import StoreError
    from chain.sealed.keys import finder
    from chain.site import Folder, SiteReader
    from crypto.files import write_durably

    with closing(SiteReader.open(Folder.existing(data), finder(keys))) as reader:
        lines = (json.dumps(event) + "\n" for event in _events(reader, source))
        if output is None:
            count = sum(map(_shown, lines))
        else:
            content = "".join(lines)
            count = content.count("\n")
            write_durably(output, content.encode(), mode=0o600)
    typer.echo(f"{count:,} events opened", err=True)
    if not count:
        raise StoreError("none of these keys opens anything here")


def _shown(line: str) -> int:
    typer.echo(line, nl=False)
    return 1


def _events(reader: Any, source: str | None) -> Iterator[dict[str, Any]]:
    """Everything that opens. What is sealed to others, or to nobody and needs a key of the site, is passed over; what
    was altered is not."""
    from chain.errors import SealedError
    from crypto.errors import DecryptionError

    at = 0
    while run := reader.payloads.next_run(at):
        at = run[0] + run[1]
        try:
            segment = reader.payloads.segment_of(run[0])
        except DecryptionError as e:
            others = isinstance(e, SealedError) and e.kids
            if others or not reader.payloads.is_sealed(run[0]):
                continue
            raise DecryptionError(f"the payload of record {run[0]} does not open, it was altered: {e}") from e
        for n, stored in enumerate(segment.events):
            event = _event(reader, segment.first_leaf + n, stored)
            if source in (None, event["source"]):
                yield event


def _event(reader: Any, leaf: int, stored: Any) -> dict[str, Any]:
    import base64

    from chain.errors import StoreError
    from chain.event import Event, content_hash
    from chain.record import Record
    from gateway.query.kinds import kind_name
    from gateway.query.plain import plain_value

    record, event = Record.decode(reader.entries.entry(leaf)), Event.decode(stored.event)
    if content_hash(stored.event) != record.content_hash:
        raise StoreError(f"the payload of record {leaf} is not the one that its record names: it was altered")
    return {
        "id": str(leaf), "source": event.source, "boot": event.boot, "seq": event.seq, "kind": kind_name(event.kind),
        "sensed_us": record.sensed_us, "received_us": record.received_us,
        "event": base64.b64encode(stored.event).decode(), "payload": base64.b64encode(event.payload).decode(),
        "fields": {path: plain_value(value) for path, value in stored.fields},
    }  # fmt: skip
