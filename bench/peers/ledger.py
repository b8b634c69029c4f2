"""What most projects do: one transaction of the embedded ledger for each event."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from chain.ledger.store import LedgerStore
from chain.ledger.transaction_leaf import NONCE_BYTES, Request
from chain.site import Folder
from chaincode.transaction import Transaction
from crypto.keys import Algorithm, PrivateKey

PUT = "bench.put"


async def _put(tx: Transaction, _name: str, args: Sequence[bytes]) -> bytes:
    await tx.put(f"bench/{args[0].decode()}", args[1])
    return b""


def rate(folder: Path, events: Sequence[bytes]) -> float:
    """Events a second; each transaction signed by its caller, committed with a signed checkpoint, durable."""
    site = Folder.create(folder, "bench.example/ledger-an-event")
    store, key = LedgerStore(site.ledger, site.ledger_name, site.ledger_signers(create=True), _put), _key()
    began = time.perf_counter()
    for number, event in enumerate(events):
        args, nonce = (str(number).encode(), event), os.urandom(NONCE_BYTES)
        store.submit(Request(store.name, PUT, args, key.public, time.time_ns() // 1000, nonce), key)
    seconds = time.perf_counter() - began
    store.close()
    return len(events) / seconds


def _key() -> PrivateKey:
    return PrivateKey.generate(Algorithm.ED25519)
