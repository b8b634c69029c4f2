"""The subcommand `disclose`: chosen fields of chosen records for a named auditor, as one file that verifies offline."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.options import DataOption, JsonOption

Moment = Annotated[str | None, typer.Option(help="Time with offset, like 2026-11-23T06:00:00Z.")]


def disclose(
    data: DataOption,
    record: Annotated[list[str] | None, typer.Option(help="Record id, or a range like 7-12; may be repeated.")] = None,
    source: Annotated[str | None, typer.Option(help="Instead: all events of this source.")] = None,
    kind: Annotated[str | None, typer.Option(help="Instead: all events of this kind.")] = None,
    since: Moment = None,
    until: Moment = None,
    field: Annotated[list[str] | None, typer.Option(help="Field to disclose; may be repeated.")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="All fields and the events' exact bytes.")] = False,
    to: Annotated[
        str, typer.Option(help="Who it is for: a name, or the auditor's public key file, to which it is then sealed.")
    ] = "whoever holds it",
    reason: Annotated[str, typer.Option(help="Why; the gateway signs it.")] = "no reason was given",
    seal: Annotated[bool, typer.Option(help="Seal the file to the auditor's key, where it is one to seal to.")] = True,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")] = None,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="Private keys, for payloads sealed to recipients.")
    ] = None,
    list_made: Annotated[bool, typer.Option("--list", help="Print what was disclosed to whom, newest first.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the proof of chosen fields for an auditor, signed by the gateway. Without a field: the records alone."""
    if list_made:
        _list(data, as_json)
        return
    if output is None:
        raise typer.BadParameter("a disclosure needs --output")
    if everything and field:
        raise typer.BadParameter("give --field or --everything, not both")
    choice = _choice(record, source, kind, since, until)
    fields = None if everything else field or []
    found = _make(data, choice, fields, (to, reason), output, keys, seal)
    if as_json:
        import json

        print(json.dumps(found))
        return
    for leaf in found["erased"]:
        typer.echo(f"record {leaf} was erased: it is in the file without content", err=True)
    print(f"wrote {output} ({found['bytes']:,} bytes, {found['records']:,} records)")
    first = f"sealtrail open {output} --keys DIR -o FILE; " if found["sealed"] else ""
    print(f"check it with: {first}sealtrail verify {'FILE' if first else output} --policy POLICY")


def _choice(
    record: list[str] | None, source: str | None, kind: str | None, since: str | None, until: str | None
) -> Any:
    from chain.disclosing import Choice, numbers
    from gateway.query.kinds import kind_code

    filters = (source, kind, since, until)
    if bool(record) == any(value is not None for value in filters):
        raise typer.BadParameter("choose either by --record, or by --source, --kind, --since and --until")
    code = None if kind is None else kind_code(kind)
    return Choice(numbers(record or ()), source, code, _us(since), _us(until))


def _us(moment: str | None) -> int | None:
    from datetime import datetime

    if moment is None:
        return None
    try:
        at = datetime.fromisoformat(moment)
    except ValueError as e:
        raise typer.BadParameter(f"expected a time like 2026-11-23T06:00:00Z, got {moment[:40]!r}") from e
    if at.tzinfo is None:
        raise typer.BadParameter(f"the time {moment} needs an offset, like Z or +01:00")
    return int(at.timestamp() * 1_000_000)


def _make(
    data: Path, choice: Any, fields: list[str] | None, purpose: tuple[str, str], output: Path, keys: Path | None,
    seal: bool,
) -> dict[str, Any]:  # fmt: skip
    from contextlib import closing
    from hashlib import sha256

    from chain.disclosing import Purpose, build_disclosure
    from chain.errors import ReceiptError
    from chain.ledger.reading import open_reader
    from chain.sealed.keys import finder
    from chain.site import Folder, SiteReader
    from crypto.files import write_durably
    from gateway.access import Access, MadeDisclosure, now_us

    folder, key = Folder.existing(data), _key(purpose[0])
    to = Purpose(key.name if key else purpose[0], purpose[1], key.key.kid if key else None)
    private = finder(keys) if keys else None
    with closing(SiteReader.open(folder, private)) as reader, closing(open_reader(folder)) as ledger:
        leaves = choice.leaves(reader)
        content, erased = build_disclosure(reader, ledger, folder.origin, leaves, fields, to, folder.gateway_key())
    if fields and len(erased) == len(leaves):
        raise ReceiptError("the content of all these records was erased; nothing of it can be disclosed")
    shown, digest = "everything" if fields is None else ", ".join(fields), sha256(content).digest()
    made = MadeDisclosure(now_us(), to.to, to.reason, len(leaves), leaves[0], leaves[-1], shown, digest)
    with closing(Access(folder)) as access:
        access.note_disclosure(made)  # first: what left the house is on the list, whatever happens next
    sealed = _sealed(content, key) if seal and key else None
    write_durably(output, sealed or content, mode=0o600)
    return {
        "bytes": len(sealed or content), "records": len(leaves), "erased": erased, "digest": digest.hex(),
        "sealed": sealed is not None,
    }  # fmt: skip


def _key(to: str) -> Any:
    """The auditor's key, where `to` is the file of one."""
    from crypto.keystore.public import read_public

    return read_public(Path(to)) if Path(to).is_file() else None


def _sealed(content: bytes, to: Any) -> bytes | None:
    """The file as a sealed object that only the auditor opens; None where the key is one that signs."""
    import io

    from crypto.envelope import objects
    from crypto.kem import KemPublicKey

    if not isinstance(to.key, KemPublicKey):
        return None
    target = io.BytesIO()
    objects.seal(io.BytesIO(content), target, [to.key], digest=False)
    return target.getvalue()


def _list(data: Path, as_json: bool) -> None:
    import json
    from contextlib import closing
    from dataclasses import asdict

    from chain.checks import moment
    from chain.site import Folder
    from gateway.access import Access

    with closing(Access(Folder.existing(data))) as access:
        found = access.disclosures()
    if as_json:
        print(json.dumps({"disclosures": [asdict(made) | {"digest": made.digest.hex()} for made in found]}, indent=2))
        return
    for m in found:
        print(f"{moment(m.at_us)}  {m.made_for}  {m.records:,} records {m.first} to {m.last}  {m.fields}  {m.reason}")
