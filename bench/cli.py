"""`sealtrail bench`: measures this program beside others on this machine, and judges the targets."""

from pathlib import Path
from typing import Annotated

import typer


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="At most two minutes, small logs, one round.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Only this part; may be repeated.", show_default=False)] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all results to this file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables to this file, between its two marks.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Write SVG plots into this folder.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Turns of each side; default 3, with --quick 1.")] = None,
    scale: Annotated[float | None, typer.Option(min=0.001, max=10, help="Length of every measurement.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Folder on a real disk for temporary data.")] = None,
    from_json: Annotated[Path | None, typer.Option(help="Measure nothing, write again what was measured.")] = None,
) -> None:
    """Measure throughput, latency, proofs, memory and disk beside peers, in one run."""
    import json
    import sys

    from bench.pages import charts, tables, write_tables
    from bench.suite import PARTS, QUICK_SCALE, ROUNDS, measure, real_disk

    unknown = [name for name in only or () if name not in PARTS]
    if unknown:
        raise typer.BadParameter(f"no part is named {unknown[0]}; there are {', '.join(PARTS)}")
    if from_json:
        found = json.loads(from_json.read_text())
    else:
        found = measure(
            only or list(PARTS), folder or real_disk(), rounds or (1 if quick else ROUNDS),
            scale or (QUICK_SCALE if quick else 1.0), quick=quick,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )  # fmt: skip
    if json_file:
        json_file.write_text(json.dumps(found, indent=1) + "\n")
    if markdown:
        write_tables(markdown, tables(found))
    for name, svg in charts(found).items() if plots else ():
        assert plots is not None
        (plots / name).write_text(svg)
    print(tables(found))
    if any("failed" in part for part in found["parts"].values()):
        raise typer.Exit(1)
