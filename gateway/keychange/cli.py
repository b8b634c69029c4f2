"""`sealtrail keys migrate`, `set-recovery` and `recover`: change the keys that a site signs with, while it runs or is
stopped, and bring a gateway a new one by its offline key."""

import asyncio
import base64
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.options import JsonOption, token_option

if TYPE_CHECKING:
    from crypto.keystore.store import KeyStore
    from gateway.config import Config
    from gateway.keychange.migration import Migrated

TIMEOUT_S = 120.0
DataOption = Annotated[Path | None, typer.Option(help="Data directory of a stopped gateway on its own ledger.")]
ConfigOption = Annotated[Path | None, typer.Option(help="TOML file of a stopped gateway instead.")]
KeysOption = Annotated[Path, typer.Option("--keys", help="Folder of the key store.", show_default=False)]


def migrate(
    to: Annotated[str, typer.Option(help="Signature algorithm: ml-dsa-65, ml-dsa-44, or a composite with Ed25519.")],
    data: DataOption = None,
    config: ConfigOption = None,
    url: Annotated[str | None, typer.Option(help="URL of a running gateway instead.")] = None,
    token: Annotated[str, token_option("operator, with --url")] = "",
    force: Annotated[bool, typer.Option("--force", help="Also to a weaker algorithm.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Change all keys that a site signs with: log, ledger and gateway. Nothing waits meanwhile.

    Sources follow by a statement of both the old and the new key. Export the policy again afterwards, and give
    auditors the file in key-changes, by which they can follow as well. Sources keep their own keys: device rotate.
    """
    if sum(place is not None for place in (data, config, url)) != 1:
        raise typer.BadParameter("give either --url, --data or --config")
    if url is not None:
        done = _ask(url, token, to, force)
    else:
        found = asyncio.run(_directly(_config(data, config), to, force))
        done = {"algorithm": str(found.suite), "kid": found.kid.hex(), "log_vkeys": list(found.log_vkeys)}
    if as_json:
        import json

        print(json.dumps(done))
        return
    print(f"the site signs with {done['algorithm']} now, key {done['kid'][:16]}…; its log's keys:")
    for vkey in done["log_vkeys"]:
        print(vkey)


def set_recovery(
    name: Annotated[str, typer.Argument(help="Name of the offline key, such as one of slh-dsa-sha2-128s.")],
    keys: KeysOption,
    data: DataOption = None,
    config: ConfigOption = None,
    former: Annotated[str | None, typer.Option(help="Name of the recovery key that there is already.")] = None,
) -> None:
    """Register an offline key that can bring this gateway a new one. The gateway may run. Then put the offline key
    where no network is: whoever has it can take the gateway's place on the ledger."""
    from gateway.keychange.recovery import register

    store = _store(keys)
    offline, before = store.signing_key(name), store.signing_key(former) if former else None
    asyncio.run(register(_config(data, config), offline, before))
    print(f"{name} can recover this gateway now; keep it offline: sealtrail keys backup")


def recover(
    name: Annotated[str, typer.Argument(help="Name of the offline key.")],
    keys: KeysOption,
    data: DataOption = None,
    config: ConfigOption = None,
    compromised_from: Annotated[
        int | None, typer.Option(min=0, help="Log entry from which on the old key may have been a thief's.")
    ] = None,
) -> None:
    """Give a stopped gateway, whose key was lost or stolen, a new key by its offline key.

    Sources cannot follow without the old key: enrol them anew, or put the new key into their device.json.
    """
    from gateway.keychange.recovery import recover as recovered

    key = asyncio.run(recovered(_config(data, config), _store(keys).signing_key(name), compromised_from)).public
    print(f"the gateway acts with a new key, {key.algorithm} {key.kid.hex()[:16]}…; its public half, for device.json:")
    print(base64.b64encode(key.raw).decode())


def _config(data: Path | None, config: Path | None) -> "Config":
    from gateway.config import load_config

    if (data is None) == (config is None):
        raise typer.BadParameter("give either --data or --config")
    return load_config(config) if config else _alone(data or Path())


def _store(folder: Path) -> "KeyStore":
    from crypto.keystore.passphrase import Passphrase
    from crypto.keystore.store import KeyStore

    return KeyStore(folder, Passphrase())


def _ask(url: str, token: str, to: str, force: bool) -> dict[str, Any]:
    from chain.remote import Remote
    from gateway.keychange.errors import MigrationError

    remote = Remote(url, token, MigrationError, TIMEOUT_S)
    found = remote.ask("POST", "/v1/keys/migrate", json={"to": to, "force": force})
    return {name: found[name] for name in ("algorithm", "kid", "log_vkeys")}


def _alone(data: Path) -> "Config":
    """A gateway on the embedded ledger that listens where nobody knows of, for the time of the change."""
    from chain.site import Folder
    from gateway.config import Config

    folder = Folder.existing(data)
    log = {"witness_policy": folder.witness_policy} if folder.witness_policy.exists() else {}
    doors = {"host": "127.0.0.1", "port": 0}
    settings = {"origin": folder.origin, "data": data, "front_door": doors, "api": doors, "log": log}
    return Config.model_validate(settings)


async def _directly(config: "Config", to: str, force: bool) -> "Migrated":
    from gateway.service import Gateway

    async with Gateway(config) as gateway:
        return await gateway.migrate(to, force=force)
