"""A device that writes as fast as the gateway takes it, then at half of that speed until told to stop.

A process of its own, `python -m tests.torture.soak_writer`. Prints its full speed in events a second as one line of
JSON, goes on at half, and when its input is closed prints how many events were acknowledged.
"""

import argparse
import json
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator

import httpx

from gateway.device.enrolment import enrolment_request
from tests.gateway.ingest.mqtt_support import DISCONNECT, connect, publish
from tests.support.source import Source, message

EVENTS = 64  # in a message
SEALED = 4  # messages under one seal
WINDOW = 64  # messages on their way
LINE_S = 5.0  # so long a connection is used at half speed
PUBACK = 4  # bytes
TIMEOUT_S = 60.0


class Line:
    """A connection with a window of messages whose PUBACKs are read as they come."""

    def __init__(self, port: int, source: str, password: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(connect(source, v5=False, password=password.encode()))
        assert self._socket.recv(4, socket.MSG_WAITALL) == b"\x20\x02\x00\x00", "the gateway refused the login"
        self._topic, self._sent, self._rest = f"st/1/{source}/events", 0, 0
        self.waiting = 0

    def send(self, payload: bytes) -> None:
        while self.waiting >= WINDOW:
            self.take(TIMEOUT_S)
        self._sent += 1
        self._socket.sendall(publish(self._topic, payload, self._sent % 65_535 + 1, v5=False))
        self.waiting += 1

    def take(self, timeout: float) -> None:
        """Count the PUBACKs that come within so many seconds, at least one unless there was time enough."""
        ready, _, _ = select.select([self._socket], [], [], max(0.0, timeout))
        if ready:
            data = self._socket.recv(1 << 16)
            assert data, "the gateway closed the connection"
            answered, self._rest = divmod(self._rest + len(data), PUBACK)
            self.waiting -= answered

    def close(self) -> None:
        """Everything is acknowledged afterwards."""
        while self.waiting:
            self.take(TIMEOUT_S)
        self._socket.sendall(DISCONNECT)
        self._socket.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--url", "--code", "--name", "--origin"):
        parser.add_argument(name, required=True)
    for name in ("--port", "--prepared"):
        parser.add_argument(name, type=int, required=True)
    wanted = parser.parse_args()
    source = Source(wanted.name)
    body = enrolment_request(wanted.code, source.name, wanted.origin, source.key)
    password = httpx.post(f"{wanted.url}/v1/enrol", json=body).raise_for_status().json()["password"]
    messages = _messages(source)
    speed = _full(Line(wanted.port, source.name, password), deque(next(messages) for _ in range(wanted.prepared)))
    print(json.dumps({"events_per_second": round(speed)}), flush=True)
    _half(wanted.port, password, source, messages, speed / 2)
    print(json.dumps({"events": source.seq}), flush=True)


def _messages(source: Source) -> Iterator[bytes]:
    while True:
        for number in range(1, SEALED + 1):
            events = source.batch(EVENTS)
            if number < SEALED:
                yield message(events)
            else:
                yield message(events, source.seal())
                source.events.clear()


def _full(line: Line, messages: deque[bytes]) -> float:
    """Events a second over all messages, from the first byte to the last PUBACK."""
    started, events = time.monotonic(), len(messages) * EVENTS
    while messages:
        line.send(messages.popleft())
    line.close()
    return events / (time.monotonic() - started)


def _half(port: int, password: str, source: Source, messages: Iterator[bytes], speed: float) -> None:
    """Until standard input is closed. Now and then a new connection."""
    due = time.monotonic()
    while not select.select([sys.stdin], [], [], 0)[0]:
        line, until = Line(port, source.name, password), time.monotonic() + LINE_S
        while time.monotonic() < until and not select.select([sys.stdin], [], [], 0)[0]:
            line.send(next(messages))
            due = max(due, time.monotonic() - 1.0) + EVENTS / speed
            while (left := due - time.monotonic()) > 0:
                line.take(left) if line.waiting else time.sleep(left)
        line.close()


if __name__ == "__main__":
    main()
