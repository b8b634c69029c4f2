"""MQTT data types: a bounds-checked reader of one packet body, and the writers that mirror it.

Trust boundary: reads untrusted bytes; whatever is not exactly the encoding of MQTT 5.0 section 1.5 raises
`MalformedPacketError`, never anything else.
"""

from typing import Final

from gateway.ingest.mqtt.reason import MalformedPacketError

MAX_VARINT: Final = 268_435_455  # four bytes of seven bits, MQTT 5.0 section 1.5.5


class Reader:
    """Reads one packet body from front to end. Every method raises MalformedPacketError at the end of the body."""

    __slots__ = ("_data", "_end", "_pos")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pos = 0
        self._end = len(data)

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        start = self._pos
        if count > self._end - start:
            raise MalformedPacketError(
                f"expected {count} more bytes in the packet, only {self._end - start} are left; "
                "mend the length field before them"
            )
        self._pos = start + count
        return self._data[start : self._pos]

    def number(self, width: int) -> int:
        """A big-endian unsigned integer of 1, 2 or 4 bytes."""
        return int.from_bytes(self.take(width), "big")

    def varint(self) -> int:
        """A variable byte integer, at most four bytes and in its shortest form (MQTT-1.5.5-1)."""
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift:
                    raise MalformedPacketError("a variable byte integer is longer than needed; use the shortest form")
                return value
        raise MalformedPacketError("a variable byte integer is longer than four bytes")

    def binary(self) -> bytes:
        """Two bytes of length, then that many bytes."""
        return self.take(self.number(2))

    def text(self) -> str:
        """A UTF-8 string without surrogates and without U+0000 (MQTT-1.5.4-1, MQTT-1.5.4-2)."""
        raw = self.binary()
        try:
            value = raw.decode()
        except UnicodeDecodeError as e:
            raise MalformedPacketError(f"a string field is not UTF-8 (byte {e.start}); send valid UTF-8") from e
        if "\0" in value:
            raise MalformedPacketError("a string field holds U+0000, which MQTT forbids; remove it")
        return value

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self._end - self._pos)

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return self._end - self._pos

    def finish(self) -> None:
        """Refuse trailing bytes."""
        if self._pos != self._end:
            raise MalformedPacketError(f"{self._end - self._pos} bytes follow the last field; remove them")


def write_varint(value: int) -> bytes:
    """Shortest variable byte integer; 0 <= value <= MAX_VARINT."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def write_binary(value: bytes) -> bytes:
    """Two bytes of length, then the bytes; at most 65,535 of them."""
    return len(value).to_bytes(2, "big") + value


def write_text(value: str) -> bytes:
    """A UTF-8 string with its length."""
    return write_binary(value.encode())
