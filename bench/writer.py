"""A device that sends as fast as a socket takes: enrols, prepares its packets, writes MQTT 3.1.1, counts PUBACKs.

A process of its own, `python -m bench.writer`, so that preparing costs the gateway nothing. Prints one line of JSON.
"""

import argparse
import json
import os
import socket
import time
from collections.abc import Iterator

import httpx

from chain.event import BLIND_BYTES, Event, Message, SignedSeal, content_hash
from chain.seal import FIRST_PREVIOUS, Seal, seal_hash, sign_seal
from crypto.keys import Algorithm, PrivateKey
from crypto.merkle import root_of
from gateway.device.enrolment import enrolment_request

SEALED = 256  # events under one seal
PAYLOAD = 300  # bytes
PUBACK = 4  # bytes
TIMEOUT_S = 60.0


def main() -> None:
    """Enrol, prepare, write, and tell how long it took."""
    parser = argparse.ArgumentParser()
    for name in ("--url", "--code", "--origin"):
        parser.add_argument(name, required=True)
    for name in ("--port", "--events", "--per-message", "--window"):
        parser.add_argument(name, type=int, required=True)
    wanted = parser.parse_args()
    source, key, password = _enrol(wanted.url, wanted.code, wanted.origin)
    messages = list(_messages(source, key, wanted.events, wanted.per_message))
    started, ended = _write(wanted.port, source, password, messages, wanted.window)
    print(json.dumps({"events": wanted.events, "messages": len(messages), "started": started, "ended": ended}))


def _enrol(url: str, code: str, origin: str) -> tuple[str, PrivateKey, str]:
    key = PrivateKey.generate(Algorithm.ED25519)
    source = httpx.post(f"{url}/v1/enrol/offer", json={"code": code}, timeout=TIMEOUT_S).json()["source"]
    answer = httpx.post(f"{url}/v1/enrol", json=enrolment_request(code, source, origin, key), timeout=TIMEOUT_S)
    return source, key, answer.raise_for_status().json()["password"]


def _messages(source: str, key: PrivateKey, count: int, each: int) -> Iterator[bytes]:
    """Messages of `each` events; behind every 256th event comes its seal."""
    previous, waiting, hashes = FIRST_PREVIOUS, list[bytes](), list[bytes]()
    filler = "x" * (PAYLOAD - 60)
    for seq in range(count):
        payload = json.dumps([{"n": filler, "u": "Cel", "v": seq % 20}], separators=(",", ":")).encode()
        now, blind = time.time_ns() // 1000, os.urandom(BLIND_BYTES)
        waiting.append(Event(source, 1, seq, 1, 1, now, blind, payload).encode())
        hashes.append(content_hash(waiting[-1]))
        seals: tuple[SignedSeal, ...] = ()
        if len(hashes) == SEALED or seq == count - 1:
            first = seq + 1 - len(hashes)
            seal = Seal(source, 1, first, len(hashes), root_of(hashes), previous, now, key.public.kid)
            seals, hashes = (sign_seal(seal, key),), []
            previous = seal_hash(seals[0].seal)
        if len(waiting) == each or seals:
            yield Message(tuple(waiting), seals).encode()
            waiting = []


def _write(port: int, source: str, password: str, messages: list[bytes], window: int) -> tuple[float, float]:
    """Times of the first byte written and the last PUBACK read, in seconds of time.monotonic."""
    topic = f"st/1/{source}/events".encode()
    packets = [_publish(topic, number % 65_535 + 1, message) for number, message in enumerate(messages)]
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(_connect(source, password))
        assert connection.recv(4, socket.MSG_WAITALL)[3] == 0, "the gateway refused the connection"
        started, sent, answered = time.monotonic(), 0, 0
        while answered < len(packets):
            more = packets[sent : answered + window]
            connection.sendall(b"".join(more))
            sent += len(more)
            answered += len(connection.recv(PUBACK, socket.MSG_WAITALL)) // PUBACK
            answered += _ready(connection)
        return started, time.monotonic()


def _ready(connection: socket.socket) -> int:
    """Whole PUBACKs that are there already."""
    try:
        there = connection.recv(1 << 16, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return 0
    return len(connection.recv(len(there) // PUBACK * PUBACK)) // PUBACK if len(there) >= PUBACK else 0


def _connect(source: str, password: str) -> bytes:
    body = _text(b"MQTT") + b"\x04\xc2\x00\x3c" + _text(source.encode()) * 2 + _text(password.encode())
    return b"\x10" + _length(len(body)) + body


def _publish(topic: bytes, identifier: int, payload: bytes) -> bytes:
    body = _text(topic) + identifier.to_bytes(2, "big") + payload
    return b"\x32" + _length(len(body)) + body


def _text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def _length(value: int) -> bytes:
    """MQTT 3.1.1 section 2.2.3."""
    encoded = b""
    while True:
        value, digit = divmod(value, 128)
        encoded += bytes([digit | (0x80 if value else 0)])
        if not value:
            return encoded


if __name__ == "__main__":
    main()
