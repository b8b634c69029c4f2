"""`sealtrail keys`: make, show, rotate, revoke, export and back up keys in a folder of encrypted files.

The passphrase comes from SEALTRAIL_PASSPHRASE, from the systemd credential sealtrail-passphrase, or from a prompt.
"""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from crypto.keystore.file import Header
    from crypto.keystore.store import KeyStore

NameArgument = Annotated[str, typer.Argument(help="Name of the key.", show_default=False)]
KeysOption = Annotated[Path, typer.Option("--keys", help="Folder of the key store.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="File to write.", show_default=False)]
StatementOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="File for the signed statement.", show_default=False)
]
SUITES_HELP = (
    "Keys to seal to: x-wing, ml-kem-768, ml-kem-1024, ml-kem-1024-p384. Keys to sign with: ed25519, ml-dsa-44, "
    "ml-dsa-65, ml-dsa-87, ml-dsa-44-ed25519, ml-dsa-65-ed25519, slh-dsa-sha2-128s."
)
app = typer.Typer(help="Keys in encrypted files: to seal to, and to sign with.", no_args_is_help=True)


@app.command("new")
def new(
    suite: Annotated[str, typer.Option(help=SUITES_HELP, show_default=False)],
    name: Annotated[str, typer.Option(help="Name of the key.", show_default=False)],
    keys: KeysOption,
) -> None:
    """Make a key."""
    from crypto.keystore.public import suite_named

    made = _store(keys).new(name, suite_named(suite), _now_us())
    print(f"made {made.name} ({made.suite}), kid {made.key.kid.hex()[:16]}…; give others its public half:")
    print(f"sealtrail keys export {made.name} --public -o {made.name}.pub --keys {keys}")


@app.command("list")
def list_keys(keys: KeysOption, as_json: JsonOption = False) -> None:
    """List all keys of a folder. Needs no passphrase, and proves nothing."""
    headers = _store(keys).headers()
    if as_json:
        print(json.dumps({"keys": [_shown(header) for header in headers]}, indent=2))
        return
    for header in headers:
        named = header.named
        kid = named.key.kid.hex()[:16]
        print(f"{named.name:<20}  {named.suite:<18}  {kid}…  {header.generation:>3}  {header.state.name.lower()}")


@app.command("show")
def show(name: NameArgument, keys: KeysOption, as_json: JsonOption = False) -> None:
    """Show every key that a name had. Needs no passphrase, and proves nothing."""
    from crypto.errors import KeyMaterialError

    found = [_shown(header) for header in _store(keys).headers() if header.named.name == name]
    if not found:
        raise KeyMaterialError(f"{keys} holds no key {name!r}")
    if as_json:
        print(json.dumps({"keys": found}, indent=2))
        return
    print("\n\n".join("\n".join(f"{what:<11} {value}" for what, value in item.items()) for item in found))


@app.command("export")
def export(
    name: NameArgument,
    output: OutputOption,
    keys: KeysOption,
    public: Annotated[bool, typer.Option("--public", help="The public half, for others.")] = False,
    private: Annotated[bool, typer.Option("--private", help="The secret in clear, for another program.")] = False,
) -> None:
    """Write the public half of a key, or its secret."""
    from crypto.files import write_durably
    from crypto.keys import PrivateKey

    if public == private:
        raise typer.BadParameter("say --public or --private")
    store = _store(keys)
    if public:
        write_durably(output, store.public(name).to_json())
    else:
        key = store.private(name)
        write_durably(output, key.to_pem() if isinstance(key, PrivateKey) else key.seed, mode=0o600)
    print(f"wrote {output}{'' if public else ': whoever reads it has the key'}")


@app.command("rotate")
def rotate(
    name: NameArgument,
    keys: KeysOption,
    output: StatementOption = None,
    from_index: Annotated[int, typer.Option(min=0, help="Log index from which the new key counts.")] = 0,
    identity: Annotated[str, typer.Option(help="Its owner's name on the ledger. Default: the key's name.")] = "",
    again: Annotated[bool, typer.Option("--again", help="Only sign the last rotation's statement again.")] = False,
) -> None:
    """Give a name a new key. The old one stays, to open what was sealed to it. With -o both sign that one follows the
    other, in the words that the ledger's identities.rotate takes."""
    from crypto.errors import KeyMaterialError
    from crypto.files import write_durably
    from crypto.keystore import statements

    store = _store(keys)
    if output:
        statements.require_signing(name, store.private(name))
    if again and not output:
        raise KeyMaterialError("--again writes a statement; say where with -o")
    old, new_key = store.rotated(name) if again else store.rotate(name, _now_us())
    if not again:
        kid = new_key.public.kid.hex()[:16]
        print(f"{name} has a new key, kid {kid}…; export it again for those who have the old one")
    if output:
        signers = (statements.require_signing(name, old), statements.require_signing(name, new_key))
        write_durably(output, statements.rotation(identity or name, *signers, from_index))
        print(f"wrote {output}; sign it again, for another index or owner, with --again")


@app.command("revoke")
def revoke(
    name: NameArgument,
    keys: KeysOption,
    reason: Annotated[str, typer.Option(help="Why, in at most 200 characters.", show_default=False)],
    output: StatementOption = None,
) -> None:
    """Mark a key as not to be believed any more. It signs nothing more and is exported no more; what was sealed to it
    still opens. With -o the key itself signs that it is revoked: give that to who believes it."""
    from crypto.errors import KeyMaterialError
    from crypto.files import write_durably
    from crypto.keystore import statements
    from crypto.keystore.file import MAX_REASON

    if not 1 <= len(reason) <= MAX_REASON or not reason.isprintable() or not reason.isascii():
        raise KeyMaterialError(f"a reason has 1 to {MAX_REASON} printable ASCII characters")
    store = _store(keys)
    if output:
        signer = statements.require_signing(name, store.private(name))
        write_durably(output, statements.revocation(name, signer, reason))
    store.revoke(name, reason)
    print(f"revoked {name} here; others know it when they have the statement, or when the ledger says so")


@app.command("backup")
def backup(keys: KeysOption, output: OutputOption) -> None:
    """Write all keys into one file, each still locked, once every one of them has opened."""
    from crypto.files import write_durably
    from crypto.keystore import backup as files

    _store(keys).open_each(lambda name: None)
    write_durably(output, files.pack(keys), mode=0o600)
    print(f"wrote {output}; it opens with the same passphrase: sealtrail keys restore {output} --keys FOLDER")


@app.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(help="A backup.", show_default=False)],
    keys: KeysOption,
) -> None:
    """Bring the keys of a backup into a folder; nothing there is overwritten."""
    from crypto.files import read_private
    from crypto.keystore import backup as files

    print(f"restored {len(files.restore(read_private(file), keys))} key files into {keys}")


def _store(folder: Path) -> "KeyStore":
    from crypto.keystore.passphrase import Passphrase
    from crypto.keystore.store import KeyStore

    return KeyStore(folder, Passphrase())


def _shown(header: "Header") -> dict[str, Any]:
    named = header.named
    made = datetime.fromtimestamp(header.made_us / 1e6, UTC).isoformat(timespec="seconds")
    found = {
        "name": named.name, "suite": str(named.suite), "kid": named.key.kid.hex(), "generation": header.generation,
        "state": header.state.name.lower(), "made": made,
    }  # fmt: skip
    return found | ({"reason": header.reason} if header.reason else {})


def _now_us() -> int:
    return time.time_ns() // 1000
