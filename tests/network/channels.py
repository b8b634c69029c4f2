"""Channels' configurations without a network: made of real identities and definitions, nothing started."""

from pathlib import Path
from typing import Any

from network.channel import messages
from network.channel.configuration import Configuration
from network.channel.definition import make_definition
from network.channel.messages import encode
from network.identities.msp_folders import make_identities
from network.layout import Layout, lay_out
from network.topology import Ordering, Organisation, Topology
from tests.network.networks import topology

IMPLICIT_META, MAJORITY = 3, 2


def joiner(folder: Path, msp_id: str = "ClinicMSP") -> Topology:
    """The topology of an organisation that joins others' channel."""
    organisations = [Organisation(msp_id=msp_id)]
    return Topology(organisations=organisations, data=str(folder / msp_id), ordering=Ordering(orderers=0))


def identities_of(wanted: Topology) -> Layout:
    """Its layout, with identities on disk."""
    layout = lay_out(wanted)
    make_identities(layout)
    return layout


def definition_of(layout: Layout, msp_id: str) -> Any:
    """An organisation's group."""
    return messages.configtx.ConfigGroup.FromString(make_definition(layout, msp_id))


def channel(folder: Path, partners: int = 3) -> tuple[Configuration, Layout]:
    """The configuration of a channel of so many partners, whose admins decide by majority."""
    layout = identities_of(topology(folder, partners=partners))
    config = messages.configtx.Config()
    root = config.channel_group
    root.version, root.mod_policy = 4, "Admins"
    application = root.groups["Application"]
    application.version, application.mod_policy = 7, "Admins"
    rule = messages.policies.ImplicitMetaPolicy(sub_policy="Admins", rule=MAJORITY)
    policy = messages.policies.Policy(type=IMPLICIT_META, value=encode(rule))
    application.policies["Admins"].CopyFrom(messages.configtx.ConfigPolicy(mod_policy="Admins", policy=policy))
    for msp_id in layout.topology.msp_ids:
        application.groups[msp_id].CopyFrom(definition_of(layout, msp_id))
    batch = messages.configtx.ConfigValue(version=2, mod_policy="Admins", value=b"\x0a\x0450ms")
    root.groups["Orderer"].values["BatchTimeout"].CopyFrom(batch)
    root.groups["Orderer"].mod_policy = "Admins"
    return Configuration(layout.topology.channel, config, 9, "ab" * 32), layout


def changed(configuration: Configuration) -> Any:
    """A copy of its config, to be changed."""
    config = messages.configtx.Config()
    config.CopyFrom(configuration.config)
    return config
