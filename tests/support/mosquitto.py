"""A real Mosquitto, where it is installed, on a loopback port that no outgoing connection takes while it is away."""

import os
import random
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Self

from tests.e2e.programs import until

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin") or ""
OPEN = "allow_anonymous true\n"


def quiet_port() -> int:
    """A free port below those of outgoing connections (32,768 to 60,999 on Linux), which cannot take it meanwhile."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def lasting(folder: Path) -> str:
    """A configuration that writes sessions and queues to disk after every second change."""
    return (
        f"{OPEN}persistence true\npersistence_location {folder}/\n"
        "autosave_on_changes true\nautosave_interval 1\nmax_queued_messages 0\n"
    )


class Broker:
    """A Mosquitto process with a configuration in a test's own folder."""

    def __init__(self, folder: Path, config: str = OPEN) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self.port = folder, quiet_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nuser root\n{config}")
        self.start()

    def start(self) -> None:
        with (self._folder / "mosquitto.log").open("ab") as output:
            self.process = subprocess.Popen([MOSQUITTO, "-c", self._config], stdout=output, stderr=output)
        until(self._listens)

    def _listens(self) -> bool:
        assert self.process.poll() is None, (self._folder / "mosquitto.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
