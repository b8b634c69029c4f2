"""The transport that a protocol sees when TLS lies below it; it hands everything to `TlsProtocol`."""

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crypto.tls.protocol import TlsProtocol


class TlsTransport(asyncio.Transport):
    """What the inner protocol sees. Extra info: `tls_group`, `tls_version`, `peer_common_name`, and what the transport
    below has."""

    def __init__(self, protocol: "TlsProtocol") -> None:
        super().__init__()
        self._tls = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "tls_group":
            return self._tls.group
        if name == "tls_version":
            return self._tls.tls_version()
        if name == "peer_common_name":
            return self._tls.common_name()
        if name == "sslcontext":
            return self  # asked for its truth only: whether this is TLS
        return self._tls.below.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._tls.write(data)

    def close(self) -> None:
        self._tls.close()

    def abort(self) -> None:
        self._tls.abort()

    def is_closing(self) -> bool:
        return self._tls.closing

    def pause_reading(self) -> None:
        self._tls.pause()

    def resume_reading(self) -> None:
        self._tls.resume()

    def is_reading(self) -> bool:
        return self._tls.reading

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return self._tls.below.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._tls.below.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._tls.below.set_write_buffer_limits(high, low)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._tls.turn_to(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._tls.turned_to()
