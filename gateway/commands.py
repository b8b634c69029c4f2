"""Mounts every subcommand. The modules named here import what they run only when they run it."""

import typer

from gateway import cli as gateway_cli

HELP = "Turns what devices and edge models report into evidence that anyone can check."


def application(wanted: str = "") -> typer.Typer:
    """The whole command line; where `up` is wanted that alone, because a start shall not load all the others."""
    app = typer.Typer(name="sealtrail", help=HELP, no_args_is_help=True, pretty_exceptions_enable=False)
    if wanted == "up":
        app.callback()(lambda: None)  # else an application of one command would be that command; below too
        app.command("up")(gateway_cli.up)
    else:
        _mount(app)
    return app


def _mount(app: typer.Typer) -> None:
    from bench import cli as bench_cli
    from chain import cli as chain_cli
    from chain.conditions import cli as conditions_cli
    from chain.sealed import cli as sealed_cli
    from chaincode import cli as chaincode_cli
    from crypto.keystore import cli as keys_cli
    from gateway import conditions_command, disclose_command, erase_command, joining, open_command
    from gateway.alarms import cli as alarms_cli
    from gateway.capture import cli as capture_cli
    from gateway.coldchain import cli as coldchain_cli
    from gateway.custody import cli as custody_cli
    from gateway.demo import cli as demo_cli
    from gateway.demo.pharma import cli as pharma_cli
    from gateway.device import cli as device_cli
    from gateway.drill import cli as drill_cli
    from gateway.epcis import cli as epcis_cli
    from gateway.keychange import cli as keychange_cli
    from gateway.objects import cli as objects_cli
    from gateway.objects import partner_cli
    from gateway.recall import cli as recall_cli
    from gateway.station import cli as station_cli
    from gateway.trace import cli as trace_cli
    from network import cli as network_cli

    app.command("demo")(demo_cli.demo)
    app.command("demo-pharma")(pharma_cli.demo_pharma)
    app.command("up")(gateway_cli.up)
    app.command("records")(gateway_cli.records)
    gateways = typer.Typer(help="Further gateways of an organisation.", no_args_is_help=True)
    gateways.callback()(lambda: None)
    gateways.command("admit")(joining.admit_command)
    app.add_typer(gateways, name="gateway")
    app.add_typer(gateway_cli.sources, name="source")
    app.add_typer(gateway_cli.tokens, name="token")
    app.add_typer(device_cli.app, name="device")
    app.add_typer(station_cli.app, name="station")
    app.add_typer(coldchain_cli.app, name="shipment")
    app.add_typer(alarms_cli.app, name="alarms")
    keys_cli.app.command("migrate")(keychange_cli.migrate)
    keys_cli.app.command("set-recovery")(keychange_cli.set_recovery)
    keys_cli.app.command("recover")(keychange_cli.recover)
    app.command("receipt")(chain_cli.receipt)
    app.command("verify")(chain_cli.verify)
    app.add_typer(chain_cli.policy, name="policy")
    app.add_typer(chain_cli.log, name="log")
    keys_cli.app.command("encrypt")(chain_cli.encrypt_keys)
    app.add_typer(keys_cli.app, name="keys")
    app.add_typer(objects_cli.app, name="objects")
    app.add_typer(partner_cli.app, name="partner")
    app.add_typer(custody_cli.app, name="exceptions")
    app.add_typer(custody_cli.custody, name="custody")
    app.add_typer(network_cli.app, name="network")
    app.add_typer(chaincode_cli.app, name="chaincode")
    app.command("seal")(sealed_cli.seal)
    app.command("open")(sealed_cli.open_command)
    app.command("inspect")(sealed_cli.inspect)
    app.command("grant")(sealed_cli.grant_command)
    app.command("fsck")(chain_cli.fsck)
    app.command("trace")(trace_cli.trace_command)
    app.add_typer(recall_cli.app, name="recall")
    app.command("erase")(erase_command.erase)
    app.command("disclose")(disclose_command.disclose)
    conditions_cli.app.command("export")(conditions_command.export)
    app.add_typer(conditions_cli.app, name="conditions")
    app.command("open-records")(open_command.open_records)
    index = typer.Typer(help="The search index, which can always be built again.", no_args_is_help=True)
    index.callback()(lambda: None)
    index.command("check")(gateway_cli.check_index)
    app.add_typer(index, name="index")
    epcis_cli.app.command("capture")(capture_cli.capture)
    app.add_typer(epcis_cli.app, name="epcis")
    app.command("drill")(drill_cli.drill)
    app.command("bench")(bench_cli.bench)
