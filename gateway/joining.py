"""A further gateway of an organisation on Fabric: it asks with a file, and a gateway that is there enrols it.

The file holds a name, a public key and the proof that its owner holds the private one; whoever carries it can read it
and cannot change it. The operator of the gateway that is there vouches for whoever sent it.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from msgspec import Meta

from chain.errors import LedgerError
from chain.ledger.interface import Ledger
from chaincode.identities import enrolment
from chaincode.identity_records import Role
from crypto import labels
from crypto.files import write_durably
from crypto.keys import PrivateKey

if TYPE_CHECKING:
    from chain.ledger.fabric.ledger import FabricLedger

FILE = "admission-request.json"
MAX_BYTES = 64 * 1024
FORMAT = "sealtrail-admission/v1"
Short = Annotated[str, Meta(max_length=128)]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who asks: the log's origin, which is the gateway's name too, its key, and the proof of possession."""

    format: str
    origin: Short
    algorithm: Short
    key: bytes
    possession: bytes


def write_request(folder: Path, origin: str, key: PrivateKey) -> Path:
    """Write the request of the gateway whose data directory this is."""
    public = key.public
    possession = key.sign(enrolment(origin, origin, public), labels.ENROL)
    request = Request(FORMAT, origin, str(public.algorithm), public.raw, possession)
    write_durably(folder / FILE, msgspec.json.format(msgspec.json.encode(request), indent=2) + b"\n")
    return folder / FILE


def read_request(path: Path) -> Request:
    """LedgerError where the file is no request."""
    try:
        data = path.read_bytes()
        if len(data) > MAX_BYTES:
            raise LedgerError(f"{path}: an admission request has at most {MAX_BYTES} bytes, got {len(data)}")
        request = msgspec.json.decode(data, type=Request)
    except OSError as e:
        raise LedgerError(f"cannot read {path}: {e.strerror}") from e
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise LedgerError(f"{path} is no admission request: {e}") from e
    if request.format != FORMAT:
        raise LedgerError(f"{path}: expected the format {FORMAT}, got {request.format[:40]!r}")
    return request


def admit_command(
    request: Annotated[Path, typer.Argument(help=f"The file {FILE} that the other gateway wrote.")],
    config: Annotated[Path, typer.Option(help="This gateway's TOML file.", show_default=False)],
) -> None:
    """Enrol a further gateway of this organisation on the Fabric channel, as this gateway."""
    from chain.site import Folder
    from gateway.config import load_config
    from gateway.ledgers import open_channel

    wanted, settings = read_request(request), load_config(config)
    if settings.fabric is None:
        raise LedgerError(f'{config}: the embedded ledger has one gateway; only with ledger = "fabric" there are more')
    key = Folder.existing(settings.data).gateway_key()
    asyncio.run(_admitted(open_channel(settings.fabric, key), wanted))
    print(f"{wanted.origin} is enrolled; start it again")


async def _admitted(ledger: "FabricLedger", request: Request) -> None:
    async with ledger:
        await admit(ledger, request)


async def admit(ledger: Ledger, request: Request) -> None:
    """Enrol the gateway that asks; `ledger` acts as a gateway of the same organisation.

    Raises:
        ContractError: the contract refuses: no proof of possession, a name or key that is taken.
    """
    origin = request.origin.encode()
    role, algorithm = str(Role.GATEWAY).encode(), request.algorithm.encode()
    await ledger.submit("identities.enrol", origin, role, algorithm, request.key, origin, b"0", request.possession)
