"""A device's sending half over a raw socket: what has no PUBACK when the connection dies is sent again first.

Runs in a thread of the test through any number of kills, and never waits longer than it must to connect again.
"""

import random
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import BinaryIO

from chain.event import content_hash
from tests.gateway.ingest.mqtt_support import connect, publish
from tests.support.source import Source, message

IN_FLIGHT = 8  # messages
MOST_EVENTS = 8  # in a message
AGAIN_S = 0.02
DEADLINE_S = 60.0
DUPLICATE = 0x3A  # PUBLISH with QoS 1 and DUP


class Publisher:
    """One source. Acknowledged are the numbers whose PUBACK came; `hashes` are those of all its events by number. It
    waits `pause_s` before each new message."""

    def __init__(self, source: Source, password: str, port: int) -> None:
        self.source, self._password, self._port = source, password.encode(), port
        self._rng = random.Random(source.name)
        self._waiting: dict[int, tuple[bytes, range]] = {}  # by packet identifier: message, its numbers
        self._messages = 0
        self.pause_s = 0.0
        self._ending = threading.Event()
        self.hashes: list[bytes] = []
        self.acknowledged: list[range] = []
        self.resent = 0

    def end(self) -> None:
        """Make nothing new; `run` returns when what waits is acknowledged."""
        self._ending.set()

    def run(self) -> None:
        deadline = float("inf")
        while self._waiting or not self._ending.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self._port), DEADLINE_S) as line:
                    self._talk(line)
            except OSError:  # it was killed, or is not there yet
                deadline = min(deadline, time.monotonic() + DEADLINE_S) if self._ending.is_set() else float("inf")
                assert time.monotonic() < deadline, f"{self.source.name}: {len(self._waiting)} messages wait for ever"
                time.sleep(AGAIN_S)

    def _talk(self, line: socket.socket) -> None:
        with line.makefile("rb") as answers:
            line.sendall(connect(self.source.name, v5=False, password=self._password))
            assert _packet(answers) == b"\x20\x02\x00\x00", "the gateway refused the login"
            self.resent += len(self._waiting)
            line.sendall(b"".join(self._publish(number, first=DUPLICATE) for number in self._waiting))
            while self._waiting or not self._ending.is_set():
                while len(self._waiting) < IN_FLIGHT and not self._ending.is_set():
                    line.sendall(self._publish(self._new()))
                answer = _packet(answers)
                assert answer[:2] == b"\x40\x02", answer
                self.acknowledged.append(self._waiting.pop(int.from_bytes(answer[2:], "big"))[1])

    def _new(self) -> int:
        """The packet identifier of one more message."""
        time.sleep(self.pause_s)
        first, count = self.source.seq, self._rng.randint(1, MOST_EVENTS)
        raw = self.source.batch(count)
        payload = message(raw, self.source.seal())
        self.hashes += map(content_hash, raw)
        self.source.events.clear()  # a seal covers them: an hour of them is not kept
        self._messages += 1
        identifier = self._messages % 65_535 + 1
        self._waiting[identifier] = payload, range(first, first + count)
        return identifier

    def _publish(self, identifier: int, first: int = 0x32) -> bytes:
        payload = self._waiting[identifier][0]
        return publish(f"st/1/{self.source.name}/events", payload, identifier, v5=False, first=first)


def _packet(answers: BinaryIO) -> bytes:
    """CONNACK and PUBACK of MQTT 3.1.1 have four bytes."""
    answer = answers.read(4)
    if len(answer) < 4:
        raise ConnectionError("the gateway is gone")
    return answer


@contextmanager
def sending(publishers: Sequence[Publisher]) -> Iterator[None]:
    """Publishers at work during the block; at its end everything that they made is acknowledged."""
    with ThreadPoolExecutor(len(publishers)) as threads:
        working = [threads.submit(publisher.run) for publisher in publishers]
        try:
            yield
        finally:
            for publisher in publishers:
                publisher.end()
        for work in working:
            work.result()
