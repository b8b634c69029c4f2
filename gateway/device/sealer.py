"""Seals: this device's signature over each run of its events, each naming the one before, across restarts.

Sign outside the lock, store inside it; one thread at a time seals (the opening of the device, then its sender).
"""

import time
from typing import Final, NamedTuple

from chain.event import SignedSeal
from chain.seal import Seal, seal_hash, sign_seal
from crypto.keys import PrivateKey
from crypto.merkle import root_of
from gateway.device.buffer import ROW_BYTES, Buffer

SEALS_PER_PASS: Final = 64  # signed and stored with one sync


class _Run(NamedTuple):
    """Contiguous unsealed events of one boot: the first number, and the content hashes."""

    boot: int
    first: int
    hashes: list[bytes]


class Sealer:
    """Seals every `events` events or `seconds` seconds, whichever comes first."""

    def __init__(self, buffer: Buffer, key: PrivateKey, events: int, seconds: float) -> None:
        self._buffer, self._key = buffer, key
        self._events, self._seconds = events, seconds
        self.hurry = False  # an urgent event: do not wait for the others

    def seal_earlier_boots(self) -> int:
        """After a crash: seal what earlier boots left unsealed, before this boot has any. How many seals."""
        return self._seal_all(self._buffer.boot)

    def seal_everything(self) -> int:
        """At shutdown. How many seals."""
        return self._seal_all(self._buffer.boot + 1)

    def seal_due(self, now: float) -> int:
        """Seal what is full or old enough at monotonic `now`. How many seals."""
        due = self.next_due()
        if self.hurry or (due is not None and due <= now):
            self.hurry = False  # before sealing: what is urgent from here on asks again
            return self.seal_everything()
        return self._seal_full_runs()

    def next_due(self) -> float | None:
        """Monotonic time at which the oldest unsealed event must be sealed; None with no such event."""
        since = self._buffer.unsealed_since
        return None if since is None else since + self._seconds

    def _seal_all(self, before_boot: int) -> int:
        made = 0
        while (run := self._unsealed(before_boot)).hashes:
            made += self._seal(run, len(run.hashes))
        return made

    def _seal_full_runs(self) -> int:
        made = 0
        while self._buffer.next_seq - self._buffer.sealed_next >= self._events:
            run = self._unsealed(self._buffer.boot + 1)
            made += self._seal(run, len(run.hashes) // self._events * self._events)
        return made

    def _unsealed(self, before_boot: int) -> _Run:
        """The oldest unsealed events of one boot below `before_boot`, at most one pass of them."""
        with self._buffer.lock:
            run = self._buffer.db.connection.execute
            boot, first = run("SELECT sealed_boot, sealed_next FROM state").fetchone()
            oldest = run(
                "SELECT boot, seq FROM event WHERE (boot, seq) >= (?, ?) AND boot < ? ORDER BY boot, seq LIMIT 1",
                (boot, first, before_boot),
            ).fetchone()
            if oldest is None:
                return _Run(boot, first, [])
            query = "SELECT hash FROM event WHERE boot = ? AND seq >= ? ORDER BY seq LIMIT ?"
            rows = run(query, (*oldest, SEALS_PER_PASS * self._events)).fetchall()
            return _Run(oldest[0], oldest[1], [row[0] for row in rows])

    def _seal(self, run: _Run, count: int) -> int:
        """Seal the first `count` events of a run, each seal over at most `events` of them."""
        previous = self._previous()
        seals = []
        for start in range(0, count, self._events):
            hashes = run.hashes[start : min(start + self._events, count)]
            signed_us = time.time_ns() // 1000
            seal = Seal(
                self._buffer.source, run.boot, run.first + start, len(hashes), root_of(hashes), previous, signed_us,
                self._key.public.kid,
            )  # fmt: skip
            signed = sign_seal(seal, self._key)
            previous = seal_hash(signed.seal)
            seals.append((seal, signed))
        self._store(seals)
        return len(seals)

    def _previous(self) -> bytes:
        with self._buffer.lock:
            row = self._buffer.db.connection.execute("SELECT previous FROM state").fetchone()
        return bytes(row[0])

    def _store(self, seals: list[tuple[Seal, SignedSeal]]) -> None:
        rows = [(s.boot, s.first, s.count, seal_hash(d.seal), d.seal, d.signature) for s, d in seals]
        last, end = seals[-1][0], seals[-1][0].first + seals[-1][0].count
        sealed = sum(seal.count for seal, _ in seals)
        with self._buffer.lock:
            with self._buffer.db.transaction() as tx:
                tx.executemany(
                    "INSERT INTO seal (boot, first, count, hash, seal, signature) VALUES (?, ?, ?, ?, ?, ?)", rows
                )
                tx.execute(
                    "UPDATE state SET sealed_boot = ?, sealed_next = ?, previous = ?, sealed = sealed + ?",
                    (last.boot, end, rows[-1][3], sealed),
                )
            self._buffer.bytes += sum(len(row[4]) + len(row[5]) + ROW_BYTES for row in rows)
            if last.boot == self._buffer.boot:
                self._buffer.sealed_next = end
            rest = self._buffer.sealed_next < self._buffer.next_seq
            self._buffer.unsealed_since = time.monotonic() if rest else None
