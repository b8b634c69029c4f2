"""Alterations of whole files: keys, the origin, databases that are no databases, and a receipt on its way."""

import re
from contextlib import closing

from chain.ledger.reading import open_reader
from chain.policies import site_policy
from chain.receipts import ReceiptBuilder
from chain.site import SiteReader
from crypto.errors import SealtrailError
from gateway.drill.alteration import NotApplicableError, Trial
from gateway.drill.checks import POLICY_FILE, RECEIPT_FILE, require_valid
from gateway.drill.rows import opened
from gateway.drill.tables import TILES

_TRIES = 20
_BASE64 = re.compile(rb'"([A-Za-z0-9+/]{16,}={0,2})"')
_NOISE = b"this was a database "


def key_byte(name: str, trial: Trial) -> str:
    """Another byte in the middle of a private file."""
    path = trial.folder.keys / name
    if not path.exists():
        raise NotApplicableError(f"no {name}")
    content = bytearray(path.read_bytes())
    at = len(content) // 2
    content[at] = next(byte for byte in b"AQ" if byte != content[at])
    path.write_bytes(content)
    return f"keys/{name} byte {at}"


def key_for_all(trial: Trial) -> str:
    path = trial.folder.keys / "site.key"
    path.chmod(0o644)
    return "keys/site.key, mode 0644"


def other_origin(trial: Trial) -> str:
    (trial.folder.root / "origin").write_text(trial.untouched.origin + "0\n")
    return "origin"


def no_database(name: str, trial: Trial) -> str:
    path = trial.folder.root / name
    if not path.exists():
        raise NotApplicableError(f"no {path.name}")
    path.write_bytes(_NOISE * 1000)
    return name


def cut_database(name: str, trial: Trial) -> str:
    """The last third of a file is gone, as after a bad copy."""
    path = trial.folder.root / name
    if not path.exists():
        raise NotApplicableError(f"no {path.name}")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    return f"{name}, cut at byte {len(content) * 2 // 3}"


def damaged_page(name: str, trial: Trial) -> str:
    """The page where the table of the log's tiles begins is of no known type, as after a fault of the disk."""
    with opened(trial.folder.root / name) as db:
        page = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (TILES,)).fetchone()[0]
        size = db.execute("PRAGMA page_size").fetchone()[0]
    with (trial.folder.root / name).open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff")
    return f"{name}, page {page}"


def trigger(name: str, trial: Trial) -> str:
    """Something that would act at the next append: lose the tile that was written."""
    with opened(trial.folder.root / name) as db:
        db.execute(f"CREATE TRIGGER helper AFTER INSERT ON {TILES} BEGIN DELETE FROM {TILES} WHERE id = NEW.id; END")
    return f"{name}, a trigger on {TILES}"


def receipt_byte(trial: Trial) -> str:
    """One byte of a valid receipt: in a payload, a record, a seal, a proof, or the ledger's evidence."""
    (trial.kept / POLICY_FILE).write_bytes(site_policy(trial.untouched).to_text().encode())
    index = _valid_receipt(trial)
    path = trial.kept / RECEIPT_FILE
    content = path.read_bytes()
    start, end = trial.random.choice([match.span(1) for match in _BASE64.finditer(content)])
    at = trial.random.randrange(start, end - 4)  # before the padding
    other = b"A" if content[at : at + 1] != b"A" else b"B"
    path.write_bytes(content[:at] + other + content[at + 1 :])
    return f"receipt of record {index}, byte {at}"


def _valid_receipt(trial: Trial) -> int:
    with closing(SiteReader.open(trial.untouched)) as reader, closing(open_reader(trial.untouched)) as ledger:
        builder, size = ReceiptBuilder(reader, ledger), reader.entries.size()
        for index in trial.random.sample(range(size), min(_TRIES, size)):
            try:
                (trial.kept / RECEIPT_FILE).write_bytes(builder.build(index).to_json())
                require_valid(trial.kept)
            except SealtrailError:  # not anchored, not sealed, or erased: another one may be
                continue
            return index
    raise NotApplicableError(f"of {_TRIES} records by chance none has a receipt that proves everything")
