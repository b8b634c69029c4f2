"""A member's view of its channel: the configuration in force, as its own peer has it, and snapshots for partners."""

import shutil
import time
from pathlib import Path

from network.channel.configuration import Configuration, read_block, read_configuration
from network.channel.guest import snapshot_facts
from network.channel.orderers import orderers
from network.channel.peer_command import PeerCommand
from network.errors import ConfigurationError, NetworkError, NodeError, ProgramError
from network.layout import lay_out
from network.ports import accepts
from network.programs import find_programs
from network.topology import Topology

SNAPSHOT_WITHIN_S = 60.0
POLL_S = 0.2
# Words of Fabric's own message for a second snapshot at the same block; it has no code for it.
MADE_ALREADY = "snapshot already generated"


class Member:
    """One organisation of a topology that is up; speaks through its first peer."""

    def __init__(self, topology: Topology, msp_id: str = "") -> None:
        if msp_id and msp_id not in topology.msp_ids:
            raise NetworkError(f"{msp_id} is not in the topology; there are: {', '.join(topology.msp_ids)}")
        if not (topology.folder / "nodes").exists():
            raise NetworkError(f"there is no network in {topology.folder} yet; `sealtrail network up` makes it")
        self.msp_id = msp_id or topology.msp_ids[0]
        self.layout = lay_out(topology)
        self._node = self.layout.peers_of(self.msp_id)[0]
        self._command = PeerCommand(self.layout, find_programs(), self._node)

    def configuration(self) -> Configuration:
        """The channel's configuration with its block. A peer that joined by a snapshot may lack that block; then an
        orderer's is taken when it says what the peer goes by."""
        try:
            return read_block(self._command.fetch_configuration())
        except ProgramError:
            own = read_configuration(self.layout.topology.channel, self._command.query_configuration())
        known = orderers(self.layout)
        chosen = next((one for one in known if accepts(one["address"])), known[0])
        found = read_block(self._command.fetch_configuration(chosen))
        if found.config != own.config:
            raise ConfigurationError(
                f"the orderer {chosen['address']} gave config block {found.number}, but {self._node.name} goes by "
                "another; if the configuration has just changed, try again"
            )
        return found

    def snapshot(self, folder: Path) -> tuple[int, str]:
        """Copy a snapshot of the channel, at the peer's last block, to a new folder; returns that block's number and
        hash."""
        if folder.exists():
            raise NetworkError(f"{folder} is there already; name a new folder")
        made = self._node.folder / "ledger" / "snapshots" / "completed" / self.layout.topology.channel
        number = self._new_snapshot(made)
        try:
            shutil.copytree(made / str(number), folder)
        except OSError as e:
            raise NetworkError(f"cannot copy the snapshot {made / str(number)} to {folder}: {e}") from e
        return snapshot_facts(folder)[1:]

    def _new_snapshot(self, made: Path) -> int:
        """Let the peer make one below this folder, unless it has; returns its last block's number."""
        before = _snapshots(made)
        try:
            self._command.request_snapshot()
        except ProgramError as e:
            if MADE_ALREADY not in str(e) or not before:
                raise
            return max(before)
        deadline = time.monotonic() + SNAPSHOT_WITHIN_S
        while not (new := _snapshots(made) - before):
            if time.monotonic() > deadline:
                raise NodeError(f"{self._node.name} made no snapshot within {SNAPSHOT_WITHIN_S:.0f} s; see its log")
            time.sleep(POLL_S)
        return max(new)


def _snapshots(folder: Path) -> set[int]:
    return {int(one.name) for one in folder.glob("*") if one.name.isdecimal()}
