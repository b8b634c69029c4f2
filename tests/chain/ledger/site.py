"""An embedded ledger on disk with its keys, for tests that reopen, damage or kill it."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from chain.ledger import evidence as evidence_module
from chain.ledger.embedded import EmbeddedLedger
from chain.ledger.evidence import EmbeddedEvidence
from chain.ledger.proof import Prover, anchored_checkpoint
from chain.ledger.transaction_leaf import TransactionLeaf
from chain.policy import LedgerLine, Policy
from chain.receipt import LedgerPart
from crypto.checkpoint import Checkpoint, open_checkpoint
from crypto.files import private_key_at
from crypto.keys import Algorithm
from crypto.note import NoteSigner, SignatureType, VerifierKey
from tests.contract_suite.actors import Actor, MemoryLog

NAME = "plant.example/ledger"
ORIGIN = "plant.example/gw1"
_T = TypeVar("_T")


def signers(folder: Path, name: str = NAME) -> tuple[NoteSigner, NoteSigner]:
    """Two keys kept in the folder, so that another process has the same ones."""
    stem = name.replace("/", "-")
    return (
        NoteSigner(name, SignatureType.ED25519, private_key_at(folder / f"{stem}-1.pem", Algorithm.ED25519)),
        NoteSigner(
            name, SignatureType.ML_DSA_44_COSIGNATURE, private_key_at(folder / f"{stem}-6.pem", Algorithm.ML_DSA_44)
        ),
    )


def verify(evidence: EmbeddedEvidence, ledger_keys: Sequence[VerifierKey]) -> TransactionLeaf:
    """Evidence under the ledger's keys, from the signatures on its note to the caller's."""
    return evidence_module.verify(evidence, open_checkpoint(evidence.note, ledger_keys).checkpoint)


def keys(folder: Path) -> list[VerifierKey]:
    return [signer.vkey for signer in signers(folder)]


def gateway(folder: Path) -> Actor:
    return Actor("gateway", ORIGIN, private_key_at(folder / "gateway.pem", Algorithm.ED25519))


def log(folder: Path) -> MemoryLog:
    return MemoryLog(ORIGIN, signers(folder, ORIGIN))


def opened(folder: Path, **options: Any) -> EmbeddedLedger:
    return EmbeddedLedger(folder, NAME, signers(folder), gateway(folder).key, **options)


def using(folder: Path, work: Callable[[EmbeddedLedger], Coroutine[Any, Any, _T]], **options: Any) -> _T:
    """Open the ledger, do the work, close it."""

    async def run() -> _T:
        ledger = opened(folder, **options)
        try:
            return await work(ledger)
        finally:
            await ledger.close()

    return asyncio.run(run())


async def begin(ledger: EmbeddedLedger, folder: Path) -> None:
    """The first two transactions: a gateway and its log."""
    await ledger.submit("identities.bootstrap", *gateway(folder).bootstrap())
    await ledger.submit("logs.register", ORIGIN.encode(), *log(folder).vkeys())


def anchored(folder: Path, proof: EmbeddedEvidence) -> Checkpoint:
    """The checkpoint that evidence shows on the ledger, as the verifier of receipts reads it."""
    policy = Policy((), (), (), "none", tuple(LedgerLine("embedded", key) for key in keys(folder)))
    return anchored_checkpoint(Prover(policy, 0).prove(LedgerPart("embedded", proof.encode())))


async def evidence(ledger: EmbeddedLedger, index: int) -> EmbeddedEvidence:
    return EmbeddedEvidence.decode(await ledger.evidence(index))
