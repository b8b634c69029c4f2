"""The data folder of a topology: one command at a time works on it, and it belongs to one topology for ever.

Other files of the folder are trusted.
"""

import contextlib
import fcntl
import json
from collections.abc import Iterator

from crypto.files import write_durably
from network.errors import NetworkError
from network.topology import Topology

FIXED = "topology.json"
LOCK = "lock"


@contextlib.contextmanager
def locked(topology: Topology) -> Iterator[None]:
    """One command at a time; NetworkError while another one works on the data folder."""
    topology.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (topology.folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise NetworkError(f"another command works on {topology.folder}; wait until it is done") from e
        yield


def check_unchanged(topology: Topology) -> None:
    """The channel was made from one topology; another one needs another data folder."""
    file, now = topology.folder / FIXED, json.dumps(topology.what_is_fixed(), indent=1).encode()
    if not file.exists():
        if {path.name for path in topology.folder.iterdir()} - {LOCK}:
            raise NetworkError(f"{topology.folder} holds other files; give the network a data folder of its own")
        write_durably(file, now)
    if file.read_bytes() != now:
        raise NetworkError(
            f"the topology changed since {topology.folder} was made (compare {FIXED} there); put the file back, "
            "take another data folder, or begin anew with `sealtrail network clean`"
        )
