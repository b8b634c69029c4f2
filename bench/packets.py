"""The MQTT 3.1.1 packets that the benchmark sends, and no more. Sources: MQTT 3.1.1 sections 2.2.3, 3.1, 3.3, 3.8."""

KEEP_ALIVE_S = 0  # none: a lane may wait for others


def connect(client: str, username: str, password: str) -> bytes:
    """CONNECT with a clean session."""
    login = _text(username.encode()) + _text(password.encode())
    body = _text(b"MQTT") + b"\x04\xc2" + KEEP_ALIVE_S.to_bytes(2, "big") + _text(client.encode()) + login
    return b"\x10" + _length(len(body)) + body


def subscribe(topic: str) -> bytes:
    """SUBSCRIBE to one topic with QoS 0; packet identifier 1."""
    body = b"\x00\x01" + _text(topic.encode()) + b"\x00"
    return b"\x82" + _length(len(body)) + body


def publish(topic: bytes, number: int, payload: bytes) -> bytes:
    """PUBLISH with QoS 1; the `number`-th of a connection, from 0, has the identifier number % 65,535 + 1."""
    body = _text(topic) + (number % 65_535 + 1).to_bytes(2, "big") + payload
    return b"\x32" + _length(len(body)) + body


def _text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def _length(value: int) -> bytes:
    encoded = b""
    while True:
        value, digit = divmod(value, 128)
        encoded += bytes([digit | (0x80 if value else 0)])
        if not value:
            return encoded
