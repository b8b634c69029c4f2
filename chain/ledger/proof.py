"""What a receipt's ledger evidence proves, whichever ledger it is of: one call, its answer, and who holds it.

Evidence is untrusted until verified here against the policy's own lines: keys of an embedded ledger, or the hash of
a Fabric channel's config block. Fabric's protocol packages are imported only for evidence of Fabric.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from chain.errors import ReceiptError, UntrustedError
from chain.ledger import evidence as embedded
from chain.ledger.transaction_leaf import TransactionLeaf, open_leaf
from chain.policy import Policy
from chain.receipt import LedgerPart
from chaincode.log_records import AnchorAnswer, AnchorStatus
from crypto.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from crypto.note import VerifierKey, parse_note

if TYPE_CHECKING:
    from chain.ledger.fabric.evidence import Proved


@dataclass(frozen=True, slots=True)
class LedgerCall:
    """A committed call of the contract: on which ledger, the function, its arguments, what it answered, in words who
    vouches for it, and when it was made by the caller's claim (µs since 1970)."""

    ledger: str
    function: str
    args: tuple[bytes, ...]
    result: bytes
    vouched: str
    time_us: int


@dataclass(frozen=True, slots=True)
class _Head:
    """A checkpoint of an embedded ledger that all of its keys signed, and how many these are."""

    checkpoint: Checkpoint
    keys: int


class Prover:
    """Proves evidence under one policy. Checkpoints and transactions of an embedded ledger that held are remembered
    by their exact bytes, `remember` of each: those of one ledger are much the same from one evidence to the next."""

    def __init__(self, policy: Policy, remember: int) -> None:
        self._policy = policy
        self._head: Callable[[str], _Head] = lru_cache(remember)(partial(_embedded_head, policy))
        self._leaf: Callable[[bytes], TransactionLeaf] = lru_cache(remember)(open_leaf)

    def prove(self, part: LedgerPart) -> LedgerCall:
        """The call, once its evidence holds under the policy.

        Raises:
            UntrustedError: the policy has no line for this ledger.
            SealtrailError: the evidence is malformed or false.
        """
        if part.kind == "embedded":
            return self._embedded(part.evidence)
        if part.kind == "fabric":
            return call_of(prove_fabric(part.evidence, self._policy))
        raise ReceiptError(f"ledger evidence of kind {part.kind!r} is not known; expected 'embedded' or 'fabric'")

    def _embedded(self, data: bytes) -> LedgerCall:
        evidence = embedded.EmbeddedEvidence.decode(data)
        head = self._head(evidence.note)
        leaf = embedded.verify(evidence, head.checkpoint, self._leaf)
        vouched = f"transaction {evidence.index}, signed by the ledger's {head.keys} keys"
        request = leaf.request
        return LedgerCall(request.ledger, request.function, request.args, leaf.result, vouched, request.time_us)


def anchored_checkpoint(call: LedgerCall) -> Checkpoint:
    """The checkpoint that a proved call anchored; ReceiptError if it anchored none."""
    if call.function != "logs.anchor" or not call.args:
        raise ReceiptError(f"ledger evidence is of {call.function!r}, expected logs.anchor")
    if AnchorAnswer.decode(call.result).status is AnchorStatus.FORK:
        raise ReceiptError("the ledger refused this checkpoint as a fork; both notes are kept on the ledger")
    return Checkpoint.parse(parse_note(call.args[0]).text)


def _embedded_head(policy: Policy, text: str) -> _Head:
    signed, keys = open_known(text, "ledger", policy.ledger_keys)
    return _Head(signed.checkpoint, keys)


def open_known(
    text: str, what: str, keys_of: Callable[[str], Sequence[VerifierKey]], others: Sequence[VerifierKey] = ()
) -> tuple[SignedCheckpoint, int]:
    """A checkpoint that all the policy's keys of its log or ledger (`what`) signed, and how many these are. `others`
    may have signed it too. UntrustedError where the policy has no key for its origin."""
    note = parse_note(text)
    origin = note.text.partition("\n")[0]
    keys = keys_of(origin)
    if not keys:
        Checkpoint.parse(note.text)  # what is no checkpoint is false, not unknown
        raise UntrustedError(f"the policy has no key for the {what} {origin!r}")
    return open_checkpoint(note, keys, others), len(keys)


def prove_fabric(data: bytes, policy: Policy) -> "Proved":
    """The transaction on a channel, once its evidence holds under a configuration that the policy pins for it; raises
    as `Prover.prove` does."""
    if not policy.channels:
        raise UntrustedError("the policy has no line 'ledger fabric' for the channel of this receipt")
    try:
        from chain.ledger.fabric import evidence as fabric
    except ImportError as e:
        raise ReceiptError("evidence of Fabric needs its protocol packages: install sealtrail[fabric]") from e
    evidence = fabric.FabricEvidence.decode(data)
    pinned = {line.config_hash for line in policy.channels}
    if evidence.config_header.hash not in pinned:
        raise UntrustedError("the policy does not pin the channel configuration that this receipt is under")
    proved = fabric.verify(evidence, pinned)
    channel = proved.transaction.channel
    # A hash is pinned for the channel on its line, and for no other.
    if not any((line.channel, line.config_hash) == (channel, evidence.config_header.hash) for line in policy.channels):
        raise UntrustedError(f"the policy pins this configuration for another channel than {channel!r}")
    return proved


def call_of(proved: "Proved") -> LedgerCall:
    """The call of a transaction that was proved on Fabric."""
    transaction = proved.transaction
    signed = f"{proved.signed_by} of {proved.consenters} orderers" if proved.consenters else "one orderer (Raft)"
    vouched = (
        f"block {proved.block}, signed by {signed}; endorsed by {_names(proved.endorsed_by)}; "
        f"said to be valid by {_names(proved.attested_by)}"
    )
    name = f"the Fabric channel {transaction.channel}"
    return LedgerCall(
        name, transaction.function, transaction.arguments, transaction.result, vouched, transaction.time_us
    )


def _names(organisations: frozenset[str]) -> str:
    return ", ".join(sorted(organisations))
