"""`sealtrail objects`: the owner's and the partners' side of the exchange of sealed objects, over a gateway's REST.

seal → objects put → objects grant → (partner) objects get → open → objects receipt → objects grants.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.options import JsonOption, UrlOption, say, token_option

if TYPE_CHECKING:
    from gateway.objects.remote import Objects

TokenOption = Annotated[str, token_option("exchange, or partner")]
IdArgument = Annotated[str, typer.Argument(help="Object id, 64 hex digits.", show_default=False)]
NameOption = Annotated[str, typer.Option("--as", help="Your name on the ledger.", show_default=False)]
SignOption = Annotated[str, typer.Option(help="Name of your signature key.", show_default=False)]
KeysOption = Annotated[Path, typer.Option("--keys", help="Folder of your key store.", show_default=False)]
GrantOption = Annotated[Path | None, typer.Option("--grant", help="A grant file.", show_default=False)]
OPENED_STAYS = "whoever opened it has its content and its key; no revocation can take that back"

app = typer.Typer(help="Sealed objects that a gateway keeps for partners.", no_args_is_help=True)


@app.command("put")
def put(
    file: Annotated[Path, typer.Argument(help="A sealed object.", show_default=False)], url: UrlOption,
    token: TokenOption, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Upload a sealed object; its digest is in the log when this returns."""
    kept = _remote(url, token).put(file)
    say(kept, as_json, f"object {kept['id']}, {kept['size']:,} bytes, named by record {kept['record']}")


@app.command("list")
def list_objects(url: UrlOption, token: TokenOption, as_json: JsonOption = False) -> None:
    """List what is kept, or with a partner's token what is granted to that partner."""
    remote, found, after = _remote(url, token), list[dict[str, Any]](), dict[str, str]()
    while True:
        page = remote.ask("GET", "/v1/objects", params={"limit": "100", **after})
        found += page["objects"]
        if page["after"] is None:
            break
        after = {"after": page["after"]}
    lines = [f"{one['id']}  {one['size']:>15,} bytes  record {one['record']}" for one in found]
    say({"objects": found}, as_json, "\n".join(lines) or "none")


@app.command("get")
def get(
    name: IdArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.", show_default=False)],
    url: UrlOption, token: TokenOption,
) -> None:  # fmt: skip
    """Fetch an object; it appears when its digest is the one on the ledger."""
    size = _remote(url, token).get(name, output)
    print(f"wrote {output} ({size:,} bytes); open it with: sealtrail open {output} --keys FOLDER -o FILE")


@app.command("grant")
def grant(
    name: IdArgument,
    to: Annotated[list[str], typer.Option("--to", help="Name on the ledger; may be repeated.", show_default=False)],
    url: UrlOption, token: TokenOption, file: GrantOption = None,
    holder: Annotated[str | None, typer.Option("--as", help="Pass it on as this holder of it.")] = None,
    sign: Annotated[str | None, typer.Option(help="Name of the holder's signature key.")] = None,
    keys: Annotated[Path | None, typer.Option("--keys", help="Folder of the holder's key store.")] = None,
) -> None:  # fmt: skip
    """Let partners have an object that is sealed to them; or a later one, by a grant file (sealtrail grant)."""
    body: dict[str, Any] = {"recipients": to}
    if file is not None:
        data = _read(file)
        body["grant"] = _text(data)
        if holder is not None:
            body |= {"holder": holder, "signature": _text(_passed_on(data, to, holder, sign, keys))}
    _remote(url, token).ask("POST", f"/v1/objects/{name}/grants", json=body)
    print(f"granted {name[:16]}… to {', '.join(to)}")


def _passed_on(data: bytes, to: list[str], holder: str, sign: str | None, keys: Path | None) -> bytes:
    from chain.sealed.keys import signer
    from chaincode.exchange import To, passing_on
    from crypto import labels
    from crypto.envelope.grants import Grant

    if sign is None or keys is None or len(to) != 1:
        raise typer.BadParameter("to pass an object on give one --to, --sign KEY and --keys FOLDER")
    made = Grant.decode(data)
    message = passing_on(made.object_id, made.digest, To(to[0], made.kid, made.grant_digest), holder)
    return signer(keys, sign).sign(message, labels.EXCHANGE_REGRANT)


@app.command("grants")
def grants(name: IdArgument, url: UrlOption, token: TokenOption, as_json: JsonOption = False) -> None:
    """Who was granted an object, who signed for it, and who lost it, by the ledger."""
    remote, found, after = _remote(url, token), list[dict[str, Any]](), dict[str, str]()
    while True:
        page = remote.ask("GET", f"/v1/objects/{name}/grants", params=after)
        found += page["grants"]
        if page["after"] is None:
            break
        after = {"after": page["after"]}
    say(page | {"grants": found}, as_json, "\n".join(map(_line, found)) or "nobody")


def _line(one: dict[str, Any]) -> str:
    said = ", ".join(f"{d['verdict']}{': ' if d['reason'] else ''}{d['reason']}" for d in one["deliveries"])
    revoked = f", revoked ({one['revoked']['reason']})" if one["revoked"] else ""
    return f"{one['recipient']}  granted by {one['by']}, {said or 'nothing signed for'}{revoked}"


@app.command("receipt")
def receipt(
    name: IdArgument, own: NameOption, sign: SignOption, keys: KeysOption, url: UrlOption, token: TokenOption,
    file: Annotated[Path | None, typer.Option("--file", help="The object as it came; it is opened once more.")] = None,
    granted: GrantOption = None,
    refused: Annotated[str | None, typer.Option("--refused", help="Why you do not take it.")] = None,
) -> None:  # fmt: skip
    """Sign on the ledger that you opened an object, or that you refuse it and why."""
    from chain.sealed.keys import signer
    from chaincode.exchange_records import DeliveryStatement, Verdict
    from crypto import labels

    if (file is None) == (refused is None):
        raise typer.BadParameter("give either --file, the object that you opened, or --refused REASON")
    remote = _remote(url, token)
    if file is not None:
        object_id, digest = _opened(file, keys, granted)
    else:
        object_id, digest = _hash(name), _hash(remote.granted(name)["digest"])
    verdict = Verdict.REFUSED if refused else Verdict.OPENED
    said = DeliveryStatement(object_id, digest, own, verdict, refused or "", time.time_ns() // 1000).encode()
    body = {"statement": _text(said), "signature": _text(signer(keys, sign).sign(said, labels.DELIVERY_RECEIPT))}
    remote.ask("POST", f"/v1/objects/{name}/receipt", json=body)
    print(f"{own} has signed on the ledger: {verdict}")


def _opened(file: Path, keys: Path, granted: Path | None) -> tuple[bytes, bytes]:
    """Id and digest of an object that opens here, all of it."""
    import os

    from chain.sealed.keys import finder
    from chain.sealed.streams import reading
    from crypto.envelope.grants import Grant
    from crypto.envelope.objects import open_object

    by = Grant.decode(_read(granted)) if granted else None
    with reading(file) as (source, _), open(os.devnull, "wb") as nowhere:
        found = open_object(source, nowhere, finder(keys), grant=by)
    return found.object_id, found.digest


@app.command("revoke")
def revoke(
    name: IdArgument,
    recipient: Annotated[str, typer.Argument(help="Name on the ledger.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why, for the ledger.", show_default=False)],
    url: UrlOption, token: TokenOption,
) -> None:  # fmt: skip
    """End a grant: it is delivered no more. What was opened stays opened."""
    from urllib.parse import quote

    path = f"/v1/objects/{name}/grants/{quote(recipient, safe='/')}"
    _remote(url, token).ask("DELETE", path, params={"reason": reason})
    print(f"revoked {name[:16]}… from {recipient}: it is delivered no more. But {OPENED_STAYS}.")


@app.command("check")
def check(
    config: Annotated[Path, typer.Option(help="The gateway's TOML file.", show_default=False)],
) -> None:
    """Read every stored object and compare it with its digest. Exit 0 only when all are whole."""
    from chain.site import Folder
    from gateway.config import load_config
    from gateway.objects.checking import check_objects

    settings = load_config(config)
    count = check_objects(Folder.existing(settings.data), settings)
    print(f"all {count:,} stored objects are whole")


def _remote(url: str, token: str) -> "Objects":
    from gateway.objects.remote import Objects

    return Objects(url, token)


def _hash(text: str) -> bytes:
    from gateway.objects.errors import ObjectError

    try:
        return bytes.fromhex(text)
    except ValueError as e:
        raise ObjectError(f"expected 64 hex digits, got {text!r:.80}") from e


def _read(path: Path) -> bytes:
    from gateway.objects.errors import ObjectError

    try:
        return path.read_bytes()
    except OSError as e:
        raise ObjectError(f"cannot read {path}: {e.strerror}") from e


def _text(data: bytes) -> str:
    from gateway.objects.remote import text

    return text(data)
