"""`sealtrail demo-pharma`: five companies play a medicine's way, then keep serving the pages of it."""

import asyncio
import json
import logging
import signal
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gateway.demo.pharma.goods import Told
    from gateway.demo.pharma.story import Story

TOLD = "told.json"  # of a kept folder: the story was played, and is not played twice


def demo_pharma(
    fabric: Annotated[bool, typer.Option("--fabric", help="Anchor on a Fabric network of the five companies.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Exit when the story has ended.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the summary as JSON to this file.")] = None,
    data: Annotated[Path | None, typer.Option(help="Data directory to keep; default: a temporary one.")] = None,
    port: Annotated[int, typer.Option(help="Port of the maker's pages; 0: a free one.")] = 0,
) -> None:
    """Play a medicine from raw material to patient: five companies, a warm afternoon, a copied pack, a recall."""
    from gateway.demo.partners import partners
    from gateway.demo.pharma.companies import ALL

    with nullcontext(str(data)) if data else TemporaryDirectory(prefix="sealtrail-pharma-") as folder:
        home = Path(folder).absolute()
        msp_ids = [company.msp_id for company in ALL]
        with partners(home, msp_ids, keep=data is not None) if fabric else nullcontext() as profiles:
            asyncio.run(_play(home, port, profiles, once, json_file))


async def _play(home: Path, port: int, profiles: dict[str, Path] | None, once: bool, json_file: Path | None) -> None:
    from gateway.demo.pharma.companies import ports, prepare, running
    from gateway.demo.pharma.rest import desks
    from gateway.demo.pharma.story import Story
    from gateway.demo.pharma.summary import in_words, pages, summarise

    logging.getLogger("gateway.device.enrolment").setLevel(logging.ERROR)  # that this is plain HTTP, on loopback
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    prepare(home, ports(home, port), profiles)
    async with running(home) as gateways, desks(gateways) as systems:
        playing = asyncio.create_task(_told(home, Story(home, systems, _tell)))
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait({playing, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            return
        summary = await summarise(systems, await playing, "fabric" if profiles else "embedded")
        if json_file:
            await asyncio.to_thread(json_file.write_text, json.dumps(summary.as_json(), indent=2) + "\n")
        print(in_words(summary))
        if not once:
            print(f"\n{pages(gateways, summary)}\n\nServing until Ctrl-C.", flush=True)
            await waiting


async def _told(home: Path, story: "Story") -> "Told":
    """Play the story, or, where it was played in this folder before, what came of it then."""
    from gateway.demo.pharma.goods import Told

    file = home / TOLD
    if file.exists():
        return Told.from_json(json.loads(await asyncio.to_thread(file.read_text)))
    told = await story.play()
    await asyncio.to_thread(file.write_text, json.dumps(told.as_json(), indent=2) + "\n")
    return told


def _tell(line: str) -> None:
    print(f"  · {line}", flush=True)
