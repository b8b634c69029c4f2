"""bench/load.c in Python, for machines without a C compiler: the same arguments, files and words, but slower.

With deep windows it costs a few µs a message, with shallow connections some 20; results say which one was used.
"""

import array
import json
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

READ = 1 << 18
PUBLISH, PUBACK, CONNACK, SUBACK = 3, 4, 2, 9


class Lane:
    """One connection, see struct Lane of load.c."""

    def __init__(self, number: int, hello: bytes, answers: int, packets: list[bytes]) -> None:
        self.number, self.hello, self.answers, self.packets = number, hello, answers, packets
        self.may = self.sent = self.acked = 0
        self.sent_ns, self.acked_ns = array.array("q"), array.array("q")
        self.waiting, self.rest = b"", b""
        self.sock = socket.socket()


def main() -> None:
    """Send, print, collect, write."""
    host, port, packets, times, receipts, window, rate = sys.argv[1:]
    lanes = _lanes(Path(packets).read_bytes())
    with Path(receipts).open("wb") as out, selectors.DefaultSelector() as poll:
        Run(lanes, poll, out.write, int(window), float(rate)).go((host, int(port)))
    with Path(times).open("wb") as file:
        for lane in lanes:
            pairs = zip(lane.sent_ns, lane.acked_ns, strict=True)
            file.write(array.array("q", [moment for pair in pairs for moment in pair]).tobytes())


class Run:
    """All lanes over one selector."""

    def __init__(
        self, lanes: list[Lane], poll: selectors.BaseSelector, keep: Callable[[bytes], object], window: int, rate: float
    ) -> None:
        self._lanes, self._poll, self._keep, self._window, self._rate = lanes, poll, keep, window, rate
        self._total, self._released = sum(len(lane.packets) for lane in lanes), 0

    def go(self, where: tuple[str, int]) -> None:
        """Until standard input ends."""
        for lane in self._lanes:
            lane.sock.connect(where)
            lane.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            lane.sock.sendall(lane.hello)
            lane.sock.setblocking(False)
            self._poll.register(lane.sock, selectors.EVENT_READ, lane)
        self._poll.register(sys.stdin, selectors.EVENT_READ, None)
        while any(lane.answers for lane in self._lanes):
            self._turn(None)
        began, said = time.monotonic_ns(), False
        if not self._rate:
            for lane in self._lanes:
                lane.may = len(lane.packets)
                self._push(lane)
        while True:
            if not said and sum(lane.acked for lane in self._lanes) == self._total:
                said = True
                moments = {"started": began / 1e9, "acked": time.monotonic(), "cpu_s": time.process_time()}
                print(json.dumps(moments), flush=True)
            if self._turn(self._release(began)):
                return

    def _release(self, began: int) -> float | None:
        """Let what is due go; returns seconds to the next, None where all went."""
        while self._rate and self._released < self._total:
            wait = began / 1e9 + self._released / self._rate - time.monotonic()
            if wait > 0:
                return wait
            lane = self._lanes[self._released % len(self._lanes)]
            self._released += 1
            lane.may += 1
            self._push(lane)
        return None

    def _turn(self, timeout: float | None) -> bool:
        for key, events in self._poll.select(timeout):
            lane = key.data
            if lane is None:
                return True
            if events & selectors.EVENT_READ:
                self._take(lane)
            if lane.waiting and events & selectors.EVENT_WRITE:
                self._write(lane, b"")
            self._push(lane)
        return False

    def _push(self, lane: Lane) -> None:
        to = min(lane.acked + self._window, lane.may)
        if to > lane.sent and not lane.waiting:
            lane.sent_ns.extend([time.monotonic_ns()] * (to - lane.sent))
            more, lane.sent = lane.packets[lane.sent : to], to
            self._write(lane, b"".join(more))

    def _write(self, lane: Lane, more: bytes) -> None:
        data = lane.waiting + more
        try:
            put = lane.sock.send(data)
        except BlockingIOError:
            put = 0
        lane.waiting = data[put:]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if lane.waiting else 0)
        self._poll.modify(lane.sock, wanted, lane)

    def _take(self, lane: Lane) -> None:
        got = lane.sock.recv(READ)
        if not got:
            sys.exit("load: the server closed the connection")
        now, data, at = time.monotonic_ns(), lane.rest + got, 0
        while (frame := _frame(data, at)) is not None:
            body, end = frame
            self._packet(lane, data[at], data[body:end], now)
            at = end
        lane.rest = data[at:]

    def _packet(self, lane: Lane, first: int, body: bytes, now: int) -> None:
        kind = first >> 4
        if kind == PUBACK and int.from_bytes(body[:2], "big") == lane.acked % 65_535 + 1:
            lane.acked += 1
            lane.acked_ns.append(now)
        elif kind == PUBLISH and not first & 6:
            payload = body[2 + int.from_bytes(body[:2], "big") :]
            self._keep(struct.pack("<IqI", lane.number, now, len(payload)) + payload)
        elif lane.answers and ((kind == CONNACK and not body[1]) or (kind == SUBACK and body[2] < 0x80)):
            lane.answers -= 1
        else:
            sys.exit(f"load: a packet of type {kind} that nobody asked for, or a refusal")


def _frame(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the body of the packet at `at` begins and ends; None until all of it is there."""
    length, shift, body = 0, 0, at + 1
    while body < len(data):
        length |= (data[body] & 0x7F) << shift
        shift, body = shift + 7, body + 1
        if data[body - 1] < 0x80:
            return (body, body + length) if body + length <= len(data) else None
    return None


def _lanes(data: bytes) -> list[Lane]:
    (count,), at, lanes = struct.unpack_from("<I", data), 4, []
    for number in range(count):
        (size,) = struct.unpack_from("<I", data, at)
        hello, at = data[at + 4 : at + 4 + size], at + 4 + size
        answers, messages = struct.unpack_from("<II", data, at)
        sizes, at, packets = struct.unpack_from(f"<{messages}I", data, at + 8), at + 8 + 4 * messages, []
        for each in sizes:
            packets.append(data[at : at + each])
            at += each
        lanes.append(Lane(number, hello, answers, packets))
    return lanes


if __name__ == "__main__":
    main()
