"""`sealtrail partner`: partners come onto the ledger with their own signatures, and others look up their keys.

The partner makes a request file with its key store; the gateway's operator adds it, and vouches with that for
who sent it.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.objects.cli import KeysOption, SignOption, TokenOption
from gateway.options import JsonOption, UrlOption

FORMAT = "sealtrail-partner/v1"
MAX_BYTES = 64 * 1024
NameArgument = Annotated[str, typer.Argument(help="Name on the ledger, like hospital.", show_default=False)]
KemOption = Annotated[str, typer.Option(help="Name of your KEM key.", show_default=False)]

app = typer.Typer(help="Partners on the ledger and the keys that others seal to.", no_args_is_help=True)


@app.command("request")
def request(
    name: NameArgument,
    origin: Annotated[str, typer.Option(help="Origin of the gateway's log that is to enrol you.", show_default=False)],
    sign: SignOption, kem: KemOption, keys: KeysOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.", show_default=False)],
) -> None:  # fmt: skip
    """Ask to be enrolled: a file with your public keys and your signatures. It holds no secret."""
    from chain.sealed.keys import signer
    from chaincode.identities import enrolment
    from crypto import labels
    from crypto.files import write_durably

    key = signer(keys, sign)
    public, own = key.public, _kem(keys, kem)
    body = {
        "format": FORMAT,
        "partner": {
            "name": name, "algorithm": str(public.algorithm), "public_key": _text(public.raw),
            "possession": _text(key.sign(enrolment(name, origin, public), labels.ENROL)),
        },
        "kem": _published(name, key, own, 0),
    }  # fmt: skip
    write_durably(output, json.dumps(body, indent=2).encode() + b"\n")
    print(f"wrote {output}; give it to the operator of {origin}, who compares {public.kid.hex()[:16]}… with you")


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="The partner's request file.", show_default=False)], url: UrlOption,
    token: TokenOption,
) -> None:  # fmt: skip
    """Enrol the partner of a request file on the ledger, with its KEM key."""
    from gateway.objects.remote import Objects, partner_path

    body, remote = _request(file), Objects(url, token)
    name = body["partner"]["name"]
    remote.ask("POST", "/v1/partners", json=body["partner"])
    remote.ask("POST", f"{partner_path(name)}/keys", json=body["kem"])
    print(f"{name} is enrolled; a token for it: sealtrail token new {name} --scope partner --data DIR")


@app.command("show")
def show(name: NameArgument, url: UrlOption, token: TokenOption, as_json: JsonOption = False) -> None:
    """Show a partner's keys, as the ledger has them."""
    from gateway.objects.remote import Objects

    found = Objects(url, token).keys(name)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    signing = found["signing"]
    print(f"{name} signs with {signing['algorithm']} {signing['kid']}" if signing else f"{name} is revoked")
    for key in found["kem_keys"]:
        state = "present" if key["until_us"] is None else f"ended {key['reason']}".rstrip()
        print(f"  {key['suite']:<18} {key['kid']}  {state}")


@app.command("publish")
def publish(
    name: NameArgument, sign: SignOption, kem: KemOption, keys: KeysOption, url: UrlOption, token: TokenOption
) -> None:
    """Publish your next KEM key; the one before it counts no more."""
    from chain.sealed.keys import signer
    from gateway.objects.remote import Objects, partner_path

    remote = Objects(url, token)
    count = len(remote.keys(name)["kem_keys"])
    remote.ask("POST", f"{partner_path(name)}/keys", json=_published(name, signer(keys, sign), _kem(keys, kem), count))
    print(f"{name} is sealed to under {kem} from now on")


@app.command("withdraw")
def withdraw(
    name: NameArgument, reason: Annotated[str, typer.Option(help="Why, for the ledger.", show_default=False)],
    sign: SignOption, keys: KeysOption, url: UrlOption, token: TokenOption,
) -> None:  # fmt: skip
    """Withdraw your present KEM key: nobody is to seal to it. What was sealed to it stays open to who has it."""
    from chain.sealed.keys import signer
    from chaincode.kem_keys import withdrawal
    from crypto import labels
    from gateway.objects.errors import ObjectError
    from gateway.objects.remote import Objects, partner_path

    remote = Objects(url, token)
    current = remote.keys(name)["current"]
    if current is None:
        raise ObjectError(f"{name} has no present KEM key")
    message = withdrawal(name, bytes.fromhex(current["kid"]), reason)
    body = {"reason": reason, "signature": _text(signer(keys, sign).sign(message, labels.KEM_KEY))}
    remote.ask("POST", f"{partner_path(name)}/keys/{current['kid']}/withdraw", json=body)
    print(f"withdrew the KEM key {current['kid'][:16]}… of {name}")


@app.command("login")
def login(
    name: NameArgument,
    data: Annotated[Path, typer.Option("--data", help="Data directory of the gateway.", show_default=False)],
) -> None:
    """Let a partner log in over MQTT under its name, to hear of what it is granted. It may report nothing."""
    from chain.site import Folder
    from gateway.access import Access, SourceSettings

    password = Access(Folder.existing(data)).add_plain(name, SourceSettings(kinds=(), allow_plain=True))
    print(f"password of {name}, shown once: {password}")
    print(f"mosquitto_sub -u {name} -P PASSWORD -t 'st/1/{name}/objects/#'")


def _published(name: str, key: Any, kem: Any, count: int) -> dict[str, str]:
    """What the KEM key's owner signs, as REST takes it."""
    from chaincode.kem_keys import publication
    from crypto import labels

    signature = key.sign(publication(name, kem, count), labels.KEM_KEY)
    return {"suite": str(kem.suite), "public_key": _text(kem.raw), "signature": _text(signature)}


def _kem(keys: Path, name: str) -> Any:
    from crypto.errors import KeyMaterialError
    from crypto.kem import KemPublicKey
    from crypto.keystore.passphrase import Passphrase
    from crypto.keystore.store import KeyStore

    key = KeyStore(keys, Passphrase()).public(name).key
    if not isinstance(key, KemPublicKey):
        raise KeyMaterialError(f"{name} is a {key.algorithm} key: it signs, nothing can be sealed to it")
    return key


def _request(file: Path) -> Any:
    from gateway.objects.errors import ObjectError

    try:
        data = file.read_bytes()
        body = json.loads(data) if len(data) <= MAX_BYTES else None
    except (OSError, ValueError, RecursionError) as e:
        raise ObjectError(f"cannot read {file}: {e}") from e
    body = body if type(body) is dict and body.get("format") == FORMAT else {}
    partner, kem = body.get("partner"), body.get("kem")
    if type(partner) is not dict or type(kem) is not dict or type(partner.get("name")) is not str:
        raise ObjectError(f"{file} is no request of a partner (sealtrail partner request)")
    return body


def _text(data: bytes) -> str:
    from gateway.objects.remote import text

    return text(data)
