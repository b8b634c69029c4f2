"""`sealtrail chaincode serve`: run the contract for Fabric peers until SIGTERM or SIGINT."""

import asyncio
import signal
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chaincode.server.errors import ServeError

if TYPE_CHECKING:
    from chaincode.server.link import Limits
    from chaincode.server.server import TlsFiles

app = typer.Typer(help="The contract as a chaincode of Hyperledger Fabric.", no_args_is_help=True)


class Level(StrEnum):
    """How much is logged: each transaction at `info`, failures only at `error`."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@app.callback()
def chaincode() -> None:
    """The contract as a chaincode of Hyperledger Fabric."""


@app.command()
def serve(
    address: Annotated[str, typer.Option(help="HOST:PORT to listen on; port 0 takes a free one.")],
    package_id: Annotated[str, typer.Option(help="LABEL:HASH, as `peer lifecycle chaincode install` names it.")],
    tls_cert: Annotated[Path | None, typer.Option(help="PEM certificate chain of this server.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM key of this server.")] = None,
    tls_client_ca: Annotated[Path | None, typer.Option(help="PEM CA of the peers that may connect.")] = None,
    max_transactions: Annotated[int, typer.Option(min=1, max=10_000, help="At work at once for each peer.")] = 512,
    grace: Annotated[float, typer.Option(min=0, max=600, help="Seconds to end transactions when stopping.")] = 20,
    log_level: Annotated[Level, typer.Option(help="Log lines are JSON on standard error.")] = Level.INFO,
) -> None:
    """Serve the contract to Fabric peers (chaincode as a service); peers connect to us."""
    try:
        from chaincode.server.json_lines import log_to_stderr
        from chaincode.server.link import Limits
    except ImportError as e:
        raise ServeError(f"Fabric's packages are missing ({e.name}); install sealtrail[fabric]") from e
    tls = _tls(address, tls_cert, tls_key, tls_client_ca)
    log_to_stderr(log_level)
    asyncio.run(_serve(package_id, Limits(transactions=max_transactions), address, tls, grace))


def _tls(address: str, certificate: Path | None, key: Path | None, client_ca: Path | None) -> "TlsFiles | None":
    """All files that TLS needs, or none; without them the address must not be reachable from other machines."""
    from chaincode.server.server import TlsFiles

    if (certificate is None) != (key is None) or (client_ca is not None and certificate is None):
        raise ServeError("TLS needs --tls-cert and --tls-key together; --tls-client-ca only with them")
    if certificate is not None and key is not None:
        return TlsFiles(certificate, key, client_ca)
    if not _is_loopback(address.rpartition(":")[0].strip("[]")):
        raise ServeError(f"{address} can be reached from elsewhere: give --tls-cert and --tls-key, or use 127.0.0.1")
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _serve(package_id: str, limits: "Limits", address: str, tls: "TlsFiles | None", grace: float) -> None:
    """Until SIGTERM or SIGINT; then transactions at work are ended and answered."""
    from chaincode.server.server import ChaincodeServer

    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    server = ChaincodeServer(package_id, limits=limits)
    await server.start(address, tls)
    await told.wait()
    await server.stop(grace)
