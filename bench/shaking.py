"""Makes a device's session with a gateway over a connection of its own; the session outlives that connection."""

import socket
from collections.abc import Iterator
from contextlib import closing

from bench.device import Device
from bench.packets import connect, publish, subscribe
from bench.program import Gateway
from chain.site import Folder
from crypto.session.handshake import DeviceHandshake, Session
from crypto.session.messages import Hello
from gateway.ingest.mqtt.decode import read_frame, read_publish
from gateway.ingest.mqtt.topics import handshake_down, handshake_up
from gateway.sessions.key import session_key

TIMEOUT_S = 10.0


def shake_hands(gateway: Gateway, device: Device) -> Session:
    """The device's end of a new session."""
    static, _ = session_key(Folder.existing(gateway.data))
    handshake = DeviceHandshake(static.public, device.key, Hello(device.name, device.key.public.kid, device.boot))
    topic = handshake_up(device.name).encode()
    with closing(socket.create_connection(("127.0.0.1", gateway.port), TIMEOUT_S)) as line:
        line.sendall(connect(f"{device.name}-hands", device.name, device.password))
        line.sendall(subscribe(handshake_down(device.name)) + publish(topic, 0, handshake.hello))
        heard = _heard(line)
        line.sendall(publish(topic, 1, handshake.answer(next(heard))))
        return handshake.finish(next(heard))


def _heard(line: socket.socket) -> Iterator[bytes]:
    """What the gateway publishes."""
    rest = b""
    while data := line.recv(65536):
        rest += data
        while (frame := read_frame(rest, 0, 1 << 20)) is not None and frame[1] <= len(rest):
            packet, rest = rest[: frame[1]], rest[frame[1] :]
            if packet[0] >> 4 == 3:
                yield read_publish(packet[0], packet[frame[0] :], False).payload
    raise RuntimeError("the gateway hung up in a handshake")
