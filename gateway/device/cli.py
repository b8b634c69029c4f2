"""The commands of a device: enroll, send, run, rotate, status. Mounted by the program as `sealtrail device`.

Errors are raised, never printed here: the program shows every SealtrailError as one line.
"""

import json
import logging
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from crypto.errors import FormatError, LimitError
from gateway.device.errors import DeviceError

if TYPE_CHECKING:
    from gateway.device.device import Device, DeviceStatus
    from gateway.device.draft import Draft
    from gateway.device.options import DeviceOptions

MAX_INPUT_BYTES: Final = 64 * 1024 * 1024

app = typer.Typer(
    name="device",
    help="Run as a device: sign what was sensed, keep it until the gateway has it, send it.",
    no_args_is_help=True,
)

Folder = Annotated[Path, typer.Option("--folder", "-d", help="The device's folder: its keys and its buffer.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")]
KindName = Annotated[str, typer.Option("--kind", "-k", help="What the payload is: reading, production or inference.")]
SealEvents = Annotated[
    int, typer.Option(min=1, max=65_536, help="Sign a seal over so many events. 1 signs every event.")
]
InSession = Annotated[
    bool | None,
    typer.Option(
        "--session/--no-session",
        show_default=False,
        help="Send in a session, which a broker cannot read. The default where the gateway's key for it is known.",
    ),
]
Drain = Annotated[float, typer.Option(min=0, help="Seconds to wait at the end until the gateway has everything.")]


@app.command()
def enroll(
    url: Annotated[str, typer.Option(help="The gateway's address, such as https://gateway.example:8443.")],
    code: Annotated[str, typer.Option(help="The one-time code that the gateway's operator gave you.")],
    folder: Folder,
    algorithm: Annotated[str, typer.Option(help="Of the signing key: ed25519, ml-dsa-44 or ml-dsa-65.")] = "ed25519",
    as_json: Json = False,
) -> None:
    """Make this device's key and enrol it at a gateway.

    The key never leaves the folder. Where the gateway's certificate is not publicly signed, put the certificate
    of its authority into the folder as ca.pem first.
    """
    from crypto.keys import algorithm_named
    from gateway.device.enrolment import enrol

    identity = enrol(url, code, folder, algorithm_named(algorithm))
    kid = identity.key.public.kid.hex()
    mqtt = identity.profile.mqtt
    shown = {"source": identity.source, "origin": identity.origin, "mqtt": f"{mqtt.host}:{mqtt.port}", "key": kid}
    _show(as_json, shown, f"Enrolled as {identity.source} at {identity.origin}, key {kid[:16]}….")


@app.command()
def send(
    folder: Folder,
    kind: KindName,
    file: Annotated[
        typer.FileBinaryRead, typer.Argument(help="One JSON payload, or one JSON document on each line; - for stdin.")
    ],
    sensed: Annotated[
        str | None, typer.Option(help="When it was sensed: ISO 8601 with offset, or microseconds since 1970. Now.")
    ] = None,
    seal_events: SealEvents = 64,
    session: InSession = None,
    drain: Drain = 30.0,
    as_json: Json = False,
) -> None:
    """Record a file's payloads and send them.

    The events are on disk before anything is sent. If the gateway cannot be reached, they stay in the folder and
    go out with the next send or run; the command then ends with an error.
    """
    from gateway.device.device import Device

    payloads = _payloads(file.read(MAX_INPUT_BYTES + 1))
    drafts = _drafts(kind, payloads, _moment(sensed))
    device = Device(folder, _options(seal_events, session))
    device.record_many(drafts)
    device.start()
    _finish(device, device.stop(drain), as_json, skipped=0)


@app.command()
def run(
    folder: Folder,
    kind: KindName,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Record at most so many events a second.")] = None,
    forever: Annotated[bool, typer.Option(help="After the end of input go on sending until interrupted.")] = False,
    seal_events: SealEvents = 64,
    session: InSession = None,
    drain: Drain = 30.0,
    as_json: Json = False,
) -> None:
    """Record JSON lines from stdin as they come, and send them in the background.

    A line that is not JSON is skipped with a warning. When the buffer is full, reading pauses until the gateway
    has taken some. Ctrl-C or SIGTERM ends in good order: seal, send for --drain seconds, summary.
    """
    from gateway.device.device import Device
    from gateway.device.runner import Runner, interruptible

    device = Device(folder, _options(seal_events, session))
    device.start()
    runner = Runner(device, lambda payloads: _drafts(kind, payloads, None), rate)
    with interruptible(), open(sys.stdin.fileno(), "rb", closefd=False) as lines:
        runner.run(lines, forever=forever)
    _finish(device, device.stop(drain), as_json, runner.skipped)


@app.command()
def status(folder: Folder, as_json: Json = False) -> None:
    """Show what a device has recorded, sealed and sent, also while it runs."""
    from gateway.device.device import status_of

    found = status_of(folder)
    _show(as_json, asdict(found), _words(found))


@app.command()
def rotate(
    url: Annotated[str, typer.Option(help="The gateway's address, as at enrolment.")],
    folder: Folder,
    algorithm: Annotated[str, typer.Option(help="Of the new signing key.")] = "ml-dsa-65",
    as_json: Json = False,
) -> None:
    """Change this device's key: the old and the new one sign it, the ledger keeps it.

    Everything recorded must have been sent; nothing else may run the device meanwhile.
    """
    from crypto.keys import algorithm_named
    from gateway.device.rotation import rotate as change

    key = change(url, folder, algorithm_named(algorithm))
    shown = {"algorithm": str(key.algorithm), "key": key.kid.hex()}
    _show(as_json, shown, f"The device signs with {key.algorithm} now, key {key.kid.hex()[:16]}….")


def _finish(device: "Device", status: "DeviceStatus", as_json: bool, skipped: int) -> None:
    """The summary, and an error where something did not reach the gateway."""
    _show(as_json, asdict(status) | {"skipped": skipped}, _words(status))
    if status.rejected > device.rejected_before:
        raise DeviceError(f"the gateway refused events or seals; the last: {status.last_rejection}")
    if skipped:
        raise FormatError(f"{skipped} lines were not JSON payloads and were skipped")
    if status.buffered or status.waiting_seals:
        raise DeviceError(
            f"{status.buffered} events and {status.waiting_seals} seals are not acknowledged yet; they are safe in the"
            " folder and are sent by the next send or run"
        )


def _words(status: "DeviceStatus") -> str:
    return (
        f"{status.source}, boot {status.boot}: {status.recorded} recorded, {status.sealed} sealed,"
        f" {status.acknowledged} acknowledged, {status.rejected} refused, {status.buffered} in the buffer"
        f" ({status.buffered_bytes} bytes)."
    )


def _show(as_json: bool, values: Mapping[str, object], words: str) -> None:
    typer.echo(json.dumps(values) if as_json else words)


def _options(seal_events: int, session: bool | None) -> "DeviceOptions":
    from gateway.device.options import DeviceOptions

    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    return DeviceOptions(seal_events=seal_events, session=session)


def _payloads(content: bytes) -> list[bytes]:
    """One payload if the whole is one JSON document, else one a line; several documents are never one."""
    from gateway.device.runner import is_json

    if len(content) > MAX_INPUT_BYTES:
        raise LimitError(f"the input is over {MAX_INPUT_BYTES} bytes; pipe it into `run`, which reads as it goes")
    content = content.strip()
    if is_json(content):
        return [content]
    lines = [(number, line.strip()) for number, line in enumerate(content.split(b"\n"), 1) if line.strip()]
    for number, line in lines:
        if not is_json(line):
            raise FormatError(f"line {number} is not a JSON document, nor is the whole input one; nothing was recorded")
    if not lines:
        raise FormatError("expected at least one JSON document, the input is empty")
    return [line for _, line in lines]


def _drafts(kind: str, payloads: list[bytes], sensed_us: int | None) -> "list[Draft]":
    from gateway.device.draft import Draft
    from gateway.preprocess.kinds import by_name

    found = by_name(kind)
    now = time.time_ns() // 1000 if sensed_us is None else sensed_us
    return [Draft(found.code, payload, now, found.version) for payload in payloads]


def _moment(text: str | None) -> int | None:
    """Microseconds since the Unix epoch."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as e:
        raise FormatError(f"expected a time such as 2026-01-31T12:00:00+00:00, got {text!r:.80}") from e
    if moment.tzinfo is None:
        raise FormatError(f"the time {text!r:.80} has no offset; add Z or +01:00, so that it names one moment")
    return round(moment.timestamp() * 1_000_000)
