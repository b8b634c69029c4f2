"""Organisations that join a channel which others run: how they get onto it, and how their peers come to endorse.

The genesis block or snapshot came from a member and is believed as that member is; compare its hash by telephone.
Orderers and their TLS authorities come from the channel's configuration alone.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from crypto.files import write_durably
from network.channel.committed import approval_flags
from network.channel.configuration import Configuration, read_block, read_configuration
from network.channel.orderers import learn_orderers
from network.channel.peer_command import PeerCommand
from network.errors import ConfigurationError, NetworkError, NodeError, ProgramError
from network.layout import Layout
from network.ports import accepts

SNAPSHOT_FACTS = "_snapshot_signable_metadata.json"
MEMBER_WITHIN_S = 60.0
POLL_S = 0.3
# Words of Fabric's own messages about an approval that is not for the definition in force; it has no codes for them.
STALE_APPROVAL = ("with different parameters", "new definition must be sequence", "requested sequence")


@dataclass(frozen=True, slots=True)
class Entry:
    """By what an organisation's peers enter a channel: its first block, or a snapshot of its state."""

    genesis: Path | None = None
    snapshot: Path | None = None


def take_entry(layout: Layout, entry: Entry | None) -> None:
    """Check by what the peers are to enter, and keep the genesis block in the data folder.

    Raises:
        NetworkError: nothing to enter by and not on the channel yet, another channel, or orderers that are gone.
    """
    if entry is None:
        if not layout.orderers.exists():
            raise NetworkError(
                f"ordering.orderers is 0, so the channel {layout.topology.channel} is others'; "
                "join it first: `sealtrail network org join`"
            )
    elif entry.snapshot is not None:
        _require_channel(layout, snapshot_facts(entry.snapshot)[0])
    elif entry.genesis is not None:
        content = _content(entry.genesis)
        configuration = read_block(content)
        _require_channel(layout, configuration.channel)
        _require_orderers(entry.genesis, configuration)
        write_durably(layout.genesis, content)


def _content(block: Path) -> bytes:
    try:
        return block.read_bytes()
    except OSError as e:
        raise NetworkError(f"cannot read the block {block}: {e.strerror}") from e


def snapshot_facts(folder: Path) -> tuple[str, int, str]:
    """Channel, number and hash (hex) of the last block of a snapshot."""
    try:
        found = json.loads((folder / SNAPSHOT_FACTS).read_bytes())
        return str(found["channel_name"]), int(found["last_block_number"]), str(found["last_block_hash"])
    except OSError as e:
        raise NetworkError(f"{folder} is no snapshot of a channel: cannot read {SNAPSHOT_FACTS}: {e.strerror}") from e
    except (ValueError, KeyError, TypeError) as e:
        raise NetworkError(f"{folder}: {SNAPSHOT_FACTS} does not have its form: {e!r}") from e


def _require_channel(layout: Layout, found: str) -> None:
    if found != layout.topology.channel:
        raise NetworkError(f"expected the channel {layout.topology.channel} as in the topology, got {found[:80]!r}")


def _require_orderers(block: Path, configuration: Configuration) -> None:
    """A peer finds the later blocks at the orderers of its first one, so one of these must still be there."""
    addresses = [one.address for one in configuration.orderers()]
    if not any(map(accepts, addresses)):
        raise NodeError(
            f"no orderer that {block} names takes connections ({', '.join(addresses)}); if they moved since that block "
            "was made, join by a snapshot instead (a member makes one: `sealtrail network org snapshot`)"
        )


def become_member(layout: Layout, commands: Sequence[PeerCommand], progress: Callable[[str], None]) -> None:
    """Wait until the peers have the block that makes their organisations members, and learn the orderers from it.

    Raises:
        NodeError: they do not get there; says what may keep them.
    """
    progress("waiting for the block that makes a member of the channel")
    wanted, deadline = set(layout.topology.msp_ids), time.monotonic() + MEMBER_WITHIN_S
    for command in commands:
        while (found := _configuration(layout, command)) is None or not wanted <= set(found.members):
            if time.monotonic() > deadline:
                raise NodeError(_not_there(layout, command, found))
            time.sleep(POLL_S)
        learn_orderers(layout, found)


def _configuration(layout: Layout, command: PeerCommand) -> Configuration | None:
    """By what a peer goes; None while it is not on the channel."""
    try:
        return read_configuration(layout.topology.channel, command.query_configuration())
    except ProgramError:
        return None


def _not_there(layout: Layout, command: PeerCommand, found: Configuration | None) -> str:
    if found is None:
        return f"{command.name} is not on the channel after {MEMBER_WITHIN_S:.0f} s; see `sealtrail network logs`"
    missing = sorted(set(layout.topology.msp_ids) - set(found.members))
    return (
        f"{command.name} knows of no block that makes {', '.join(missing)} a member (it has {', '.join(found.members)})"
        "; either that update is not submitted yet (then run this command again when it is), or the peer reaches no "
        f"orderer: {', '.join(one.address for one in found.orderers())}"
    )


def approve_as_committed(command: PeerCommand, msp_id: str, identifier: str) -> str:
    """Approve the contract as it is committed; returns in words what was done.

    Raises:
        NetworkError: no such contract there, or it changed meanwhile.
    """
    name = command.contract
    if not command.committed():
        raise NetworkError(
            f"the channel has no contract {name!r}; set chaincode.name in the topology as the members do"
        )
    definition = command.definition()
    if definition.get("approvals", {}).get(msp_id) and command.approved_package() == identifier:
        return "the contract is approved already"
    try:
        command.approve_committed(approval_flags(name, definition), identifier)
    except ProgramError as e:
        if not any(words in str(e) for words in STALE_APPROVAL):
            raise
        raise ConfigurationError(
            f"the contract {name} is not committed as {msp_id} read it (sequence {definition.get('sequence')}); "
            f"it changed meanwhile, or the peer is behind: run `sealtrail network up` again:\n{e}"
        ) from e
    return f"approved the contract as it is committed, sequence {definition.get('sequence')}"
