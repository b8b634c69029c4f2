"""The embedded ledger itself: all or nothing, one at a time, off the event loop, and closed when closed."""

import asyncio
import threading
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from chain.errors import LedgerError
from chain.ledger.embedded import EmbeddedLedger
from chain.ledger.interface import LedgerEvent
from chain.ledger.store import FILE, LedgerStore
from chain.ledger.worker import MAX_WAITING, Worker
from chain.log.proofs import consistency_proof
from chain.log.reader import LogReader
from chain.store.database import Database
from chaincode import contract
from chaincode.errors import Code, ContractError
from chaincode.transaction import Transaction
from crypto.checkpoint import open_checkpoint
from crypto.merkle import verify_consistency
from tests.chain.ledger import site
from tests.contract_suite.actors import Actor


def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    async def first(ledger: EmbeddedLedger) -> bytes:
        await site.begin(ledger, tmp_path)
        await ledger.submit("logs.anchor", *site.log(tmp_path).anchor(0, 5))
        return await ledger.evaluate("logs.head", site.ORIGIN.encode())

    async def second(ledger: EmbeddedLedger) -> bytes:
        assert await ledger.check() == 3
        return await ledger.evaluate("logs.head", site.ORIGIN.encode())

    assert site.using(tmp_path, first) == site.using(tmp_path, second)


def test_the_clock_of_the_caller_is_written_down(tmp_path: Path) -> None:
    async def act(ledger: EmbeddedLedger) -> None:
        await site.begin(ledger, tmp_path)
        evidence = await site.evidence(ledger, 1)
        head = open_checkpoint(evidence.note, site.keys(tmp_path))
        assert [signer.timestamp for signer in head.signers] == [0, 1_700_000_000]

    site.using(tmp_path, act, now_us=lambda: 1_700_000_000_500_000)


def test_a_refused_call_leaves_nothing_behind(tmp_path: Path) -> None:
    async def writes_then_refuses(tx: Transaction, name: str, args: Sequence[bytes]) -> bytes:
        await tx.put("half", b"done")
        tx.set_event("half", b"done")
        raise ContractError(Code.FORBIDDEN, "no")

    async def act(ledger: EmbeddedLedger) -> None:
        with pytest.raises(ContractError):
            await ledger.submit("logs.anchor", b"")
        assert await ledger.check() == 0

    site.using(tmp_path, act, invoke=writes_then_refuses)


def test_a_transaction_over_a_leafs_bound_leaves_nothing_behind(tmp_path: Path) -> None:
    async def verbose(tx: Transaction, name: str, args: Sequence[bytes]) -> bytes:
        await tx.put("key", b"value")
        return bytes(65_536 if args else 1)

    async def act(ledger: EmbeddedLedger) -> None:
        with pytest.raises(LedgerError, match="too large"):
            await ledger.submit("logs.anchor", b"")
        assert await ledger.check() == 0
        await ledger.submit("logs.anchor")
        assert await ledger.check() == 1

    site.using(tmp_path, act, invoke=verbose)


def test_reads_do_not_see_the_transactions_own_writes(tmp_path: Path) -> None:
    async def reads_its_writes(tx: Transaction, name: str, args: Sequence[bytes]) -> bytes:
        before = await tx.get("counter") or b"\x00"
        await tx.put("counter", bytes([before[0] + 1]))
        assert (await tx.get("counter") or b"\x00") == before
        return before

    async def act(ledger: EmbeddedLedger) -> None:
        assert [(await ledger.submit("logs.anchor")).result for _ in range(3)] == [b"\x00", b"\x01", b"\x02"]

    site.using(tmp_path, act, invoke=reads_its_writes)


def test_empty_values_and_foreign_awaits_are_refused(tmp_path: Path) -> None:
    async def puts_nothing(tx: Transaction, name: str, args: Sequence[bytes]) -> bytes:
        await tx.put("key", b"")
        return b""

    async def sleeps(tx: Transaction, name: str, args: Sequence[bytes]) -> bytes:
        await asyncio.sleep(0)
        return b""

    for invoke, message in ((puts_nothing, "never empty"), (sleeps, "awaited something other")):
        with pytest.raises(LedgerError, match=message):
            site.using(tmp_path, lambda ledger: ledger.submit("logs.anchor"), invoke=invoke)


def test_contract_and_disk_stay_off_the_event_loop(tmp_path: Path) -> None:
    threads: list[int] = []

    async def watching(tx: Transaction, name: str, args: Sequence[bytes]) -> bytes:
        threads.append(threading.get_ident())
        return await contract.invoke(tx, name, args)

    site.using(tmp_path, lambda ledger: site.begin(ledger, tmp_path), invoke=watching)
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


def test_two_openers_of_one_file_write_one_chain(tmp_path: Path) -> None:
    async def act(ledger: EmbeddedLedger) -> None:
        await site.begin(ledger, tmp_path)
        other = site.opened(tmp_path)
        for i in range(10):
            writer = (ledger, other)[i % 2]
            await writer.submit("identities.enrol", *Actor(f"thing-{i}", site.ORIGIN).enrolment("source"))
        await other.close()
        assert await ledger.check() == 12

    site.using(tmp_path, act)


def test_each_checkpoint_extends_the_one_before(tmp_path: Path) -> None:
    async def act(ledger: EmbeddedLedger) -> list[str]:
        await site.begin(ledger, tmp_path)
        notes = []
        for i in range(12):
            submitted = await ledger.submit("identities.enrol", *Actor(f"thing-{i}", site.ORIGIN).enrolment("source"))
            notes.append((await site.evidence(ledger, submitted.index)).note)
        return notes

    heads = [open_checkpoint(note, site.keys(tmp_path)).checkpoint for note in site.using(tmp_path, act)]
    db = Database(tmp_path / FILE, readonly=True)
    for old, new in pairwise(heads):
        proof = consistency_proof(LogReader(db), old.size, new.size)
        verify_consistency(old.size, new.size, proof, old.root, new.root)
    db.close()


def test_a_cancelled_submit_is_still_whole(tmp_path: Path) -> None:
    async def act(ledger: EmbeddedLedger) -> None:
        await site.begin(ledger, tmp_path)
        task = asyncio.create_task(ledger.submit("logs.anchor", *site.log(tmp_path).anchor(0, 5)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await ledger.check() == 3

    site.using(tmp_path, act)


def test_a_closed_ledger_says_so_and_ends_its_events(tmp_path: Path) -> None:
    async def act() -> None:
        ledger = site.opened(tmp_path)
        await site.begin(ledger, tmp_path)
        seen = []

        async def listen() -> None:
            async for event in ledger.events(-1):
                seen.append(event.name)

        listener = asyncio.create_task(listen())
        while len(seen) < 2:
            await asyncio.sleep(0)
        await ledger.close()
        await asyncio.wait_for(listener, 30)
        await ledger.close()
        for call in (ledger.submit("logs.anchor"), ledger.evaluate("logs.head", b"x"), ledger.evidence(0)):
            with pytest.raises(LedgerError, match="closed"):
                await call

    asyncio.run(act())


def test_events_of_a_ledger_that_went_back_are_an_error(tmp_path: Path) -> None:
    async def act(ledger: EmbeddedLedger) -> None:
        await site.begin(ledger, tmp_path)
        with pytest.raises(LedgerError, match="has 2 transactions"):
            async for _ in ledger.events(7):
                pass

    site.using(tmp_path, act)


def test_the_queue_is_bounded() -> None:
    gate = threading.Event()

    async def act() -> None:
        worker = Worker("test")
        waiting = [asyncio.create_task(worker.run(gate.wait)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(LedgerError, match="wait for the ledger"):
            await worker.run(gate.wait)
        gate.set()
        await asyncio.gather(*waiting)
        await worker.run(gate.wait)
        await worker.close(gate.set)

    asyncio.run(act())


def test_signers_must_be_the_ledgers_own(tmp_path: Path) -> None:
    key = site.gateway(tmp_path).key
    for wrong in ([], site.signers(tmp_path, "another")):
        with pytest.raises(LedgerError, match="keys of its own name"):
            EmbeddedLedger(tmp_path, site.NAME, wrong, key)


def test_a_broken_database_is_an_error_of_ours(tmp_path: Path) -> None:
    async def act(ledger: EmbeddedLedger) -> None:
        await site.begin(ledger, tmp_path)
        ledger._store.db.connection.execute("DROP TABLE state")
        with pytest.raises(LedgerError, match="no such table"):
            await ledger.evaluate("logs.head", b"x")

    site.using(tmp_path, act)


def test_who_waits_for_events_looks_only_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking is a job of the ledger's thread too; it must wake nobody, or two who listen would keep it busy."""
    looked = 0
    before = LedgerStore.events_after

    def counting(store: LedgerStore, after: int) -> tuple[list[LedgerEvent], int]:
        nonlocal looked
        looked += 1
        return before(store, after)

    monkeypatch.setattr(LedgerStore, "events_after", counting)

    async def act(ledger: EmbeddedLedger) -> None:
        await site.begin(ledger, tmp_path)
        listening = [asyncio.create_task(anext(ledger.events(-1, lambda *_: False))) for _ in range(2)]
        await asyncio.sleep(0.3)
        assert 2 <= looked <= 4
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)

    site.using(tmp_path, act)
