"""Subcommands over a site's evidence: receipt, verify, policy, log, fsck.

`verify` opens no socket and reads the receipts and the policy only. Exit codes of verify: 0 valid, 3 invalid,
4 untrusted, 5 incomplete, 6 doubtful; of every command: 1 for an error, 2 for wrong usage.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from chain.verify import Verifier
    from crypto.envelope.header import KeyFinder

DataOption = Annotated[Path, typer.Option("--data", help="Data directory of a gateway.", show_default=False)]
KeysOption = Annotated[
    Path | None, typer.Option("--keys", help="Folder of a recipient's private keys, for payloads sealed to it.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
policy = typer.Typer(help="The trust policy that an auditor needs.", no_args_is_help=True)
log = typer.Typer(help="Keys and proofs of the log.", no_args_is_help=True)


def receipt(
    record: Annotated[str, typer.Argument(help="Record id, as `sealtrail records` lists it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    data: Annotated[Path | None, typer.Option(help="Data directory of the gateway.")] = None,
    url: Annotated[str | None, typer.Option(help="URL of a gateway instead of a data directory.")] = None,
    token: Annotated[str, typer.Option(help="API token, with --url.", envvar="SEALTRAIL_TOKEN")] = "",
    disclose: Annotated[list[str] | None, typer.Option(help="Prove only this field; may be repeated.")] = None,
    tlog_proof: Annotated[bool, typer.Option("--tlog-proof", help="Write a C2SP tlog-proof instead.")] = False,
    keys: KeysOption = None,
) -> None:
    """Write the receipt of one record: its whole chain of proof in one file."""
    from crypto.files import write_durably

    if (data is None) == (url is None):
        raise typer.BadParameter("give either --data or --url")
    wanted = (_index(record), disclose or [], tlog_proof)
    content = _receipt_from(data, *wanted, keys) if data else _fetch(url or "", token, *wanted)
    write_durably(output, content)
    print(f"wrote {output} ({len(content):,} bytes); check it with: sealtrail verify {output} --policy POLICY")


def _receipt_from(data: Path, index: int, disclose: list[str], tlog_proof: bool, keys: Path | None) -> bytes:
    from chain.ledger.reading import open_reader
    from chain.receipts import ReceiptBuilder
    from chain.site import Folder, SiteReader

    folder = Folder.existing(data)
    reader, ledger = SiteReader.open(folder, _private(keys)), open_reader(folder)
    builder = ReceiptBuilder(reader, ledger)
    return builder.tlog_proof(index).encode() if tlog_proof else builder.build(index, disclose or None).to_json()


def _fetch(url: str, token: str, index: int, disclose: list[str], tlog_proof: bool) -> bytes:
    from chain.errors import ReceiptError
    from chain.remote import Remote

    place, headers = ("proof", {"Accept": "text/plain"}) if tlog_proof else ("receipt", {})
    path = f"/v1/records/{index}/{place}"
    return Remote(url, token, ReceiptError).fetch("GET", path, params={"disclose": disclose}, headers=headers)


def _private(keys: Path | None) -> "KeyFinder | None":
    from chain.sealed.keys import finder

    return finder(keys) if keys else None


def _index(record: str) -> int:
    if not record.isascii() or not record.isdigit() or len(record) > 19:
        raise typer.BadParameter(f"a record id is a number, got {record[:40]!r}")
    return int(record)


def verify(
    files: Annotated[list[Path], typer.Argument(help="Receipt files.", metavar="FILE...", show_default=False)],
    policy: Annotated[Path, typer.Option(help="Policy file: the keys and the quorum you trust.")],
    explain: Annotated[bool, typer.Option("--explain", help="Say what each link proves, and what not.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Verify receipts and disclosures offline: exit 0 valid, 3 invalid, 4 untrusted, 5 incomplete, 6 doubtful. Of
    several: the worst, which is 1 where a file is neither."""
    from chain.policy import parse_policy
    from chain.verify import Verifier

    verifier = Verifier(parse_policy(_read(policy)))
    if len(files) > 1:
        sys.exit(_verify_several(files, verifier, explain, as_json))
    code, text, found = _verified(_read(files[0]), verifier, explain)
    print(json.dumps(found, indent=2, ensure_ascii=False) if as_json else text)
    sys.exit(code)


def _verify_several(files: list[Path], verifier: "Verifier", explain: bool, as_json: bool) -> int:
    """Each report under the name of its file; a file that is no receipt does not end the rest. The worst exit code."""
    from chain.report import printable
    from chain.verify import EXIT_CODE, WORST_FIRST

    codes, found = set(), []
    for file in files:
        code, text, item = _verify_one(file, verifier, explain)
        codes.add(code)
        if as_json:
            found.append({"file": str(file)} | item)
        else:
            print(f"{printable(str(file))}\n{text}")
    if as_json:
        print(json.dumps(found, indent=2))  # in ASCII: a file's name may hold what UTF-8 cannot
    return next(code for code in (1, *(EXIT_CODE[outcome] for outcome in WORST_FIRST)) if code in codes)


def _verify_one(file: Path, verifier: "Verifier", explain: bool) -> tuple[int, str, dict[str, Any]]:
    from chain.errors import ReceiptError
    from chain.report import printable

    try:
        return _verified(_read(file), verifier, explain)
    except ReceiptError as e:
        return 1, printable(f"error: {e}"), {"result": "error", "error": str(e)}


def _verified(data: bytes, verifier: "Verifier", explain: bool) -> tuple[int, str, dict[str, Any]]:
    """Of a receipt or a disclosure: exit code, and the report as people and as programs read it."""
    from chain import report
    from chain.disclosed import verify_disclosure
    from chain.disclosure import MARK, parse_disclosure
    from chain.receipt import parse_receipt
    from chain.verify import EXIT_CODE

    if data.startswith(MARK):
        made = verify_disclosure(parse_disclosure(data), verifier)
        text = report.disclosure_as_text(made, explain=explain)
        return EXIT_CODE[made.outcome], text, report.disclosure_as_json(made)
    found = verifier.verify(parse_receipt(data))
    return EXIT_CODE[found.outcome], report.as_text(found, explain=explain), report.as_json(found)


def _read(path: Path) -> bytes:
    from chain.errors import ReceiptError

    try:
        return path.read_bytes()
    except OSError as e:
        raise ReceiptError(f"cannot read {path}: {e.strerror}") from e


@policy.command("export")
def export(
    data: DataOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    plain: Annotated[bool, typer.Option(help="Only C2SP tlog-policy lines, for other tools.")] = False,
) -> None:
    """Write the policy that trusts this gateway's log and ledger. Give it to auditors by a way they trust."""
    from chain.policies import site_policy
    from chain.site import Folder
    from crypto.files import write_durably

    folder = Folder.existing(data)
    write_durably(output, site_policy(folder).to_text(plain).encode("utf-8", "surrogateescape"))
    print(f"wrote {output}: the keys of {folder.origin} and of its ledger")


@policy.command("follow")
def follow(
    policy: Annotated[Path, typer.Argument(help="The policy that you trust.")],
    changes: Annotated[list[Path], typer.Argument(help="Files of changed keys of the site, oldest first.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
) -> None:
    """Follow a site from the keys in your policy to its new ones, by what both signed and its ledger keeps. Do so
    while you still trust the old keys' algorithm."""
    from chain.follow import follow as followed
    from chain.follow import parse_key_change
    from chain.policy import parse_policy
    from crypto.files import write_durably

    found = parse_policy(_read(policy))
    for change in changes:
        found = followed(found, parse_key_change(_read(change)))
    write_durably(output, found.to_text().encode("utf-8", "surrogateescape"))
    print(f"wrote {output}: {len(changes)} change(s) of keys followed")


@log.command("vkey")
def vkey(
    data: DataOption,
    every: Annotated[bool, typer.Option("--all", help="Also the ML-DSA-44 key.")] = False,
) -> None:
    """Print the log's verifier key (C2SP vkey; Ed25519 where it has one): what other tools check checkpoints with."""
    from chain.site import Folder

    for key in Folder.existing(data).log_vkeys()[: None if every else 1]:
        print(key)


def encrypt_keys(
    data: Annotated[Path | None, typer.Option("--data", help="Data directory of a stopped gateway.")] = None,
    device: Annotated[Path | None, typer.Option("--folder", help="Folder of a stopped device, instead.")] = None,
) -> None:
    """Lock the key files of a gateway or a device under a passphrase. Everything that reads them needs it then."""
    if (data is None) == (device is None):
        raise typer.BadParameter("give either --data or --folder")
    names = _lock_site(data) if data else _lock_device(device or Path())
    print(f"locked {', '.join(names)}" if names else "all files were locked already")


def _lock_site(data: Path) -> list[str]:
    from chain.site import Folder, Lock
    from crypto.keystore.passphrase import Passphrase
    from crypto.keystore.vault import lock_all

    folder = Folder.existing(data)
    with Lock(folder.root):
        return lock_all(folder.keys, Passphrase())


def _lock_device(folder: Path) -> list[str]:
    from chain.errors import StoreError
    from crypto.keystore.passphrase import Passphrase
    from crypto.keystore.vault import lock_all

    if not (folder / "device.json").is_file():
        raise StoreError(f"{folder} holds no enrolled device: it has no file named device.json")
    return lock_all(folder, Passphrase())


def fsck(
    data: DataOption,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint kept elsewhere, which the log must contain; may be repeated."),
    ] = None,
    keys: KeysOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rehash everything from payloads to the ledger. Exit 0 only when all is whole."""
    from dataclasses import asdict

    from chain.fsck import fsck as check
    from chain.site import Folder

    progress = _progress if sys.stderr.isatty() and not as_json else _silent
    report = check(Folder.existing(data), progress, [_read(path) for path in checkpoint or ()], _private(keys))
    if as_json:
        print(json.dumps(asdict(report) | {"whole": True}, indent=2))
    else:
        print(
            f"{report.origin} is whole: {report.entries:,} log entries ({report.events:,} events, {report.seals:,}"
            f" seals), {report.checkpoints:,} checkpoints, {report.transactions:,} ledger transactions"
        )
        if report.erased:
            print(f"{report.erased:,} payloads were erased, as entries of the log say")
        if report.sealed:
            print(f"{report.sealed:,} payloads are sealed to recipients and were not looked into; --keys opens them")


def _progress(what: str, done: int, total: int) -> None:
    print(f"\r{what}: {done:,} of {total:,}\x1b[K", end="", file=sys.stderr, flush=True)


def _silent(what: str, done: int, total: int) -> None:
    """No progress where nobody watches."""
