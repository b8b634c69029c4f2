"""A site's data directory: where each file is, who may open it, and the parts of its database together.

One process writes (an advisory lock refuses a second gateway on the same folder); readers open the database
read-only beside it. Keys are made here on first use and never leave the folder.
"""

import fcntl
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType

from chain.errors import StoreError
from chain.event import Span
from chain.log import checkpoints, tree
from chain.log.checkpoints import Checkpoints
from chain.log.reader import LogReader
from chain.log.tree import Log
from chain.record import content_hash_of
from chain.site_keys import KeyFolder
from chain.store import epochs, erasures, notices, payloads, ranges, seals
from chain.store.database import UNREADABLE, Database
from chain.store.epochs import Epochs, Sealing
from chain.store.erasures import Erasures
from chain.store.notices import Notices
from chain.store.payloads import Payloads
from chain.store.ranges import Ranges
from chain.store.seals import Seals
from chain.store.segment import StoredEvent
from crypto.at_rest import KEY_BYTES
from crypto.envelope.header import KeyFinder
from crypto.errors import DecryptionError
from crypto.files import secret_at, write_durably
from crypto.keys import PrivateKey
from crypto.note import NoteSigner, VerifierKey

SCHEMA = (
    *tree.SCHEMA, *checkpoints.SCHEMA, *payloads.SCHEMA, *ranges.SCHEMA, *seals.SCHEMA, *notices.SCHEMA,
    *erasures.SCHEMA, *epochs.SCHEMA,
)  # fmt: skip
SHARED, NAME = "shared-ledger", "name"  # files: where a shared ledger is, in a site; its name, in the ledger's folder
ORIGIN = re.compile(r"[a-z0-9][a-z0-9.:_/-]{0,127}")


class Folder:
    """The layout of a data directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.keys = root / "keys"
        self.database = root / "site.db"
        self.index = root / "index.db"
        self.events = root / "events.db"
        self.access = root / "access.db"
        self.outbox = root / "outbox.db"
        self.captures = root / "captures.db"
        self.queries = root / "queries.db"
        self.erasures = root / "erasures.json"  # in a copy that was put back: what was erased after it was made
        self.witness_policy = root / "witness.policy"  # the gateway's, as it was at its last start

    @classmethod
    def create(cls, root: Path, origin: str) -> "Folder":
        """Open the folder, making it and its keys on first use. The origin is the log's name for ever."""
        if not ORIGIN.fullmatch(origin):
            raise StoreError(f"a log origin is like plant-7.example/line-3: lower case, no spaces; got {origin!r}")
        folder = cls(root)
        try:
            folder.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as e:
            raise StoreError(f"cannot make the data directory {root}: {e.strerror}") from e
        name = root / "origin"
        if not name.exists():
            write_durably(name, origin.encode() + b"\n")
        if folder.origin != origin:
            raise StoreError(f"{root} belongs to the log {folder.origin!r}, not {origin!r}; a log keeps its name")
        folder.site_key()  # before there is a database
        return folder

    @classmethod
    def existing(cls, root: Path) -> "Folder":
        """Open a folder that a gateway made before."""
        if not (root / "origin").is_file():
            raise StoreError(f"{root} is not a Sealtrail data directory: it has no file named origin")
        return cls(root)

    @cached_property
    def origin(self) -> str:
        """The log's name for ever, so it is read once: who asks for the state needs no file for it."""
        return (self.root / "origin").read_text().strip()

    @cached_property
    def shared_ledger(self) -> Path | None:
        """The folder of the embedded ledger that this site shares with others on its machine, if it does."""
        named = self.root / SHARED
        return (self.root / named.read_text().strip()).resolve() if named.is_file() else None

    def share_ledger(self, folder: Path, name: str) -> None:
        """Anchor on the embedded ledger in `folder`, made there under this name on first use, from the first start
        on."""
        try:
            if not (folder / NAME).exists():  # the last thing that is made
                (folder / "keys").mkdir(parents=True, exist_ok=True, mode=0o700)
                with Lock(folder):  # two that start at once do not make two sets of keys: one of them is refused
                    KeyFolder(folder / "keys", name).signers("ledger", name, create=True)
                    write_durably(folder / NAME, name.encode() + b"\n")
        except OSError as e:
            raise StoreError(f"cannot make the shared ledger {folder}: {e.strerror}") from e
        write_durably(self.root / SHARED, f"{os.path.relpath(folder, self.root)}\n".encode())
        self.__dict__.pop("shared_ledger", None)

    @property
    def ledger(self) -> Path:
        """Where the embedded ledger is, or what is kept here of another one."""
        return self.shared_ledger or self.root / "ledger"

    @property
    def key_folder(self) -> KeyFolder:
        """The keys that this site signs with."""
        return KeyFolder(self.keys, self.origin)

    def log_signers(self, *, create: bool = False) -> tuple[NoteSigner, ...]:
        """The log's signers; all of them sign every checkpoint."""
        return self.key_folder.log_signers(create=create)

    def ledger_signers(self, *, create: bool = False) -> tuple[NoteSigner, ...]:
        """The embedded ledger's signers."""
        if self.shared_ledger is not None:
            return KeyFolder(self.shared_ledger / "keys", self.ledger_name).signers("ledger", self.ledger_name)
        return self.key_folder.ledger_signers(create=create)

    @property
    def ledger_name(self) -> str:
        if self.shared_ledger is not None:
            return (self.shared_ledger / NAME).read_text().strip()
        return f"{self.origin}/ledger"

    def gateway_key(self, *, create: bool = False) -> PrivateKey:
        """Signs acknowledgements to sources and this gateway's ledger transactions."""
        return self.key_folder.gateway_key(create=create)

    def site_key(self) -> bytes:
        """Wraps the keys of payloads at rest. Made with a new site; one that is lost is never made anew, because
        what was stored under it would silently stay closed."""
        path = self.keys / "site.key"
        if self.database.exists() and not path.exists():
            raise StoreError("keys/site.key is gone, and the payloads in site.db open with no other: restore it")
        return secret_at(path, KEY_BYTES)

    def log_vkeys(self) -> tuple[VerifierKey, ...]:
        return tuple(signer.vkey for signer in self.log_signers())


class Lock:
    """Held by the one process that may write in a data directory; released when that process ends."""

    def __init__(self, root: Path) -> None:
        try:
            self._descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as e:
            raise StoreError(f"cannot write in {root}: {e.strerror}; is its disk full or read-only?") from e
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            os.close(self._descriptor)
            raise StoreError(f"another gateway runs on {root}; stop it first, or choose another data directory") from e

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()

    def release(self) -> None:
        os.close(self._descriptor)


@dataclass(frozen=True, slots=True)
class SiteWriter:
    """All parts of the site's database over one writing connection; one thread owns it."""

    db: Database
    log: Log
    entries: LogReader
    checkpoints: Checkpoints
    payloads: Payloads
    ranges: Ranges
    seals: Seals
    notices: Notices
    erasures: Erasures

    @classmethod
    def open(cls, folder: Folder, sealing: Sealing | None = None) -> "SiteWriter":
        """`sealing`: to whom payloads are sealed that nobody here shall read, and for how long one key is used."""
        db = Database(folder.database, SCHEMA)
        try:
            return cls(
                db, Log(db), LogReader(db), Checkpoints(db), Payloads(db, folder.site_key(), Epochs(db, sealing)),
                Ranges(db), Seals(db), Notices(db), Erasures(db),
            )  # fmt: skip
        except UNREADABLE as e:
            db.close()
            raise StoreError(f"{folder.database.name} cannot be read: {e}; run sealtrail fsck") from e

    def forget_cached(self) -> None:
        """After a rolled-back transaction: memory must not know what the disk does not."""
        self.payloads.forget_cached()
        self.ranges.forget_cached()


@dataclass(frozen=True, slots=True)
class SiteReader:
    """All parts over one read-only connection; open one a thread."""

    db: Database
    entries: LogReader
    checkpoints: Checkpoints
    payloads: Payloads
    ranges: Ranges
    seals: Seals
    notices: Notices
    erasures: Erasures

    @classmethod
    def open(cls, folder: Folder, keys: KeyFinder | None = None) -> "SiteReader":
        """`keys` finds recipients' private keys, for payloads that are sealed to them. Who has one needs no key of the
        site."""
        site_key = bytes(KEY_BYTES) if keys and not folder.keys.exists() else folder.site_key()
        db = Database(folder.database, readonly=True)
        payloads = Payloads(db, site_key, Epochs(db, find=keys))
        return cls(
            db, LogReader(db), Checkpoints(db), payloads, Ranges(db), Seals(db), Notices(db), Erasures(db)
        )  # fmt: skip

    def content_hashes(self, source: str, span: Span) -> list[bytes] | None:
        """Content hashes of consecutive events of a source, read from the log; None where one is missing."""
        hashes: dict[int, bytes] = {}
        for run in self.ranges.inside(source, span):
            first, end = max(run.first, span.first), min(run.end, span.first + span.count)
            leaves = self.entries.entries(run.leaf + first - run.first, run.leaf + end - run.first)
            hashes.update(zip(range(first, end), map(content_hash_of, leaves), strict=True))
        return [hashes[seq] for seq in sorted(hashes)] if len(hashes) == span.count else None

    def stored(self, leaf: int) -> StoredEvent | None:
        """The stored event of a leaf; None where it has no payload, or one that does not open here: erased, or sealed
        to others."""
        try:
            segment = self.payloads.segment_of(leaf)
        except DecryptionError:
            return None
        return segment.events[leaf - segment.first_leaf] if segment else None

    def close(self) -> None:
        self.db.close()
