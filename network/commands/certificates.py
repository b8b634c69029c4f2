"""`sealtrail network renew` and `request`: certificates that end, and those that an organisation's own CA gives."""

import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from network.commands.options import TopologyOption, load, show_progress

if TYPE_CHECKING:
    from network.identities.places import Place
    from network.renewal import Renewal


def renew(
    topology: TopologyOption,
    within: Annotated[int, typer.Option(min=0, max=7300, help="Those that end within so many days.")] = 30,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """Give certificates that end new ones for the same keys, and restart their nodes one after another."""
    from network.renewal import renew as do_renew

    days = None if every else datetime.timedelta(days=within)
    _print_renewal(do_renew(load(topology), days, show_progress()))


def _print_renewal(done: "Renewal") -> None:
    print(f"renewed {len(done.renewed)} certificates, restarted {len(done.restarted)} nodes")
    for name in done.renewed:
        print(f"  {name}")
    if done.as_long_as_can_be:
        names = ", ".join(done.as_long_as_can_be)
        print(f"warning: these end with their authority, which cannot be renewed; begin a new network: {names}")
    if done.had_ended:
        print(
            "warning: certificates of nodes had ended; run `sealtrail network down`, then `up`, to take the new ones up"
        )
    if done.to_be_restarted and done.renewed:
        names = " ".join(done.to_be_restarted)
        print(f"not started by us; restart them one after another, each when the one before is healthy: {names}")
    _print_requests(done.requested)


def request(topology: TopologyOption) -> None:
    """Make the keys, and write requests for the certificates that external authorities have yet to give."""
    from network.lifecycle import request as do_request

    unsigned = do_request(load(topology))
    _print_requests(unsigned)
    if not unsigned:
        print("no certificate is missing")


def _print_requests(unsigned: "list[Place]") -> None:
    """Where requests lie and where certificates go."""
    if unsigned:
        print("to be signed by the organisation's authority; put each certificate (PEM) where the arrow points:")
    for place in unsigned:
        print(f"  {place.request} -> {place.answer}")
