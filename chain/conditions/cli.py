"""The subcommands `conditions recompute` and `conditions mkt`: alarms executed again, and means of temperatures.

`recompute --from` opens no socket and no database. Exit codes of recompute: 0 every figure and alarm agrees, 3 the
proof is false, 4 untrusted, 5 something is missing, 6 a key is in doubt, 7 the proof holds and the numbers differ; of
every command: 1 for an error, 2 for wrong usage.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from chain.conditions.bundle import Bundle
    from chain.conditions.opened import Opened
    from chain.conditions.recompute import Recomputation
    from chain.policy import Policy

DIFFERS = 7
app = typer.Typer(help="Conditions of goods under way: reports computed again, and means.", no_args_is_help=True)
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


@app.command()
def recompute(
    shipment: Annotated[str, typer.Argument(help="Id of the shipment, 64 hexadecimal digits.")],
    data: Annotated[Path | None, typer.Option("--data", help="Data directory of the gateway that reports.")] = None,
    file: Annotated[Path | None, typer.Option("--from", help="File of `conditions export`, instead.")] = None,
    policy: Annotated[
        Path | None, typer.Option(help="Policy file: the keys that you trust. With --data: the site's own.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Build a shipment's reports again from records and receipts, and judge its alarms: right, false, late, suppressed.
    Exit 0 where all agrees, 7 where numbers differ; 3 false, 4 untrusted, 5 incomplete, 6 doubtful."""
    from chain.conditions import printed
    from chain.conditions.opened import open_bundle
    from chain.conditions.recompute import recompute as run
    from chain.policy import parse_policy
    from chain.verify import Outcome

    if (data is None) == (file is None):
        raise typer.BadParameter("give either --data or --from")
    if file and not policy:
        raise typer.BadParameter("--from needs --policy: whom do you trust?")
    shipment_id = shipment_of(shipment)
    trust = parse_policy(_read(policy)) if policy else None
    bundle, own = _from_file(file, shipment_id) if file else _from_site(data or Path(), shipment_id)
    opened = open_bundle(bundle, trust or own)
    # Of readings that are not all here nothing follows: neither figures nor alarms are judged.
    found = run(opened.case) if opened.case and opened.outcome is not Outcome.INCOMPLETE else None
    code, result = verdict(opened, found)
    if as_json:
        print(json.dumps(printed.as_json(opened, found, result), indent=2, ensure_ascii=False))
    else:
        print(printed.as_text(opened, found, result))
    sys.exit(code)


def verdict(opened: "Opened", found: "Recomputation | None") -> tuple[int, str]:
    """The exit code and its word. Numbers that differ say nothing where the proof is false or something is missing."""
    from chain.verify import EXIT_CODE, Outcome

    outcome = opened.outcome
    if found is None or outcome in (Outcome.INVALID, Outcome.UNTRUSTED, Outcome.INCOMPLETE):
        return EXIT_CODE[outcome], str(outcome)
    if not found.agrees:
        return DIFFERS, "differs"
    return (EXIT_CODE[outcome], str(outcome)) if outcome is Outcome.DOUBTFUL else (0, "agrees")


def shipment_of(text: str) -> bytes:
    """A shipment's id as people write it."""
    try:
        shipment_id = bytes.fromhex(text)
    except ValueError:
        shipment_id = b""
    if len(shipment_id) != 32:
        raise typer.BadParameter(f"a shipment's id has 64 hexadecimal digits, got {text[:80]!r}")
    return shipment_id


def _from_file(file: Path, shipment_id: bytes) -> "tuple[Bundle, Policy]":
    from chain.conditions.bundle import parse_bundle
    from chain.conditions.errors import ConditionsError
    from chain.policy import Policy

    bundle = parse_bundle(_read(file))
    if bundle.header.shipment != shipment_id:
        raise ConditionsError(f"{file} is of shipment {bundle.header.shipment.hex()}")
    return bundle, Policy((), (), (), "none")


def _from_site(data: Path, shipment_id: bytes) -> "tuple[Bundle, Policy]":
    """The same file, made and read in memory: a site checks itself as others check it."""
    from chain.conditions.bundle import parse_bundle
    from chain.conditions.exporting import exported
    from chain.disclosing import Purpose
    from chain.policies import site_policy
    from chain.site import Folder

    folder = Folder.existing(data)
    content, _, _ = exported(folder, shipment_id, Purpose("this site itself", "recomputed"))
    return parse_bundle(content), site_policy(folder)


@app.command("mkt")
def mkt_command(
    file: Annotated[Path, typer.Argument(help="CSV with the columns time and temperature.")],
    unit: Annotated[str, typer.Option(help="Degrees of the file: C or F.")] = "C",
    activation: Annotated[int, typer.Option(help="Activation energy in J/mol.", min=1, max=1_000_000)] = 83_144,
    as_json: JsonOption = False,
) -> None:
    """Mean kinetic temperature of a table, weighted by time, with minimum, maximum and span."""
    from chain.checks import moment
    from chain.conditions.table import Unit, summary

    if unit not in tuple(Unit):
        raise typer.BadParameter(f"a unit is one of {', '.join(Unit)}, got {unit[:20]!r}")
    degrees = Unit(unit)
    found = summary(_read(file), degrees, activation)
    values = {"mkt": found.mkt, "minimum": found.least, "maximum": found.most}
    if as_json:
        shown = {name: degrees.of_milli(milli) for name, milli in values.items()}
        times = {"first": moment(found.first_us), "last": moment(found.last_us), "span_s": found.span_s}
        print(
            json.dumps({"readings": found.count, "unit": unit} | shown | times | {"activation": activation}, indent=2)
        )
        return
    print(
        f"readings  {found.count:,}, {moment(found.first_us)} to {moment(found.last_us)}, {found.span_s / 3600:,.2f} h"
    )
    for name, milli in values.items():
        print(f"{name:<9} {degrees.of_milli(milli):.3f} °{unit}")


def _read(path: Path) -> bytes:
    from chain.conditions.errors import ConditionsError

    try:
        return path.read_bytes()
    except OSError as e:
        raise ConditionsError(f"cannot read {path}: {e.strerror}") from e
