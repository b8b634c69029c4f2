"""Where the gateway sends to: the rule for addresses that others name (a subscriber's URL, say).

Trust boundary: the URL, and the name server that answers for its host. Without a rule anybody who may subscribe could
have the gateway talk to machines that only the gateway reaches. So the address is looked up once, judged, and that
very address is connected to: an answer that changes in between changes nothing.
"""

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from gateway.delivery.errors import AddressError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
MAX_URL = 2048
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


@dataclass(frozen=True, slots=True)
class AddressRule:
    """What others may name: `http` without TLS, and `networks` beside the public addresses, loopback and private ones
    among them. What the operator configured himself is not bound by it."""

    http: bool = False
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, http: bool, networks: Sequence[str]) -> "AddressRule":
        """Networks as in `10.0.0.0/8`; AddressError for what is none."""
        try:
            return cls(http, tuple(ipaddress.ip_network(network) for network in networks))
        except ValueError as e:
            raise AddressError(f"expected networks like 10.0.0.0/8: {e}") from e

    def require_url(self, url: str, *, configured: bool = False) -> SplitResult:
        """The URL in parts; AddressError where it has not the form that is sent to. Its host is not looked up."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError as e:
            raise AddressError(f"{url!r:.200} is no URL: {e}") from e
        if len(url) > MAX_URL or not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
            raise AddressError(f"a URL is at most {MAX_URL} printable ASCII characters without spaces")
        if parts.scheme != "https" and not (parts.scheme == "http" and (self.http or configured)):
            raise AddressError(f"expected an https URL, got {url!r:.200}; see delivery.allow_http")
        if not host or parts.username is not None or parts.fragment:
            raise AddressError(f"expected a URL with a host, and neither a user nor a fragment, got {url!r:.200}")
        if not configured and (literal := _literal(host)):
            self._require(literal, host)
        return parts

    def addresses(self, host: str, port: int, *, configured: bool = False) -> list[str]:
        """The addresses of a host that may be connected to. AddressError where one of them may not: a name that
        points to both sides of a wall is no mistake. OSError where the name is unknown."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        texts = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not configured:
            for text in texts:
                self._require(ipaddress.ip_address(text.partition("%")[0]), host)
        return texts

    def _require(self, address: Address, host: str) -> None:
        inner = _inner(address)
        public = inner.is_global and not inner.is_multicast
        if not public and not any(inner in network for network in self.networks if network.version == inner.version):
            raise AddressError(f"{host:.200} is at {address}, which is not public; see delivery.allowed_networks")


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address
