"""Mounts every subcommand. Only the modules of the one that is wanted are loaded, all of them for help and completion;
they import what they run only when they run it."""

from importlib import import_module

import typer

HELP = "Turns what devices and edge models report into evidence that anyone can check."
GROUPS = {  # those that have no module of their own
    "gateway": "Further gateways of an organisation.",
    "index": "The search index, which can always be built again.",
}
COMMANDS = {  # as people type them, in the order of the help: where they are
    "demo": "gateway.demo.cli:demo",
    "demo-pharma": "gateway.demo.pharma.cli:demo_pharma",
    "up": "gateway.cli:up",
    "records": "gateway.cli:records",
    "gateway admit": "gateway.joining:admit_command",
    "source": "gateway.cli:sources",
    "token": "gateway.cli:tokens",
    "device": "gateway.device.cli:app",
    "station": "gateway.station.cli:app",
    "shipment": "gateway.coldchain.cli:app",
    "alarms": "gateway.alarms.cli:app",
    "receipt": "chain.cli:receipt",
    "verify": "chain.cli:verify",
    "policy": "chain.cli:policy",
    "log": "chain.cli:log",
    "keys": "crypto.keystore.cli:app",
    "keys encrypt": "chain.cli:encrypt_keys",
    "keys migrate": "gateway.keychange.cli:migrate",
    "keys set-recovery": "gateway.keychange.cli:set_recovery",
    "keys recover": "gateway.keychange.cli:recover",
    "objects": "gateway.objects.cli:app",
    "partner": "gateway.objects.partner_cli:app",
    "exceptions": "gateway.custody.cli:app",
    "custody": "gateway.custody.cli:custody",
    "network": "network.cli:app",
    "chaincode": "chaincode.cli:app",
    "seal": "chain.sealed.cli:seal",
    "open": "chain.sealed.cli:open_command",
    "inspect": "chain.sealed.cli:inspect",
    "grant": "chain.sealed.cli:grant_command",
    "fsck": "chain.cli:fsck",
    "trace": "gateway.trace.cli:trace_command",
    "recall": "gateway.recall.cli:app",
    "erase": "gateway.erase_command:erase",
    "disclose": "gateway.disclose_command:disclose",
    "conditions": "chain.conditions.cli:app",
    "conditions export": "gateway.conditions_command:export",
    "open-records": "gateway.open_command:open_records",
    "index check": "gateway.cli:check_index",
    "epcis": "gateway.epcis.cli:app",
    "epcis capture": "gateway.capture.cli:capture",
    "drill": "gateway.drill.cli:drill",
    "bench": "bench.cli:bench",
}


def application(wanted: str = "") -> typer.Typer:
    """The whole command line; where `wanted` names a command or a group, that alone."""
    app = typer.Typer(name="sealtrail", help=HELP, no_args_is_help=True, pretty_exceptions_enable=False)
    app.callback()(lambda: None)  # else an application of one command would be that command; groups below too
    every = {typed.partition(" ")[0] for typed in COMMANDS}
    groups: dict[str, typer.Typer] = {}
    for typed, where in COMMANDS.items():
        first, _, second = typed.partition(" ")
        if wanted not in every or wanted == first:
            _mount(app, groups, first, second, where)
    return app


def _mount(app: typer.Typer, groups: dict[str, typer.Typer], first: str, second: str, where: str) -> None:
    module, _, name = where.partition(":")
    found = getattr(import_module(module), name)
    if isinstance(found, typer.Typer):
        groups[first] = found
        app.add_typer(found, name=first)
    elif not second:
        app.command(first)(found)
    else:
        if first not in groups:
            groups[first] = typer.Typer(help=GROUPS[first], no_args_is_help=True)
            groups[first].callback()(lambda: None)
            app.add_typer(groups[first], name=first)
        groups[first].command(second)(found)
