"""Keys of a one-way gateway: what it writes is sealed to recipients, and it cannot read it itself.

Each subject has a fresh key in each epoch. It lies in the database once for every recipient, sealed to that one's
encapsulation key; the gateway has it in memory until the epoch ends, and after a restart not at all. A subject's lock,
32 random bytes that are no secret, goes into each sealing: without it no recipient's key opens anything, so destroying
the lock erases the subject. Trusted: the recipients' public keys. Not trusted: the rows.
"""

import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from chain.errors import SealedError
from chain.store.database import Database
from crypto import cbor, hpke, labels
from crypto.at_rest import KEY_BYTES, AtRestKey, new_key
from crypto.envelope.header import KeyFinder
from crypto.kem import KemPrivateKey, KemPublicKey

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS sealed_key (subject INTEGER NOT NULL, first_leaf INTEGER NOT NULL, kid BLOB NOT NULL,"
    " body BLOB NOT NULL, PRIMARY KEY (subject, first_leaf, kid)) WITHOUT ROWID",
)
LOCK_BYTES = 32
MARK = "@"  # behind a subject's name where it is sealed to recipients; no source and no person has one in its name
_OPENED = 1024
_RECIPIENTS = 64


@dataclass(frozen=True, slots=True)
class Sealing:
    """To whom everything that is written is sealed, and after how many seconds the keys are forgotten."""

    to: tuple[KemPublicKey, ...]
    epoch_s: float


class Epochs:
    """Makes and opens epoch keys over one database connection. `sealing` is None where nothing is sealed, `find` gives
    recipients' private keys by their ids."""

    def __init__(self, db: Database, sealing: Sealing | None = None, find: KeyFinder | None = None,
                 clock: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self._db, self.sealing, self._clock = db, sealing, clock
        self._find = lru_cache(_RECIPIENTS)(find or _nobody)  # to open a file of the key store takes half a second
        self._keys: dict[int, AtRestKey] = {}  # of the running epoch, by subject
        self._until = 0.0
        self._opened = lru_cache(_OPENED)(self._open)

    def key_for(self, tx: sqlite3.Connection, subject: int, name: str, lock: bytes, first_leaf: int) -> AtRestKey:
        """The subject's key of this epoch; a new one is sealed to all recipients in the same transaction."""
        self.end_if_over()
        known = self._keys.get(subject)
        if known is None:
            assert self.sealing is not None
            key, info = new_key(), _info(name, lock, first_leaf)
            rows = [(subject, first_leaf, to.kid, hpke.seal(to, key, info)) for to in self.sealing.to]
            tx.executemany("INSERT INTO sealed_key VALUES (?, ?, ?, ?)", rows)
            if not self._keys:
                self._until = self._clock() + self.sealing.epoch_s
            known = self._keys[subject] = AtRestKey(key)
        return known

    def end_if_over(self) -> None:
        """Forget the keys of an epoch that is over: from then on only the recipients can read what was written."""
        if self._keys and self._clock() >= self._until:
            self.forget()

    def forget(self) -> None:
        """Forget all keys, also those that a rolled-back transaction made."""
        self._keys.clear()
        self._opened.cache_clear()

    def opened(self, subject: int, name: str, lock: bytes, first_leaf: int) -> AtRestKey:
        """The key of a segment, by one of the recipients' private keys; SealedError where none of them is here."""
        query = "SELECT MAX(first_leaf) FROM sealed_key WHERE subject = ? AND first_leaf <= ?"
        (epoch,) = self._db.connection.execute(query, (subject, first_leaf)).fetchone()
        if epoch is None:
            raise SealedError("no recipient's sealed key is stored for it", ())
        return self._opened(subject, name, lock, epoch)

    def _open(self, subject: int, name: str, lock: bytes, epoch: int) -> AtRestKey:
        query = "SELECT kid, body FROM sealed_key WHERE subject = ? AND first_leaf = ?"
        rows = self._db.connection.execute(query, (subject, epoch)).fetchall()
        for kid, body in rows:
            if key := self._find(kid):
                return AtRestKey(hpke.open_sealed(key, body, _info(name, lock, epoch)))
        kids = tuple(kid for kid, _ in rows)
        named = ", ".join(f"{kid.hex()[:16]}…" for kid in kids)
        raise SealedError(f"sealed to the holders of {named}: give --keys with one of these", kids)


def _nobody(kid: bytes) -> KemPrivateKey | None:
    """Where no private key is here."""
    return None


def new_lock() -> bytes:
    return secrets.token_bytes(LOCK_BYTES)


def is_lock(stored: bytes | None) -> bool:
    """Whether a subject's row holds a lock and not a wrapped key, which is longer."""
    return stored is not None and len(stored) == LOCK_BYTES


def _info(name: str, lock: bytes, epoch: int) -> bytes:
    return labels.EPOCH_KEY + b"\x00" + cbor.encode([name, lock, epoch])


assert LOCK_BYTES < KEY_BYTES + 28  # nonce and tag of a wrapped key
