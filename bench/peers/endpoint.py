"""The least that an MQTT endpoint can do and still be one that keeps its word, as fast as plain Python can.

`python -m bench.peers.endpoint FILE KEY`: parses MQTT 3.1.1, opens each payload (AES-256-GCM under the session key),
checks that it is JSON of the wanted shape, appends it to FILE, syncs once for all that came together, and only then
acknowledges. No log, no numbers, no receipts, no limits: what the gateway's front door is compared with. One thread.
Prints a JSON line with its port.
"""

import json
import os
import select
import socket
import sys
from collections.abc import Callable, Sequence

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.load import Lane
from bench.packets import connect, publish

NONCE = 12
READ = 1 << 20
CONNACK, PINGRESP = b"\x20\x02\x00\x00", b"\xd0\x00"


class Reading(msgspec.Struct):
    """One SenML record, as a device sends it."""

    bn: str
    bt: float
    n: str
    u: str
    v: float


class Connection:
    """A socket and what is not parsed yet."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.rest = sock, b""


def sealed_lanes(key: bytes, connections: int, payloads: Sequence[bytes]) -> list[Lane]:
    """Connections that each send these payloads as the endpoint wants them."""
    aead, topic, lanes = AESGCM(key), b"st/1/logger-000/events", []
    for lane in range(connections):
        nonces = [lane.to_bytes(4, "big") + n.to_bytes(8, "big") for n in range(len(payloads))]
        sealed = [nonce + aead.encrypt(nonce, payload, None) for nonce, payload in zip(nonces, payloads, strict=True)]
        packets = [publish(topic, n, message) for n, message in enumerate(sealed)]
        lanes.append(Lane(connect(f"logger-{lane}", "logger", "password"), 1, packets))
    return lanes


def main() -> None:
    """Serve until killed."""
    file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    aead, check = AESGCM(bytes.fromhex(sys.argv[2])), msgspec.json.Decoder(list[Reading]).decode
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    poll, connections = select.epoll(), dict[int, Connection]()
    poll.register(listening, select.EPOLLIN)
    print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
    while True:
        lines: list[bytes] = []
        answers: list[tuple[Connection, bytes]] = []
        for number, _ in poll.poll():
            if number == listening.fileno():
                connection = _accept(listening, poll)
                connections[connection.sock.fileno()] = connection
                continue
            connection = connections[number]
            data = connection.sock.recv(READ)
            if not data:
                connections.pop(number).sock.close()
                continue
            answers.append((connection, _parse(connection, connection.rest + data, aead, check, lines)))
        if lines:
            os.write(file, b"".join(lines))
            os.fdatasync(file)
        for connection, answer in answers:
            connection.sock.sendall(answer)


def _accept(listening: socket.socket, poll: select.epoll) -> Connection:
    sock = listening.accept()[0]
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    poll.register(sock, select.EPOLLIN)
    return Connection(sock)


def _parse(
    connection: Connection, data: bytes, aead: AESGCM, check: Callable[[bytes], object], lines: list[bytes]
) -> bytes:
    """Take all whole packets; returns the answers to them. Inlined: this is the loop that is measured."""
    at, size, answers = 0, len(data), list[bytes]()
    decrypt = aead.decrypt
    while size - at >= 2:
        length, shift, body = data[at + 1], 7, at + 2
        if length & 0x80:
            length &= 0x7F
            while body < size:
                digit = data[body]
                length |= (digit & 0x7F) << shift
                shift, body = shift + 7, body + 1
                if digit < 0x80:
                    break
            else:
                break
        end = body + length
        if end > size:
            break
        first = data[at]
        if first == 0x32:
            topic_end = body + 2 + (data[body] << 8 | data[body + 1])
            payload = topic_end + 2
            opened = decrypt(data[payload : payload + NONCE], data[payload + NONCE : end], None)
            check(opened)
            lines.append(opened)
            answers.append(b"\x40\x02" + data[topic_end:payload])
        elif first == 0x10:
            answers.append(CONNACK)
        elif first == 0xC0:
            answers.append(PINGRESP)
        at = end
    connection.rest = data[at:]
    return b"".join(answers)


if __name__ == "__main__":
    main()
