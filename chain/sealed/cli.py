"""`sealtrail seal`, `open`, `inspect` and `grant`: sealed objects from file to file (docs/formats/sealed.md).

A result appears under its name when all of it was verified and is on disk; a failure leaves nothing. Errors are told as
one line, and the exit code is then 1.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from crypto.envelope.grants import Grant
    from crypto.keys import PublicKey

FileArgument = Annotated[Path, typer.Argument(help="A sealed object; - for standard input.", show_default=False)]
KeysOption = Annotated[Path | None, typer.Option("--keys", help="Folder of your key store.", show_default=False)]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="File to write.", show_default=False)]
GrantOption = Annotated[
    Path | None, typer.Option("--grant", help="A grant that you were given for this object.", show_default=False)
]
FromOption = Annotated[
    Path | None,
    typer.Option("--from", help="Public key file of the sender who must have signed it.", show_default=False),
]
STANDARD = Path("-")


def seal(
    file: Annotated[Path, typer.Argument(help="What to seal; - for standard input.", show_default=False)],
    to: Annotated[
        list[str], typer.Option("--to", help="Public key file of a recipient; may be repeated.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write; - for standard output.", show_default=False)
    ],
    sign: Annotated[str | None, typer.Option(help="Name of your signature key, with --keys.")] = None,
    keys: KeysOption = None,
) -> None:
    """Seal a file so that exactly its recipients open it. To grant it to others later, name a key of your own too."""
    from chain.sealed.keys import signer
    from chain.sealed.recipients import resolve
    from chain.sealed.streams import reading, writing
    from crypto.envelope import objects

    recipients = resolve(to)
    own = signer(_folder(keys, "--sign needs it"), sign) if sign else None
    with reading(file) as (source, progress), writing(output, file) as target:
        made = objects.seal(source, target, recipients, own, digest=False, progress=progress)
    if output != STANDARD:
        _said(output, f"{made.length:,} bytes, object {made.object_id.hex()[:16]}…, recipients: {len(recipients)}")


def open_command(
    file: FileArgument,
    output: OutputOption,
    keys: KeysOption = None,
    grant: GrantOption = None,
    sender: FromOption = None,
) -> None:
    """Open a sealed object with a key of yours. The result appears when all of it was verified, or not at all."""
    from chain.sealed.keys import finder
    from chain.sealed.streams import reading, writing
    from crypto.envelope import objects

    if output == STANDARD:
        raise typer.BadParameter("content is shown when its last chunk was verified, so it needs a file: give -o FILE")
    find, given, expected = finder(_folder(keys, "it holds the key to open with")), _grant(grant), _sender(sender)
    with reading(file) as (source, progress), writing(output, file) as target:
        found = objects.open_object(
            source, target, find, grant=given, sender=expected, digest=False, progress=progress
        )  # fmt: skip
    _said(output, f"{found.size:,} bytes; {_signed_by(found.header.sender, expected)}")


def inspect(
    file: FileArgument, sender: FromOption = None, as_json: Annotated[bool, typer.Option("--json")] = False
) -> None:
    """Show what anyone can see of a sealed object or a grant: recipients, sizes, digest, who signed it."""
    from chain.sealed.report import about_grant, about_object, as_text
    from chain.sealed.streams import GRANT_START, reading
    from crypto.envelope import objects

    expected = _sender(sender)
    with reading(file) as (source, progress):
        if source.start() == GRANT_START:
            shown = about_grant(_decoded(source.all()))
        else:
            found = objects.inspect(source, progress)
            if expected:
                found.verify(expected)
            shown = about_object(found, verified=expected is not None)
    print(json.dumps(shown, indent=2) if as_json else as_text(shown))


def grant_command(
    file: FileArgument,
    to: Annotated[str, typer.Option("--to", help="Public key file of the new recipient.", show_default=False)],
    output: OutputOption,
    keys: KeysOption = None,
    grant: GrantOption = None,
) -> None:
    """Let one more partner open an object that you can open, without sealing it again. Send both files."""
    from chain.sealed.keys import finder
    from chain.sealed.recipients import resolve
    from chain.sealed.streams import reading
    from crypto.envelope import objects
    from crypto.files import write_durably

    (recipient,) = resolve([to])
    find, given = finder(_folder(keys, "it holds the key to open with")), _grant(grant)
    with reading(file) as (source, progress):
        made = objects.make_grant(source, recipient, find, grant=given, progress=progress)
    write_durably(output, made.encode())
    _said(output, f"object {made.object_id.hex()[:16]}… to {made.kid.hex()[:16]}…")


def _folder(keys: Path | None, why: str) -> Path:
    if keys is None:
        raise typer.BadParameter(f"give --keys FOLDER: {why}")
    return keys


def _grant(path: Path | None) -> "Grant | None":
    from chain.sealed.streams import read_all

    return None if path is None else _decoded(read_all(path))


def _decoded(data: bytes) -> "Grant":
    from crypto.envelope.grants import Grant

    return Grant.decode(data)


def _sender(path: Path | None) -> "PublicKey | None":
    from chain.sealed.keys import verifying_key

    return None if path is None else verifying_key(path)


def _signed_by(sender: object, expected: "PublicKey | None") -> str:
    if expected:
        return f"signed by {expected.kid.hex()[:16]}…"
    return "its sender's signature was not verified (give --from)" if sender else "not signed"


def _said(output: Path, what: str) -> None:
    print(f"wrote {output} ({what})")
