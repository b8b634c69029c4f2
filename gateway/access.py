"""Who may do what at this gateway: invitations, device passwords, source settings, API tokens.

Only SHA-256 fingerprints of secrets are stored (all secrets are random, none is chosen by a person). Which
keys a source signs with is not here: that is the contract's identities.
"""

import re
import sqlite3
import time
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock
from typing import Any

import msgspec

from chain.erasing import scrub
from chain.erasure import GATEWAY
from chain.event import source_name
from chain.site import Folder
from chain.store.database import Database
from crypto import tokens
from crypto.errors import SealtrailError
from gateway.preprocess.kind import SUBJECT_PATTERN

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS invitation (fingerprint BLOB PRIMARY KEY, source TEXT NOT NULL, settings BLOB NOT NULL,"
    " expires_us INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS source (name TEXT PRIMARY KEY, settings BLOB NOT NULL, password BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS token (fingerprint BLOB PRIMARY KEY, label TEXT NOT NULL, scopes TEXT NOT NULL,"
    " created_us INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS disclosure (id INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL,"
    " made_for TEXT NOT NULL, reason TEXT NOT NULL, records INTEGER NOT NULL, first INTEGER NOT NULL,"
    " last INTEGER NOT NULL, fields TEXT NOT NULL, digest BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS boot (number INTEGER PRIMARY KEY AUTOINCREMENT)",
)
INVITED_S = 86_400.0
MAX_INVITATIONS = 10_000
MAX_SOURCES = 100_000
MAX_TOKENS = 1000
MAX_DISCLOSURES = 100_000  # then the oldest goes


class AccessError(SealtrailError):
    """A token, code or password is not accepted, or a bound of this table is reached."""


class Scope(StrEnum):
    """What an API token allows."""

    AUDITOR = "auditor"  # read records, payloads, receipts
    OPERATOR = "operator"  # read, and see dead letters, alerts and metrics
    DEVICE_ADMIN = "device-admin"  # invite and revoke sources
    EXCHANGE = "exchange"  # keep, grant and revoke sealed objects; enrol partners
    PARTNER = "partner"  # fetch and sign for what is granted to the name in the token's label
    CAPTURE = "capture"  # capture EPCIS events, under the token's label
    DATA_PROTECTION = "data-protection"  # erase subjects


class SeriesLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Allowed range of one series of readings, in its normalised unit; outside it is an excursion."""

    series: str  # resolved SenML name, or "" for every series of the source
    unit: str
    low: float | None = None
    high: float | None = None


class SourceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an operator decides about a source when inviting it."""

    kinds: tuple[str, ...] = ("reading", "production", "inference")
    allow_plain: bool = False  # bare JSON without numbers and seals, logged as "gateway only"
    limits: tuple[SeriesLimits, ...] = ()
    subject: str = ""  # pseudonym of the person whom all it reports concerns, or erased/… once that was erased
    session_required: bool = False  # what it sends in no session is refused
    alarms: bool = False  # hears the alarms of this gateway


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A stored token: its label and what it allows."""

    label: str
    scopes: frozenset[Scope]


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a redeemed one-time code stands for."""

    source: str
    settings: SourceSettings


@dataclass(frozen=True, slots=True)
class MadeDisclosure:
    """What was shown to whom: when, why, how many records between which two, which fields (empty: everything), and the
    SHA-256 of the file."""

    at_us: int
    made_for: str
    reason: str
    records: int
    first: int
    last: int
    fields: str
    digest: bytes


class Access:
    """Reads and changes the access tables; safe to call from several threads. Reading never waits for a change that
    is being written: logins go on while the disk is slow."""

    def __init__(self, folder: Folder) -> None:
        self._db, self._lock = Database(folder.access, SCHEMA), Lock()
        self._reader, self._read_lock = Database(folder.access, readonly=True), Lock()

    def invite(self, source: str, settings: SourceSettings, *, valid_s: float = INVITED_S) -> str:
        """A one-time code with which a device enrols as `source`. Shown once, stored as a fingerprint. `valid_s` is
        a day at most. What is expired is deleted only for want of room: the clock may be wrong for a while."""
        _require_own(source, settings)
        code, now = tokens.new_code(), now_us()
        row = (tokens.fingerprint(code), source_name(source), msgspec.json.encode(settings), now + int(valid_s * 1e6))
        with self._lock, self._db.transaction() as tx:
            if _count(tx, "invitation") >= MAX_INVITATIONS:
                tx.execute("DELETE FROM invitation WHERE expires_us < ?", (now,))
            _bounded(tx, "invitation", MAX_INVITATIONS)
            tx.execute("INSERT INTO invitation VALUES (?, ?, ?, ?)", row)
        return code

    def invitation(self, code: str) -> Invitation:
        """What this code stands for; AccessError where it is unknown, used or expired. A code that ends later than two
        days from now was made under a clock that ran far ahead, and does not count before its time."""
        query = "SELECT source, settings FROM invitation WHERE fingerprint = ? AND expires_us BETWEEN ? AND ?"
        now = now_us()
        row = self._one(query, tokens.fingerprint(code.strip()), now, now + int(2 * INVITED_S * 1e6))
        if row is None:
            raise AccessError("the enrolment code is unknown, used or expired; ask the operator for a new one")
        return Invitation(row[0], msgspec.json.decode(row[1], type=SourceSettings))

    def redeem(self, code: str) -> str:
        """Use the code up: the source gets its settings and a new password, which is returned and only its
        fingerprint stored. Both happen in one commit, so a code works exactly once."""
        invitation, password = self.invitation(code), tokens.new_token()
        settings = msgspec.json.encode(invitation.settings)
        with self._lock, self._db.transaction() as tx:
            gone = tx.execute("DELETE FROM invitation WHERE fingerprint = ?", (tokens.fingerprint(code.strip()),))
            if gone.rowcount != 1:
                raise AccessError("the enrolment code was used a moment ago; ask the operator for a new one")
            _bounded(tx, "source", MAX_SOURCES)
            row = (invitation.source, settings, tokens.fingerprint(password))
            tx.execute("INSERT OR REPLACE INTO source VALUES (?, ?, ?)", row)
        return password

    def password_matches(self, source: str, password: bytes) -> bool:
        row = self._one("SELECT password FROM source WHERE name = ?", source)
        return row is not None and tokens.matches(password, row[0])

    def add_plain(self, source: str, settings: SourceSettings) -> str:
        """Let a source in without a key: its bare JSON is logged as "gateway only". Returns its password."""
        _require_own(source, settings)
        password = tokens.new_token()
        row = (source_name(source), msgspec.json.encode(settings), tokens.fingerprint(password))
        with self._lock, self._db.transaction() as tx:
            if tx.execute("SELECT 1 FROM source WHERE name = ?", row[:1]).fetchone():
                raise AccessError(f"{source} is enrolled; choose another name")
            _bounded(tx, "source", MAX_SOURCES)
            tx.execute("INSERT INTO source VALUES (?, ?, ?)", row)
        return password

    def settings(self, source: str | None = None) -> dict[str, SourceSettings]:
        """Settings of one enrolled source, or of all."""
        query, values = "SELECT name, settings FROM source", tuple[str, ...]()
        if source is not None:
            query, values = f"{query} WHERE name = ?", (source,)
        with self._read_lock:
            rows = self._reader.connection.execute(query, values).fetchall()
        return {name: msgspec.json.decode(settings, type=SourceSettings) for name, settings in rows}

    def note_disclosure(self, made: MadeDisclosure) -> None:
        """Remember for the operator who was shown what."""
        row = (made.at_us, made.made_for, made.reason, made.records, made.first, made.last, made.fields, made.digest)
        columns = "at_us, made_for, reason, records, first, last, fields, digest"
        with self._lock, self._db.transaction() as tx:
            number = tx.execute(f"INSERT INTO disclosure ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row).lastrowid
            tx.execute("DELETE FROM disclosure WHERE id <= ?", ((number or 0) - MAX_DISCLOSURES,))

    def disclosures(self, limit: int = 1000) -> list[MadeDisclosure]:
        """Newest first."""
        columns = "at_us, made_for, reason, records, first, last, fields, digest"
        with self._read_lock:
            query = f"SELECT {columns} FROM disclosure ORDER BY id DESC LIMIT ?"
            return [MadeDisclosure(*row) for row in self._reader.connection.execute(query, (limit,))]

    def erase(self, subject: str, marked: str) -> None:
        """Put `marked` in place of an erased person's pseudonym in all settings, and leave no copy in the file."""
        run = self._db.connection.execute
        with self._lock:
            run("PRAGMA secure_delete = ON")
            with self._db.transaction() as tx:
                for table in ("source", "invitation"):
                    _write_anew(tx, table, subject, marked)
            run("PRAGMA secure_delete = OFF")
            with self._read_lock:
                scrub(self._db)

    def new_token(self, label: str, scopes: frozenset[Scope]) -> str:
        """A bearer token with these scopes. Shown once, stored as a fingerprint."""
        token = tokens.new_token()
        self.add_token(label, scopes, token)
        return token

    def add_token(self, label: str, scopes: frozenset[Scope], token: str) -> None:
        """Accept this new token from now on."""
        row = (tokens.fingerprint(token), label[:100], " ".join(sorted(scopes)), now_us())
        with self._lock, self._db.transaction() as tx:
            _bounded(tx, "token", MAX_TOKENS)
            tx.execute("INSERT INTO token VALUES (?, ?, ?, ?)", row)

    def next_boot(self) -> int:
        """Count this start of the gateway: the boot number of events that bring no numbers of their own."""
        with self._lock, self._db.transaction() as tx:
            number = tx.execute("INSERT INTO boot DEFAULT VALUES").lastrowid
            tx.execute("DELETE FROM boot WHERE number < ?", (number,))
        return int(number or 0)

    def has_tokens(self) -> bool:
        return self._one("SELECT 1 FROM token LIMIT 1") is not None

    def token(self, presented: str) -> AccessToken:
        """The token that was presented; AccessError where it is unknown."""
        query = "SELECT label, scopes FROM token WHERE fingerprint = ?"
        row = self._one(query, tokens.fingerprint(presented))
        if row is None:
            raise AccessError("the bearer token is unknown or revoked")
        return AccessToken(row[0], frozenset(Scope(scope) for scope in row[1].split()))

    def revoke_token(self, label: str) -> int:
        """Remove every token of this label; returns how many."""
        with self._lock, self._db.transaction() as tx:
            return tx.execute("DELETE FROM token WHERE label = ?", (label,)).rowcount

    def close(self) -> None:
        self._reader.close()
        self._db.close()

    def _one(self, query: str, *values: object) -> Any:
        with self._read_lock:
            return self._reader.connection.execute(query, values).fetchone()


def _count(tx: sqlite3.Connection, table: str) -> int:
    return int(tx.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])


def _bounded(tx: sqlite3.Connection, table: str, bound: int) -> None:
    if _count(tx, table) >= bound:
        raise AccessError(f"the {table} table has reached its bound of {bound}; remove what is not needed")


def _require_own(source: str, settings: SourceSettings) -> None:
    if source == GATEWAY:
        raise AccessError(f"{GATEWAY} is whom the gateway's own records are of; choose another name")
    if settings.subject and not re.fullmatch(SUBJECT_PATTERN, settings.subject):
        rule = "a subject is 1 to 64 of A-Z a-z 0-9 . _ : - and starts with a letter or digit"
        raise AccessError(f"{rule}, got {settings.subject!r:.80}")


def _write_anew(tx: sqlite3.Connection, table: str, subject: str, marked: str) -> None:
    """All rows, because SQLite keeps bytes of rows in pages that it once split."""
    cursor = tx.execute(f"SELECT * FROM {table}")
    at = [column[0] for column in cursor.description].index("settings")
    rows = cursor.fetchall()
    tx.execute(f"DELETE FROM {table}")
    for row in rows:
        settings = msgspec.json.decode(row[at], type=SourceSettings)
        if settings.subject == subject:
            changed = msgspec.json.encode(msgspec.structs.replace(settings, subject=marked))
            row = (*row[:at], changed, *row[at + 1 :])
        tx.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def now_us() -> int:
    """Microseconds since the Unix epoch, by this machine's clock."""
    return time.time_ns() // 1000
