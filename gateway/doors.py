"""What the doors need from the configuration and the machine, in the form they take it: TLS contexts, a broker's
options, open files."""

import logging
import resource
import ssl
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chain.errors import StoreError
from gateway.config import FrontDoorConfig, SideDoorConfig

if TYPE_CHECKING:
    from gateway.ingest.broker import BrokerOptions

log = logging.getLogger(__name__)
OTHER_FILES: Final = 512  # sockets that are not logged in, REST, the stores: what connections must leave free


def connections_that_fit(wanted: int) -> int:
    """How many connections the machine lets this process have, up to `wanted`. Raises the process's own bound on open
    files as far as it may: a store that cannot open its files is worse than a device that must wait."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = wanted + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < need:
        soft = need if hard == resource.RLIM_INFINITY else min(need, hard)
        with suppress(ValueError, OSError):  # some systems have a bound below the hard one
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if soft < need:
            log.warning("%d open files are allowed, %d connections need %d; raise LimitNOFILE", soft, wanted, need)
            return max(soft - OTHER_FILES, soft // 2)
    return wanted


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
    from gateway.ingest.broker import BrokerOptions

    password = read_file(settings.password_file).decode().strip() if settings.password_file else None
    tls = ssl.create_default_context(cafile=str(settings.tls_ca)) if settings.tls_ca else None
    return BrokerOptions(
        settings.host, settings.port, settings.client_id, settings.username or None, password, tls,
        settings.shared_group or None,
    )  # fmt: skip
