"""The keys that a site signs with, in one folder; and the next ones beside them while a site changes its keys.

Files whose names begin with `next-` are there only during a change. When every part of the site signs with the next
keys, these are written under their own names: from the file `next-promote` on, that is carried to its end by whoever
holds the site's lock next. Private files may be locked, under their own names, so they are written anew and not moved.
The folder is trusted to be ours.
"""

from dataclasses import dataclass
from pathlib import Path

from chain.errors import StoreError
from crypto.files import private_key_at, read_private_key, read_secret, sync_folder, write_durably, write_secret
from crypto.keys import Algorithm, PrivateKey, algorithm_named
from crypto.merkle import MAX_TREE_SIZE
from crypto.note import NoteSigner, SignatureType, VerifierKey

SUITE, FORMER, PROMOTE = "suite", "former", "promote"
GATEWAY = "gateway.pem"
NEXT = "next-"
_NOTE_KEYS = (
    ("ed25519.pem", Algorithm.ED25519, SignatureType.ED25519),
    ("ml-dsa-44.pem", Algorithm.ML_DSA_44, SignatureType.ML_DSA_44_COSIGNATURE),
)


@dataclass(frozen=True, slots=True)
class KeySet:
    """vkeys that all sign the checkpoints of a log, up to the size `until` (None: the present ones)."""

    vkeys: tuple[VerifierKey, ...]
    until: int | None = None


class KeyFolder:
    """One set of a site's keys. `suite` is the algorithm of the gateway's key. C2SP has notes by Ed25519 and by
    ML-DSA-44 only: under a suite of ML-DSA alone the log and the ledger have one key, ML-DSA-44; else both."""

    def __init__(self, path: Path, origin: str, prefix: str = "", suite: Algorithm | None = None) -> None:
        """`prefix` is of all files of the set; `suite` is given where the file that says it is not there yet."""
        self.path, self._origin, self._prefix, self._suite = path, origin, prefix, suite

    def _file(self, name: str) -> Path:
        return self.path / f"{self._prefix}{name}"

    @property
    def suite(self) -> Algorithm:
        """Ed25519 where nothing is said: so it was before there was a choice."""
        if self._suite is not None:
            return self._suite
        path = self._file(SUITE)
        return algorithm_named(path.read_text().strip()) if path.exists() else Algorithm.ED25519

    def gateway_key(self, *, create: bool = False) -> PrivateKey:
        path = self._file(GATEWAY)
        return private_key_at(path, self.suite) if create else read_private_key(path)

    def signers(self, what: str, name: str, *, create: bool = False) -> tuple[NoteSigner, ...]:
        """The signers of the log or of the ledger (`what`)."""
        found = []
        for file, algorithm, kind in _note_keys(self.suite):
            path = self._file(f"{what}-{file}")
            key = private_key_at(path, algorithm) if create else read_private_key(path)
            found.append(NoteSigner(name, kind, key))
        return tuple(found)

    def log_signers(self, *, create: bool = False) -> tuple[NoteSigner, ...]:
        return self.signers("log", self._origin, create=create)

    def ledger_signers(self, *, create: bool = False) -> tuple[NoteSigner, ...]:
        return self.signers("ledger", f"{self._origin}/ledger", create=create)

    # -- a change of keys

    @property
    def next(self) -> "KeyFolder | None":
        """The keys that the site is changing to, if it is."""
        folder = KeyFolder(self.path, self._origin, NEXT)
        return folder if folder._file(SUITE).exists() else None

    def make_next(self, suite: Algorithm) -> "KeyFolder":
        """Make all keys of the next set; the file that says its suite comes last, and makes it one."""
        self.drop_next()
        made = KeyFolder(self.path, self._origin, NEXT, suite)
        made.gateway_key(create=True)
        made.log_signers(create=True)
        made.ledger_signers(create=True)
        write_durably(made._file(SUITE), f"{suite}\n".encode())
        return made

    def drop_next(self) -> None:
        """Of a change that did not happen, or is done. First the file by which it would be one."""
        (self.path / f"{NEXT}{SUITE}").unlink(missing_ok=True)
        sync_folder(self.path)
        for path in self.path.glob(f"{NEXT}*"):
            path.unlink()
        sync_folder(self.path)

    def promote(self, log_size: int) -> None:
        """The next keys take the place of the present ones, which are deleted. `log_size`: up to there the log's
        present keys signed."""
        lines = [f"until {log_size}\n", *(f"{signer.vkey}\n" for signer in self.log_signers())]
        former = self._file(FORMER)
        known = former.read_text() if former.exists() else ""
        write_durably(self.path / f"{NEXT}{FORMER}", (known + "".join(lines)).encode())
        write_durably(self.path / f"{NEXT}{PROMOTE}", b"")
        self.finish()

    def finish(self) -> None:
        """Carry a promotion that was begun to its end."""
        following = self.next
        if following is None or not following._file(PROMOTE).exists():
            return
        wanted = [
            GATEWAY,
            *(f"{what}-{file}" for what in ("log", "ledger") for file, _, _ in _note_keys(following.suite)),
        ]
        for name in wanted:
            write_secret(self._file(name), read_secret(following._file(name)))
        for name in (FORMER, SUITE):
            write_durably(self._file(name), following._file(name).read_bytes())
        for what in ("log", "ledger"):
            for file, _, _ in _NOTE_KEYS:
                if f"{what}-{file}" not in wanted:
                    self._file(f"{what}-{file}").unlink(missing_ok=True)
        sync_folder(self.path)
        self.drop_next()

    def log_key_sets(self) -> list[KeySet]:
        """The present keys of the log, and those that signed before, newest first. In the midst of a change the next
        keys count as present ones, and these as former ones that may have signed anything."""
        sets = [KeySet(tuple(signer.vkey for signer in self.log_signers()))]
        path = self._file(FORMER)
        for line in path.read_text().splitlines() if path.exists() else ():
            word, _, size = line.partition(" ")
            if word == "until" and size.isdecimal():
                sets.insert(1, KeySet((), int(size)))
            elif len(sets) == 1:
                raise StoreError(f"keys/{FORMER}: expected 'until' and a size, got {line[:60]!r}; restore it")
            else:
                sets[1] = KeySet((*sets[1].vkeys, VerifierKey.parse(line)), sets[1].until)
        if (following := self.next) is not None:
            sets[0] = KeySet(sets[0].vkeys, MAX_TREE_SIZE)
            sets.insert(0, KeySet(tuple(signer.vkey for signer in following.log_signers())))
        return sets


def _note_keys(suite: Algorithm) -> tuple[tuple[str, Algorithm, SignatureType], ...]:
    return _NOTE_KEYS if "ed25519" in suite else _NOTE_KEYS[1:]
