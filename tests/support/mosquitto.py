"""A real Mosquitto on a free loopback port, where it is installed."""

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Self

from tests.e2e.programs import until

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin") or ""
OPEN = "allow_anonymous true\n"


class Broker:
    """A Mosquitto process with a configuration in a test's own folder."""

    def __init__(self, folder: Path, config: str = OPEN) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nuser root\n{config}")
        self.start()

    def start(self) -> None:
        with (self._folder / "mosquitto.log").open("ab") as output:
            self._process = subprocess.Popen([MOSQUITTO, "-c", self._config], stdout=output, stderr=output)
        until(self._listens)

    def _listens(self) -> bool:
        assert self._process.poll() is None, (self._folder / "mosquitto.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
