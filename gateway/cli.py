"""Subcommands of the gateway: up, records, index check, source, token."""

import asyncio
import json
import os
import signal
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.options import DataOption, JsonOption, UrlOption, token_option

KindOption = Annotated[list[str] | None, typer.Option(help="A kind it may report; may be repeated. Default: all.")]
LowOption = Annotated[float | None, typer.Option(help="Lowest allowed reading.")]
HighOption = Annotated[float | None, typer.Option(help="Highest allowed reading.")]
SubjectOption = Annotated[str, typer.Option(help="Pseudonym of the person whom all it reports concerns.")]
AlarmsOption = Annotated[bool, typer.Option("--alarms", help="It hears the alarms of this gateway over MQTT.")]
SessionRequiredOption = Annotated[
    bool, typer.Option("--session-required", help="Refuse what it sends in no session (docs/formats/session.md).")
]
UnitOption = Annotated[str, typer.Option(help="Unit of the limits (SenML), like Cel.")]
sources = typer.Typer(help="Invite and list the sources of a gateway.", no_args_is_help=True)
tokens = typer.Typer(help="Make and revoke API tokens.", no_args_is_help=True)


def up(
    config: Annotated[Path, typer.Option(help="TOML file; see docs/configuration.md.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print where it serves as one JSON line.")] = False,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C."""
    import gc

    gc.disable()  # until it runs: a start makes what stays, and looking for garbage in it takes a tenth of the start
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it would look for some in every installed package
    import logging

    import uvloop

    from gateway.config import load_config
    from gateway.descriptors import raise_limit

    raise_limit()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    for chatty in ("httpx", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # sockets cost half as much on it
        runner.run(_up(load_config(config), as_json))


async def _up(config: Any, as_json: bool) -> None:
    from gateway.server import running

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(config) as served:
        where = {"url": served.url, "mqtt_port": served.gateway.doors.front.port, "origin": config.origin}
        print(json.dumps(where) if as_json else _greeting(served.url, where), flush=True)
        await stop.wait()


def _greeting(url: str, where: dict[str, Any]) -> str:
    return (
        f"{where['origin']} is up: pages and REST at {url}, MQTT on port {where['mqtt_port']}.\n"
        "Ctrl-C stops it; nothing acknowledged is lost, however it stops."
    )


def records(
    data: DataOption,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the newest records of a site."""
    from chain.site import Folder

    found = _newest(Folder.existing(data), limit, source)
    if as_json:
        print(json.dumps({"records": found}, indent=2))
        return
    for r in found:
        flags = " ".join(r["flags"])
        print(f"{r['id']:>10}  {r['sensed']}  {r['kind']:<10}  {r['source']:<20}  {r['summary']}  {flags}")


def _newest(folder: Any, limit: int, source: str | None) -> list[dict[str, Any]]:
    """The newest events; records that log seals are left out."""
    from chain.ledger.reading import open_reader
    from gateway.query.doubts import Doubts
    from gateway.query.records import MAX_PAGE, RecordFilter, list_records
    from gateway.query.view import View

    _bring_index_up_to_date(folder)
    view, found, cursor = View.open(folder), list[dict[str, Any]](), None
    with closing(view), closing(open_reader(folder)) as ledger:
        doubts = Doubts(ledger, folder.origin)
        while len(found) < limit:
            page = list_records(view, RecordFilter(source=source), limit=MAX_PAGE, cursor=cursor, payloads=True)
            found += [_shown(row, view.site, doubts) for row in page.records if not row.count]
            cursor = page.next_cursor
            if cursor is None:
                break
    return found[:limit]


def _bring_index_up_to_date(folder: Any) -> None:
    """Index what is not indexed yet, unless a running gateway does so."""
    from chain.errors import StoreError
    from chain.site import Lock, SiteReader
    from gateway.access import Access
    from gateway.index import Index

    try:
        lock = Lock(folder.root)
    except StoreError:
        return
    with lock:
        access, reader = Access(folder), SiteReader.open(folder)
        index = Index(folder, access.settings)
        while index.follow(reader):
            pass
        index.close()
        reader.close()
        access.close()


def _shown(row: Any, site: Any, doubts: Any) -> dict[str, Any]:
    doubt = doubts.about(site, row.source, row.boot, row.seq)
    flags = [*row.flags, *(["doubtful"] if doubt else [])]
    sensed = datetime.fromtimestamp(row.sensed_us / 1e6, UTC).isoformat(timespec="seconds")
    return {
        "id": str(row.leaf), "kind": row.kind, "source": row.source, "boot": row.boot, "seq": row.seq,
        "sensed": sensed, "sensed_us": row.sensed_us, "received_us": row.received_us, "flags": flags,
        "anchored": row.anchored, "summary": row.summary,
    } | ({"doubt_declared_by": doubt.tx_id} if doubt else {})  # fmt: skip


def check_index(data: DataOption) -> None:
    """Compare the search indexes with the log, row by row. Exit 0 only when every row is the log's own."""
    from chain.site import Folder
    from gateway.events.check import check_events
    from gateway.index.check import check_index

    folder = Folder.existing(data)
    size = check_index(folder, _access(data).settings)
    print(f"the search index of {folder.origin} is true: {size:,} log entries")
    if folder.events.exists():
        print(f"so is its index of EPCIS events: {check_events(folder):,} log entries")


@sources.command("invite")
def invite(
    name: Annotated[str, typer.Argument(help="Name of the source, like logger-7.")],
    data: DataOption,
    kind: KindOption = None,
    low: LowOption = None,
    high: HighOption = None,
    unit: UnitOption = "Cel",
    subject: SubjectOption = "",
    session_required: SessionRequiredOption = False,
    alarms: AlarmsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print a one-time code with which a device enrols under this name."""
    settings = _settings(kind, low, high, unit, subject, plain=False, session_required=session_required, alarms=alarms)
    code = _access(data).invite(name, settings)
    if as_json:
        print(json.dumps({"source": name, "code": code}))
        return
    print(f"one-time code for {name}, valid for a day: {code}")
    print(f"on the device: sealtrail device enroll --url URL --code {code} --folder DIR")


@sources.command("plain")
def plain(
    name: Annotated[str, typer.Argument(help="Name of the source, like old-thermometer.")],
    data: DataOption,
    kind: KindOption = None,
    low: LowOption = None,
    high: HighOption = None,
    unit: UnitOption = "Cel",
    subject: SubjectOption = "",
    alarms: AlarmsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let in a source that has no key and publishes bare JSON; its records say "gateway only"."""
    password = _access(data).add_plain(name, _settings(kind, low, high, unit, subject, plain=True, alarms=alarms))
    if as_json:
        print(json.dumps({"source": name, "password": password}))
        return
    print(f"password of {name}, shown once: {password}")
    print(f'mosquitto_pub -q 1 -u {name} -P PASSWORD -t st/1/{name}/plain/reading -m \'[{{"n":"t","v":4.2}}]\'')


@sources.command("list")
def list_sources(data: DataOption, as_json: JsonOption = False) -> None:
    """List enrolled sources and what they may report."""
    found = _access(data).settings()
    if as_json:
        rows = [{"source": n, "kinds": list(s.kinds), "plain": s.allow_plain} for n, s in sorted(found.items())]
        print(json.dumps({"sources": rows}))
        return
    for name, settings in sorted(found.items()):
        print(f"{name}  {', '.join(settings.kinds)}{'  (bare JSON, gateway only)' if settings.allow_plain else ''}")


@sources.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="Name of the source.")],
    url: UrlOption,
    reason: Annotated[str, typer.Option(help="Why, for the auditors.")],
    token: Annotated[str, token_option("device-admin")],
    compromised_from: Annotated[
        int | None, typer.Option(min=0, help="Log entry from which on what it signed may be a thief's.")
    ] = None,
) -> None:
    """End the validity of a source's key: later events are refused, earlier ones stay proved. What it signed since a
    theft stays too, and is shown as doubtful. Of a revoked key the theft may be told later."""
    from urllib.parse import quote

    from chain.remote import Remote
    from gateway.access import AccessError

    body = {"reason": reason} | ({} if compromised_from is None else {"compromised_from": compromised_from})
    Remote(url, token, AccessError).ask("POST", f"/v1/sources/{quote(name, safe='')}/revoke", json=body)
    print(f"revoked the key of {name}")


@tokens.command("new")
def new_token(
    label: Annotated[str, typer.Argument(help="What it is for; revoke it by this label.")],
    data: DataOption,
    scope: Annotated[
        list[str],
        typer.Option(
            help="auditor, operator, device-admin, data-protection, exchange, partner or capture; may be repeated."
        ),
    ],
) -> None:
    """Print a new bearer token. It is shown once."""
    from gateway.access import AccessError, Scope

    unknown = [name for name in scope if name not in list(Scope)]
    if unknown:
        raise AccessError(f"unknown scope {unknown[0]!r}; expected {', '.join(Scope)}")
    print(_access(data).new_token(label, frozenset(Scope(name) for name in scope)))


@tokens.command("revoke")
def revoke_token(label: Annotated[str, typer.Argument(help="Label of the token.")], data: DataOption) -> None:
    """Revoke every token of this label, at once."""
    print(f"revoked {_access(data).revoke_token(label)} token(s) labelled {label}")


def _access(data: Path) -> Any:
    from chain.site import Folder
    from gateway.access import Access

    return Access(Folder.existing(data))


def _settings(kind: list[str] | None, low: float | None, high: float | None, unit: str, subject: str, *, plain: bool,
              session_required: bool = False, alarms: bool = False) -> Any:  # fmt: skip
    from gateway.access import SeriesLimits, SourceSettings
    from gateway.preprocess import kinds

    everything = tuple(k.name for k in kinds.ALL if k.name != "shipment")  # that is what the gateway says itself
    names = tuple(kinds.by_name(name).name for name in kind) if kind else everything
    limits = () if low is None and high is None else (SeriesLimits("", unit, low, high),)
    return SourceSettings(names, plain, limits, subject, session_required, alarms)
