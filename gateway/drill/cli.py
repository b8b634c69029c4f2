"""`sealtrail drill`: alters copies of a site and shows which check found what."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.options import JsonOption

if TYPE_CHECKING:
    from gateway.drill.alteration import Alteration
    from gateway.drill.run import Result

_STYLES = {"caught": "green", "not applicable": "dim", "not guarded": "yellow"}


def drill(
    data: Annotated[
        Path, typer.Option("--data", help="Data directory of a gateway, which may run.", show_default=False)
    ],
    only: Annotated[str, typer.Option(help="Only alterations whose name holds this text.")] = "",
    seed: Annotated[str, typer.Option(help="Choose the same places as an earlier drill.")] = "",
    scratch: Annotated[
        Path | None,
        typer.Option(help="Where copies are made; default: the temporary folder.", exists=True, file_okay=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Alter copies of a site in every way we know: exit 0 only if nothing passes the check that must find it."""
    import secrets

    from gateway.drill import alterations

    wanted = [alteration for alteration in alterations.ALL if only in alteration.name]
    if not wanted:
        raise typer.BadParameter(f"no alteration has {only!r} in its name")
    seed = seed or secrets.token_hex(4)
    results = _run(data, wanted, seed, scratch, shown=not as_json)
    bad = [result for result in results if result.outcome.bad]
    print(json.dumps(_as_json(data, seed, results), indent=2) if as_json else _verdict(seed, results))
    sys.exit(1 if bad else 0)


def _run(data: Path, wanted: Sequence["Alteration"], seed: str, scratch: Path | None, *, shown: bool) -> list["Result"]:
    from chain.site import Folder
    from gateway.drill.run import Drill, DrillError

    results: list[Result] = []
    try:
        with _progress(len(wanted)) as (told, done), Drill(Folder.existing(data), seed, scratch, told) as running:
            for result in running.run(wanted):
                results.append(result)
                done(result.alteration)
    except OSError as e:
        raise DrillError(f"the copies cannot be made: {e}; --scratch names another place for them") from e
    if shown:
        _show(results)
    return results


@contextmanager
def _progress(total: int) -> Iterator[tuple[Callable[[str, int, int], None], Callable[[str], None]]]:
    """On a terminal: how many alterations are done, and what is being done now."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (MofNCompleteColumn(), BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("copying", total=total)

        def told(what: str, part: int, whole: int) -> None:
            progress.update(task, description=f"{what}: {part:,} of {whole:,}")

        def done(alteration: str) -> None:
            progress.update(task, advance=1, description=alteration)

        yield told, done


def _show(results: Sequence["Result"]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    table = Table("", "altered", "where", "check", "it said")
    for result in results:
        cells = (result.outcome, result.alteration, result.where, result.check, _first_line(result.said))
        style = _STYLES.get(result.outcome, "bold red")
        table.add_row(*(Text(cell, style=style if n == 0 else "") for n, cell in enumerate(cells)))
    console.print(table)


def _first_line(said: str) -> str:
    """What stands in a store must not be able to draw lines of its own on the terminal."""
    line = said.partition("\n")[0]
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _counts(results: Sequence["Result"]) -> dict[str, int]:
    from gateway.drill.run import Outcome

    return {outcome: sum(result.outcome is outcome for result in results) for outcome in Outcome}


def _verdict(seed: str, results: Sequence["Result"]) -> str:
    said = ", ".join(f"{count} {outcome}" for outcome, count in _counts(results).items())
    return f"{len(results)} alterations: {said}. The same places again: --seed {seed}"


def _as_json(data: Path, seed: str, results: Sequence["Result"]) -> dict[str, Any]:
    rows = [
        {"alteration": r.alteration, "where": r.where, "check": r.check, "outcome": r.outcome, "said": r.said}
        for r in results
    ]
    return {"data": str(data), "seed": seed, "counts": _counts(results), "results": rows}
