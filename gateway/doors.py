"""What the doors need from the configuration, in the form they take it: TLS contexts, a broker's options."""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from chain.errors import StoreError
from gateway.config import FrontDoorConfig, SideDoorConfig

if TYPE_CHECKING:
    from gateway.ingest.side.options import BrokerOptions


def tls_context(settings: FrontDoorConfig) -> ssl.SSLContext | None:
    if settings.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
        if settings.tls_client_ca:
            context.load_verify_locations(settings.tls_client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
    except OSError as e:
        raise StoreError(f"cannot use the TLS files of [front_door]: {e}") from e
    return context


def read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise StoreError(f"cannot read {path}: {e.strerror}") from e


def broker_options(settings: SideDoorConfig) -> "BrokerOptions":
    from gateway.ingest.side.options import BrokerOptions

    password = read_file(settings.password_file).decode().strip() if settings.password_file else None
    tls = ssl.create_default_context(cafile=str(settings.tls_ca)) if settings.tls_ca else None
    return BrokerOptions(
        settings.host, settings.port, settings.client_id, settings.username or None, password, tls,
        settings.shared_group or None, reconnect_max_s=settings.reconnect_max_s,
    )  # fmt: skip
