"""The embedded ledger: the same contract as on Fabric, in one SQLite file, for a single site.

Every transaction is a leaf of the ledger's own Merkle log with a checkpoint signed after each commit: that is
its chain of blocks. Whoever holds its keys can refuse transactions or restore an old copy; auditors who kept
one of its checkpoints notice the latter. Callers are believed by their signatures only.

Gateways of several organisations on one machine may share the file (docs/adr/0019). Each names its organisation in what
it signs; the contract binds a key to the organisation that it was enrolled under, so nobody acts as another one.
"""

import asyncio
import copy
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

from chain.errors import LedgerError
from chain.ledger.check import check_database
from chain.ledger.interface import LedgerEvent, Submitted, Wanted, every
from chain.ledger.store import Contract, LedgerStore
from chain.ledger.transaction_leaf import NONCE_BYTES, Request
from chain.ledger.worker import Worker
from chaincode import contract
from crypto.keys import PrivateKey
from crypto.note import NoteSigner

SHARED_POLL_S = 0.2  # how soon a gateway hears of what another one committed on a shared file


def _now_us() -> int:
    return time.time_ns() // 1000


class EmbeddedLedger:
    """chain.ledger.interface.Ledger over `folder`/ledger.db, as the holder of the key `caller` sees it."""

    def __init__(
        self,
        folder: Path,
        name: str,
        signers: Sequence[NoteSigner],
        caller: PrivateKey,
        *,
        organisation: str = "",
        invoke: Contract = contract.invoke,
        now_us: Callable[[], int] = _now_us,
    ) -> None:
        """Open or create the ledger. `signers` are all keys of the ledger `name`, each of which signs every
        checkpoint (Ed25519 and ML-DSA-44); `organisation` is the caller's where several share the ledger; `now_us` is
        the caller's clock in µs since 1970."""
        self._store = LedgerStore(folder, name, signers, invoke)
        self._worker = Worker("ledger")
        self._caller, self._organisation = caller, organisation
        self._now_us = now_us

    def as_caller(self, caller: PrivateKey, organisation: str | None = None) -> Self:
        """The same open ledger with another caller's key, and organisation where that is another one too; closing one
        closes both."""
        other = copy.copy(self)
        other._caller = caller
        other._organisation = self._organisation if organisation is None else organisation
        return other

    def _request(self, function: str, args: tuple[bytes, ...]) -> Request:
        nonce = os.urandom(NONCE_BYTES)
        return Request(
            self._store.name, function, args, self._caller.public, self._now_us(), nonce, self._organisation
        )  # fmt: skip

    async def submit(self, function: str, *args: bytes) -> Submitted:
        """See Ledger.submit. When it returns, the transaction survives power loss."""
        if contract.function_named(function).query:
            raise LedgerError(f"{function} is a query: evaluate it")
        request = self._request(function, args)
        return await self._worker.run(partial(self._store.submit, request, self._caller), changes=True)

    async def evaluate(self, function: str, *args: bytes) -> bytes:
        return await self._worker.run(partial(self._store.evaluate, self._request(function, args)))

    async def events(self, after: int, wanted: Wanted = every) -> AsyncIterator[LedgerEvent]:
        while not self._worker.closed:
            changed = self._worker.next_change
            found, last = await self._worker.run(partial(self._store.events_after, after))
            for event in found:
                if wanted(event.name, event.payload):
                    yield event
            if last == after:
                await self._news(changed)
            after = last

    async def _news(self, changed: asyncio.Event) -> None:
        """Until something was committed here, or may have been by another gateway on the file."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SHARED_POLL_S if self._organisation else None):
                await changed.wait()

    async def evidence(self, index: int) -> bytes:
        """Encoded chain.ledger.evidence.EmbeddedEvidence."""
        return await self._worker.run(partial(self._store.evidence, index))

    async def check(self) -> int:
        """Verify everything in the file; see chain.ledger.check. Returns the number of transactions."""
        return await self._worker.run(partial(check_database, self._store.db, self._store.name, self._store.vkeys))

    async def change_signers(self, signers: Sequence[NoteSigner]) -> None:
        """Other keys of the ledger sign from now on, and its newest checkpoint anew."""
        await self._worker.run(partial(self._store.change_signers, signers, self._now_us()))

    async def close(self) -> None:
        await self._worker.close(self._store.close)
