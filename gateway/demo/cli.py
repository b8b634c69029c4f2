"""`sealtrail demo`: plays, shows live progress, says in plain words what happened, then keeps serving."""

import asyncio
import json
import signal
from contextlib import AsyncExitStack, nullcontext
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gateway.demo.run import Player, Summary
    from gateway.server import Running


def demo(
    once: Annotated[bool, typer.Option("--once", help="Exit when everything is anchored.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the summary as JSON to this file.")] = None,
    data: Annotated[Path | None, typer.Option(help="Data directory to keep; default: a temporary one.")] = None,
    port: Annotated[int, typer.Option(help="Port of the pages and the REST interface; 0: a free one.")] = 0,
    fabric: Annotated[bool, typer.Option("--fabric", help="Anchor on a Fabric network of three companies.")] = False,
) -> None:
    """Play a year of real temperatures and a packing line through a gateway, and verify a receipt."""
    from gateway.demo.partners import COMPANIES, partners

    with nullcontext(str(data)) if data else TemporaryDirectory(prefix="sealtrail-demo-") as folder:
        home = Path(folder).absolute()
        with partners(home, keep=data is not None) if fabric else nullcontext() as profiles:
            asyncio.run(_demo(home, once, json_file, port, profiles[COMPANIES[0]] if profiles else None))
        if once and data:
            print(_next_steps(home))


async def _demo(data: Path, once: bool, json_file: Path | None, port: int, profile: Path | None) -> None:
    from gateway.demo.run import demo_config, play, summarise
    from gateway.server import running

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(running(demo_config(data, port, profile)))
        playing = asyncio.create_task(_with_progress(play, served))
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait({playing, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            return
        players, seconds = await playing
        await served.index_caught_up()
        summary = await asyncio.to_thread(summarise, served, players, seconds)
        if json_file:
            await asyncio.to_thread(json_file.write_text, json.dumps(_as_json(summary), indent=2) + "\n")
        print(_in_words(summary))
        if not once:
            print(f"\nLook:  {served.url}/login?token={(data / 'first-token').read_text().strip()}")
            print(f"{_next_steps(data)}\n\nServing until Ctrl-C.", flush=True)
            await waiting


async def _with_progress(play: Any, served: "Running") -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        rows: dict[str, Any] = {}

        def watch(players: list["Player"]) -> None:
            for player in players:
                _row(progress, rows, player.name, player.count("recorded"), player.total)
            recorded = sum(player.count("recorded") for player in players)
            status = served.gateway.status()
            _row(progress, rows, "acknowledged", sum(p.count("acknowledged") for p in players), recorded)
            _row(progress, rows, "in the log", status.log_size, max(status.log_size, 1))
            _row(progress, rows, "anchored", status.anchored_size, max(status.log_size, 1))

        return await play(served, watch)


def _row(progress: Any, rows: dict[str, Any], name: str, done: int, total: int) -> None:
    if name not in rows:
        rows[name] = progress.add_task(name, total=total)
    progress.update(rows[name], completed=done, total=max(total, done))


def _as_json(summary: "Summary") -> dict[str, Any]:
    """The counts; the report of one receipt is for people."""
    return {name: value for name, value in asdict(summary).items() if name != "report"}


def _next_steps(data: Path) -> str:
    return f"""Next:  sealtrail receipt 6000 -o receipt.json --data {data}
       sealtrail policy export -o policy.txt --data {data}
       sealtrail verify receipt.json --policy policy.txt"""


def _in_words(summary: "Summary") -> str:
    rate = summary.logged / max(summary.seconds, 0.001)
    return f"""
A shipment's logger played a year of real hourly temperatures, and a packing line read the codes of real images.

  {summary.sent:>7,} events sent by two devices, each in a process of its own, over MQTT
  {summary.acknowledged:>7,} acknowledged by the gateway, which means: on disk and in the log
  {summary.logged:>7,} in the log, {summary.anchored:,} of them anchored {_where(summary)}
  {summary.rejected:>7,} rejected, {summary.gaps} gaps
  {summary.excursions:>7,} excursions out of 2–22 °C found on the way, each anchored at once
  {summary.seconds:>7.1f} seconds, {rate:,.0f} events a second from sensor to anchor
  {summary.receipts_valid:>7,} of {summary.receipts_checked} receipts built and verified offline: {_verdict(summary)}

Receipt {summary.sample}, verified offline:
{summary.report}"""


def _where(summary: "Summary") -> str:
    return "on the channel of three companies" if summary.ledger == "fabric" else "on the ledger"


def _verdict(summary: "Summary") -> str:
    return "every one valid" if summary.receipts_valid == summary.receipts_checked else "NOT all valid"
