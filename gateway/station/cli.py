"""The commands of the label station: run, read. Mounted by the program as `sealtrail station`."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.station.errors import StationError

if TYPE_CHECKING:
    from gateway.station.inspection import Inspection
    from gateway.station.shelf import Waiting
    from gateway.station.station import Outcome

POLL_S: Final = 0.1
SEAL_EVENTS: Final = 64

app = typer.Typer(
    name="station",
    help="A label station: read a pack's code and its print, compare them, report the pack, reject what differs.",
    no_args_is_help=True,
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object for each image instead of words.")]
Pattern = Annotated[
    str | None,
    typer.Option("--lot-pattern", help="How lots look: # for a digit, @ for a letter, such as L####@.", metavar="TEXT"),
]


@app.command()
def run(
    device: Annotated[Path, typer.Option("--device", "-d", help="Folder of the enrolled device of this station.")],
    folder: Annotated[Path | None, typer.Option(help="Take the images that come into this folder.")] = None,
    image: Annotated[Path | None, typer.Option(help="Take this one image.")] = None,
    camera: Annotated[str | None, typer.Option(help="Take frames of this camera, such as /dev/video0.")] = None,
    line: Annotated[str, typer.Option(help="Name of the packing line in the events.")] = "line-1",
    lot_pattern: Pattern = None,
    on_reject: Annotated[
        str | None,
        typer.Option(help="Program that pushes a rejected pack off the line; gets the reject as JSON on stdin."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads of one reading of print.")] = 1,
    once: Annotated[bool, typer.Option("--once", help="End when the folder is empty.")] = False,
    drain: Annotated[float, typer.Option(min=0, help="Seconds to wait at the end for the gateway.")] = 30.0,
    as_json: Json = False,
) -> None:
    """Inspect packs and report each as two events; what differs goes to the folder `rejects` beside the image.

    Invite the device with `--low 0.8 --unit /`, so that a rejected pack raises an alert and is anchored at once.
    """
    from gateway.device.device import Device
    from gateway.device.options import DeviceOptions
    from gateway.device.runner import interruptible
    from gateway.station.confusable import checked_pattern
    from gateway.station.ejector import Ejector
    from gateway.station.inspection import Inspector
    from gateway.station.ocr import TextReader
    from gateway.station.seen import Seen
    from gateway.station.station import Station

    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    if sum(way is not None for way in (folder, image, camera)) != 1:
        raise StationError("expected exactly one of --folder, --image and --camera")
    ejector = None if on_reject is None else Ejector(on_reject)
    inspector = Inspector(TextReader(threads), None if lot_pattern is None else checked_pattern(lot_pattern))
    with ExitStack() as stack:
        opened = Device(device, DeviceOptions(seal_events=SEAL_EVENTS))
        stack.callback(opened.stop, drain)
        seen = stack.enter_context(closing(Seen(device)))
        opened.start()
        station = Station(opened, inspector, seen, line, ejector, keep_in_place=image is not None)
        with interruptible():
            for item in _items(device, folder, image, camera, once=once):
                _say(station.take(item), as_json)
    _finish(opened.stop(drain), opened.rejected_before)


@app.command()
def read(
    image: Annotated[Path, typer.Argument(help="An image file.")],
    lot_pattern: Pattern = None,
    as_json: Json = False,
) -> None:
    """Print what the station reads in one image and what it would decide. Nothing is reported or moved."""
    from gateway.station import shelf
    from gateway.station.confusable import checked_pattern
    from gateway.station.inspection import Inspector
    from gateway.station.ocr import TextReader

    data = shelf.read(image)
    inspector = Inspector(TextReader(), None if lot_pattern is None else checked_pattern(lot_pattern))
    seen = inspector.inspect(data, time.time_ns() // 1000)
    typer.echo(json.dumps(_as_json(seen), ensure_ascii=False) if as_json else _in_words(seen))
    if seen.verdict.decision != "accept":
        raise typer.Exit(1)


def _items(
    device: Path, folder: Path | None, image: Path | None, camera: str | None, *, once: bool
) -> Iterator["Waiting"]:
    from gateway.station import shelf

    if image is not None:
        found = shelf.stamp(image)
        if found is None:
            raise StationError(f"there is no image {image}")
        yield shelf.Waiting(image, found)
    elif camera is not None:
        yield from _of_camera(device, camera)
    elif folder is not None:
        yield from _of_folder(folder, once=once)


def _of_folder(folder: Path, *, once: bool) -> Iterator["Waiting"]:
    """What lies there, in order; then what comes."""
    from gateway.station import shelf

    if not folder.is_dir():
        raise StationError(f"there is no folder {folder}")
    while True:
        found = shelf.waiting(folder)
        yield from found
        if not found:
            if once and not shelf.unsettled(folder):
                return
            time.sleep(POLL_S)


def _of_camera(device: Path, where: str) -> Iterator["Waiting"]:
    """What an earlier start left, then each new pack under the camera."""
    from gateway.station import shelf
    from gateway.station.camera import FRAMES_FOLDER, Camera, Packs, keep_frame

    folder, packs = device / FRAMES_FOLDER, Packs()
    folder.mkdir(exist_ok=True)
    with closing(Camera(where)) as camera:
        yield from shelf.waiting(folder)
        for frame in camera.frames():
            if packs.is_new(frame):
                path = keep_frame(folder, frame)
                yield shelf.Waiting(path, shelf.stamp(path) or "")


def _say(outcome: "Outcome", as_json: bool) -> None:
    """One line for each pack, at once: another program may read it."""
    if as_json:
        print(json.dumps(asdict(outcome), ensure_ascii=False), flush=True)
        return
    why = "; ".join(text for _, text in outcome.reasons)
    pack = f"lot {outcome.lot}, expiry {outcome.expiry}, serial {outcome.serial}" if outcome.lot else "no pack known"
    times = f"{outcome.code_ms:.0f} + {outcome.text_ms:.0f} ms"
    print(f"{outcome.decision}  {outcome.image}  {pack}  {times}{'  ' + why if why else ''}", flush=True)


def _finish(status: Any, rejected_before: int) -> None:
    if status.rejected > rejected_before:
        raise StationError(f"the gateway refused events or seals; the last: {status.last_rejection}")
    if status.buffered or status.waiting_seals:
        raise StationError(
            f"{status.buffered} events and {status.waiting_seals} seals are not acknowledged yet; they are safe in the"
            " device's folder and are sent by the next run"
        )


def _as_json(seen: "Inspection") -> dict[str, Any]:
    code, verdict = seen.code, seen.verdict
    return {
        "digest": seen.digest, "decision": verdict.decision, "score": verdict.score,
        "reasons": [asdict(reason) for reason in verdict.reasons],
        "code": dict(code.elements), "label": code.label, "printed": {"lot": verdict.lot, "expiry": verdict.expiry},
        "lines": [asdict(line) for line in seen.lines], "steps": [asdict(step) for step in seen.steps],
        "code_ms": seen.code_ms, "text_ms": seen.text_ms,
    }  # fmt: skip


def _in_words(seen: "Inspection") -> str:
    verdict = seen.verdict
    said = [f"code     {seen.code.label or 'none'}"]
    said += [f"print    lot {verdict.lot or 'not read'}, expiry {verdict.expiry or 'not read'}"]
    said += [f"time     code {seen.code_ms:.1f} ms, print {seen.text_ms:.1f} ms", f"result   {verdict.decision}"]
    return "\n".join([*said, *(f"         {reason.text}" for reason in verdict.reasons)])
