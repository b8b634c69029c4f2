"""The costly links of a receipt, proved under one policy, and remembered where they held.

Receipts of one log carry much the same: one checkpoint, one enrolment, a seal over many events. What held is kept
by the exact bytes and by everything else that its check looked at; the policy is the same for all of them. What did
not hold is never kept, so it is checked, and refused, each time anew. The least recently used goes first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TypeVar

from chain.errors import ReceiptError
from chain.event import SignedSeal, content_hash
from chain.ledger.proof import LedgerCall, Prover, anchored_checkpoint, open_known
from chain.policy import Policy
from chain.receipt import LedgerPart
from chain.record import SEAL_KIND, Record
from chain.seal import Seal, verify_seal
from chaincode.identity_records import Identity
from crypto.checkpoint import Checkpoint
from crypto.errors import ProofError
from crypto.keys import PublicKey
from crypto.merkle import leaf_hash, lifted, verify_inclusion

IDENTITY_FUNCTIONS = frozenset({
    "identities.bootstrap", "identities.enrol", "identities.rotate", "identities.revoke", "identities.recovery",
    "identities.recover",
})  # fmt: skip
_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Head:
    """A checkpoint that all the policy's keys of its log signed: how many these are, how many of the policy's
    witnesses cosigned it, and whether they make up its quorum."""

    checkpoint: Checkpoint
    keys: int
    cosigners: int
    quorum: bool


class Links:
    """Each link raises what its check raises. `remember` bounds each kind of what is kept, in entries; most bytes
    has a ledger evidence, up to 1 MiB."""

    def __init__(self, policy: Policy, remember: int) -> None:
        prover = Prover(policy, remember)
        kept = lru_cache(remember)
        self.policy = policy
        self.head = _kept(remember, partial(_head, policy))
        self.enrolment = _kept(remember, partial(_enrolment, prover))
        self.anchor = _kept(remember, partial(_anchor, prover))
        self.logged_seal: Callable[[bytes, bytes, int, tuple[bytes, ...], int, bytes], Record] = kept(_logged_seal)
        self.seal: Callable[[bytes, bytes, PublicKey], Seal] = kept(_seal)
        self._block_included: Callable[[bytes, int, int, Sequence[bytes], bytes], None] = kept(verify_inclusion)

    def included(self, leaf: bytes, index: int, size: int, proof: tuple[bytes, ...], root: bytes) -> None:
        """`verify_inclusion`; what 16 neighbours have in common of their proofs is verified once."""
        self._block_included(*lifted(leaf, index, size, proof), root)


def _kept(remember: int, check: Callable[[_K], _V]) -> Callable[[_K], _V]:
    """`check`, with an lru_cache, and before it the key that came last: to compare kilobytes takes a tenth of the time
    of hashing them, and most receipts carry what the one before carried."""
    looked_up: Callable[[_K], _V] = lru_cache(remember)(check)
    last: tuple[_K, _V] | None = None

    def found(key: _K) -> _V:
        nonlocal last
        newest = last  # read once: another thread may set it meanwhile
        if newest is not None and newest[0] == key:
            return newest[1]
        value = looked_up(key)
        last = (key, value) if remember else None
        return value

    return found


def _head(policy: Policy, text: str) -> Head:
    witnesses = policy.witness_keys()
    signed, keys = open_known(text, "log", policy.log_keys, witnesses)
    cosigners = [verified.key for verified in signed.signers if verified.key in witnesses]
    return Head(signed.checkpoint, keys, len(cosigners), policy.satisfied_by(cosigners))


def _enrolment(prover: Prover, part: LedgerPart) -> tuple[LedgerCall, Identity]:
    call = prover.prove(part)
    if call.function not in IDENTITY_FUNCTIONS:
        raise ReceiptError(f"ledger evidence is of {call.function!r}, expected an enrolment or key change")
    return call, Identity.decode(call.result)


def _anchor(prover: Prover, part: LedgerPart) -> tuple[LedgerCall, Checkpoint]:
    call = prover.prove(part)
    return call, anchored_checkpoint(call)


def _logged_seal(
    seal: bytes, record: bytes, index: int, inclusion: tuple[bytes, ...], size: int, root: bytes
) -> Record:
    """The record that logs this seal, once it is shown to stand in the log."""
    verify_inclusion(leaf_hash(record), index, size, inclusion, root)
    logged = Record.decode(record)
    if logged.kind != SEAL_KIND or logged.content_hash != content_hash(seal):
        raise ProofError("the logged seal record does not name this seal")
    return logged


def _seal(seal: bytes, signature: bytes, key: PublicKey) -> Seal:
    return verify_seal(SignedSeal(seal, signature), key)
