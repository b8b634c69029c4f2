"""What the doors need from the configuration, in the form they take it: TLS contexts, a broker's options."""

from pathlib import Path
from typing import TYPE_CHECKING

from chain.errors import StoreError
from crypto.errors import TlsError
from gateway.config import ApiConfig, FrontDoorConfig, SideDoorConfig

if TYPE_CHECKING:
    from crypto.tls.client import TlsClient
    from crypto.tls.server import TlsServer
    from gateway.ingest.side.options import BrokerOptions


def tls_server(settings: FrontDoorConfig | ApiConfig, section: str) -> "TlsServer | None":
    """The server's end of TLS for a section of the configuration; None where it is not set.

    Raises:
        StoreError: a file cannot be used, or OpenSSL cannot do what is required.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    from crypto.tls.context import server_context
    from crypto.tls.server import TlsServer

    client_ca = settings.tls_client_ca if isinstance(settings, FrontDoorConfig) else None
    required = settings.require_post_quantum
    try:
        context = server_context(settings.tls_certificate, settings.tls_key, client_ca, require_post_quantum=required)
    except TlsError as e:
        raise StoreError(f"TLS of [{section}]: {e}") from e
    return TlsServer(context, require_post_quantum=required)


def read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise StoreError(f"cannot read {path}: {e.strerror}") from e


def broker_options(settings: SideDoorConfig) -> "BrokerOptions":
    from gateway.ingest.side.options import BrokerOptions

    password = read_file(settings.password_file).decode().strip() if settings.password_file else None
    tls = _tls_client(settings) if settings.tls_ca else None
    return BrokerOptions(
        settings.host, settings.port, settings.client_id, settings.username or None, password, tls,
        settings.shared_group or None, reconnect_max_s=settings.reconnect_max_s,
    )  # fmt: skip


def _tls_client(settings: SideDoorConfig) -> "TlsClient":
    from crypto.tls.client import TlsClient

    try:
        return TlsClient(settings.tls_ca, require_post_quantum=settings.require_post_quantum)
    except TlsError as e:
        raise StoreError(f"TLS of [side_door]: {e}") from e
