"""Partners join and leave a running channel: definitions, updates, signatures, and handing an update to the orderers.

Each organisation acts with its own admin's key, from its own topology. What comes from others (a definition, an update)
is checked against the channel's configuration as the organisation's own peer has it.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crypto.errors import FileError
from crypto.files import write_durably
from network.channel import messages
from network.channel.broadcast import broadcast
from network.channel.config_update import compute_update
from network.channel.configuration import APPLICATION, Configuration
from network.channel.definition import check_definition, check_group, make_definition, summary
from network.channel.guest import Entry
from network.channel.member import Member
from network.channel.messages import MAX_BYTES, encode
from network.channel.update_file import Update, admin_of, read_update
from network.channel.update_words import describe, joining_and_leaving, require_current
from network.errors import ConfigurationError, NetworkError, UpdateError
from network.layout import lay_out
from network.lifecycle import Progress, make_joiners, up
from network.topology import Topology

DEFINITION = "definition.pb"
BLOCK_WITHIN_S = 60.0
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Standing:
    """An update as it stands: what it changes, who signed, and how many organisations must."""

    words: list[str]
    signers: list[str]
    needed: int


def new_organisations(topology: Topology, copy: Path | None = None) -> dict[Path, list[str]]:
    """Make the identities of a topology that is to join a channel, and each organisation's definition; returns the
    definitions' files with their summaries. `copy` takes the one definition of one organisation."""
    if topology.ordering.orderers:
        raise NetworkError("an organisation that joins others' channel has [ordering] orderers = 0 in its topology")
    if copy is not None and len(topology.msp_ids) > 1:
        raise NetworkError(f"one file takes one definition, the topology has {len(topology.msp_ids)}; leave --output")
    make_joiners(topology)
    layout, written = lay_out(topology), dict[Path, list[str]]()
    for msp_id in topology.msp_ids:
        file, content = layout.organisation(msp_id) / DEFINITION, make_definition(layout, msp_id)
        write_durably(file, content)
        if copy is not None:
            _write_copy(copy, content)
        written[copy or file] = summary(*check_definition(content))
    return written


def join(topology: Topology, entry: Entry, progress: Progress = lambda _: None) -> dict[str, Path]:
    """Bring the joiner's peers and chaincode up, onto the channel; returns {msp id: connection profile}.

    Raises:
        NetworkError: there is no definition of these organisations that a member could have taken in; or as for `up`.
    """
    missing = [one for one in topology.msp_ids if not (topology.folder / "organisations" / one / DEFINITION).exists()]
    if missing:
        raise NetworkError(f"{', '.join(missing)}: no definition here; `sealtrail network org new` comes first")
    return up(topology, progress, entry=entry)


def propose(topology: Topology, definition: Path, output: Path) -> list[str]:
    """Write the update that makes an organisation a member; returns its words."""
    configuration = Member(topology).configuration()
    msp_id, group = check_definition(_content(definition))
    if msp_id in configuration.members:
        raise ConfigurationError(f"{msp_id} is a member of {configuration.channel} already")
    after = _copy(configuration.config)
    after.channel_group.groups[APPLICATION].groups[msp_id].CopyFrom(group)
    return _write(configuration, after, output)


def leave(topology: Topology, msp_id: str, output: Path) -> list[str]:
    """Write the update that removes an organisation; returns its words."""
    configuration = Member(topology).configuration()
    if msp_id not in configuration.members:
        there = ", ".join(configuration.members)
        raise ConfigurationError(f"{msp_id} is no member of {configuration.channel}; there are: {there}")
    if configuration.members == [msp_id]:
        raise ConfigurationError(f"{msp_id} is the last member of {configuration.channel}; nobody would be left")
    after = _copy(configuration.config)
    del after.channel_group.groups[APPLICATION].groups[msp_id]
    return _write(configuration, after, output)


def sign(topology: Topology, msp_id: str, file: Path) -> Standing:
    """Add an organisation's signature to an update, once its content was checked."""
    member = Member(topology, msp_id)
    configuration, update = member.configuration(), read_update(file)
    words = _checked_words(update, configuration)
    signers = update.signers(configuration)
    if member.msp_id in signers:
        raise UpdateError(f"{member.msp_id} has signed this update already; signed by: {', '.join(signers)}")
    signed = update.signed_by(admin_of(member.layout, member.msp_id))
    signers = signed.signers(configuration)
    signed.write(file)
    return Standing(words, signers, configuration.admins_needed())


def submit(topology: Topology, file: Path) -> Configuration:
    """Hand an update to the orderers and wait for the configuration that it makes.

    Raises:
        UpdateError: too few signatures, or stale, or the orderers refused it.
        NetworkError: no orderer took it, or no block came.
    """
    update = read_update(file)
    member = Member(topology)
    before = member.configuration()
    require_current(update, before)
    member = _stays(topology, member, joining_and_leaving(update, before)[1])
    _require_signatures(update, before)
    taken_by = broadcast(update.envelope(admin_of(member.layout, member.msp_id)), before.orderers())
    return _next_configuration(member, before, taken_by)


def _require_signatures(update: Update, configuration: Configuration) -> None:
    signers, needed, members = update.signers(configuration), configuration.admins_needed(), configuration.members
    if len(signers) < needed:
        missing = ", ".join(sorted(set(members) - set(signers)))
        raise UpdateError(
            f"{needed} of {len(members)} organisations must sign, {len(signers)} did ({', '.join(signers) or 'none'}); "
            f"missing are any {needed - len(signers)} of {missing} (`sealtrail network org sign`)"
        )


def _next_configuration(member: Member, before: Configuration, taken_by: str) -> Configuration:
    """Wait until the member's peer has a newer config block."""
    deadline = time.monotonic() + BLOCK_WITHIN_S
    while (now := member.configuration()).number == before.number:
        if time.monotonic() > deadline:
            raise NetworkError(
                f"{taken_by} took the update, but no new config block came within {BLOCK_WITHIN_S:.0f} s; see the logs "
                "and submit it again: it cannot take effect twice"
            )
        time.sleep(POLL_S)
    return now


def _stays(topology: Topology, member: Member, leaving: set[str]) -> Member:
    """Who hands it in: an organisation that still is a member afterwards, or it could not see the block."""
    if member.msp_id not in leaving:
        return member
    others = [one for one in topology.msp_ids if one not in leaving]
    if not others:
        raise UpdateError(
            f"{member.msp_id} would not be shown the block that removes it; a member that stays submits it"
        )
    return Member(topology, others[0])


def _checked_words(update: Update, configuration: Configuration) -> list[str]:
    """What a current update changes; organisations that it adds are checked as `propose` checks them."""
    require_current(update, configuration)
    words = describe(update, configuration)
    for msp_id in joining_and_leaving(update, configuration)[0]:
        if check_group(update.message.write_set.groups[APPLICATION].groups[msp_id]) != msp_id:
            raise ConfigurationError(f"the update adds {msp_id} with the MSP of another organisation; do not sign it")
    return words


def _write(configuration: Configuration, after: Any, output: Path) -> list[str]:
    update = Update(encode(compute_update(configuration.channel, configuration.config, after)))
    words = describe(update, configuration)
    update.write(output)
    return words


def _write_copy(file: Path, content: bytes) -> None:
    try:
        write_durably(file, content)
    except FileError as e:
        raise NetworkError(f"cannot write the definition: {e}") from e


def _copy(config: Any) -> Any:
    copied = messages.configtx.Config()
    copied.CopyFrom(config)
    return copied


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except OSError as e:
        raise NetworkError(f"cannot read the definition {file}: {e.strerror}") from e
