"""A real mosquitto on loopback, told to queue without bound, so that it is not what loses messages."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

START_S = 10.0


def available() -> bool:
    return shutil.which("mosquitto") is not None


class Broker:
    """One broker; `port` is where it listens."""

    def __init__(self, folder: Path, name: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        config = folder / f"{name}.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n"
            "max_queued_messages 0\nmax_inflight_messages 0\nlog_dest none\n"
        )
        self.process = subprocess.Popen(["mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S
        while not self._listens():
            if time.monotonic() > deadline:
                self.end()
                raise RuntimeError("mosquitto does not listen")
            time.sleep(0.05)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()
