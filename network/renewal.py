"""New certificates for the keys of nodes and users, and a restart of the nodes that have to take them up.

Names and keys stay, so nothing on the channel changes: Fabric's orderers compare the keys of consenters' certificates
and not their bytes (Fabric, orderer/common/cluster/util.go CompareCertPublicKeys), and block signatures are verified
under the certificate that the channel's configuration names, whose end is not looked at.

Nodes whose certificates have ended cannot be restarted one after another, since those that are not restarted yet are
refused; the whole network has to be taken down and brought up then.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field

from crypto.files import write_durably
from crypto.x509_authority import expiry
from network.data_folder import FIXED, check_unchanged, locked
from network.errors import NetworkError
from network.identities.authorities import authority, is_made_here
from network.identities.places import Place, places
from network.identities.requests import accept, ask
from network.layout import Layout, lay_out
from network.nodes.processes import Process
from network.nodes.restart import restart_outdated
from network.programs import find_programs
from network.topology import Topology

Progress = Callable[[str], None]


@dataclass(slots=True)
class Renewal:
    """What was done: certificates by name, requests that wait for an external authority, nodes."""

    renewed: list[str] = field(default_factory=list)
    as_long_as_can_be: list[str] = field(default_factory=list)
    requested: list[Place] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    to_be_restarted: list[str] = field(default_factory=list)
    had_ended: bool = False


def renew(topology: Topology, within: datetime.timedelta | None, progress: Progress = lambda _: None) -> Renewal:
    """Renew every certificate that ends within this time, or all with None.

    Raises:
        NetworkError: there is no network here, an answer of an external authority is wrong, or a node that was
            restarted did not come back; the ones after it were left alone.
    """
    programs = find_programs()
    if not (topology.folder / FIXED).exists():
        raise NetworkError(f"there is no network in {topology.folder}; `sealtrail network up` makes it")
    with locked(topology):
        check_unchanged(topology)
        layout, done = lay_out(topology), Renewal()
        for place in places(layout):
            _renew(layout, place, within, done)
        if not done.had_ended:
            done.restarted, done.to_be_restarted = restart_outdated(layout, programs, progress)
        return done


def _renew(layout: Layout, place: Place, within: datetime.timedelta | None, done: Renewal) -> None:
    """One certificate; an external authority's answer is taken whenever it is there."""
    end = place.end()
    if accept(layout, place):
        done.renewed.append(place.name)
    elif end is None or not (within is None or end - datetime.datetime.now(datetime.UTC) < within):
        return
    elif is_made_here(layout, place.wanted.organisation, place.by):
        _sign(layout, place, end, done)
    else:
        ask(place)
        done.requested.append(place)


def _sign(layout: Layout, place: Place, end: datetime.datetime, done: Renewal) -> None:
    giver = authority(layout, place.wanted.organisation, place.by)
    new = giver.renew(place.certificate.read_bytes(), layout.topology.certificate_days)
    if expiry(new) <= end:
        done.as_long_as_can_be.append(place.name)
        return
    write_durably(place.certificate, new)
    done.renewed.append(place.name)
    runs = place.node is not None and Process(layout.run, place.node.name).pid() is not None
    done.had_ended |= runs and end <= datetime.datetime.now(datetime.UTC)
