"""What a receipt's ledger evidence proves, whichever ledger it is of: one call, its answer, and who holds it.

Evidence is untrusted until verified here against the policy's own lines: keys of an embedded ledger, or the hash of
a Fabric channel's config block. Fabric's protocol packages are imported only for evidence of Fabric.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chain.errors import ReceiptError, UntrustedError
from chain.ledger import evidence as embedded
from chain.policy import Policy
from chain.receipt import LedgerPart
from chaincode.log_records import AnchorAnswer, AnchorStatus
from crypto.checkpoint import Checkpoint
from crypto.note import parse_note

if TYPE_CHECKING:
    from chain.ledger.fabric.evidence import Proved


@dataclass(frozen=True, slots=True)
class LedgerCall:
    """A committed call of the contract: on which ledger, the function, its arguments, what it answered, and in words
    who vouches for it."""

    ledger: str
    function: str
    args: tuple[bytes, ...]
    result: bytes
    vouched: str


def prove(part: LedgerPart, policy: Policy) -> LedgerCall:
    """The call, once its evidence holds under the policy.

    Raises:
        UntrustedError: the policy has no line for this ledger.
        SealtrailError: the evidence is malformed or false.
    """
    if part.kind == "embedded":
        return _embedded(part.evidence, policy)
    if part.kind == "fabric":
        return _fabric(part.evidence, policy)
    raise ReceiptError(f"ledger evidence of kind {part.kind!r} is not known; expected 'embedded' or 'fabric'")


def anchored_checkpoint(call: LedgerCall) -> Checkpoint:
    """The checkpoint that a proved call anchored; ReceiptError if it anchored none."""
    if call.function != "logs.anchor" or not call.args:
        raise ReceiptError(f"ledger evidence is of {call.function!r}, expected logs.anchor")
    if AnchorAnswer.decode(call.result).status is AnchorStatus.FORK:
        raise ReceiptError("the ledger refused this checkpoint as a fork; both notes are kept on the ledger")
    return Checkpoint.parse(parse_note(call.args[0]).text)


def _embedded(data: bytes, policy: Policy) -> LedgerCall:
    evidence = embedded.EmbeddedEvidence.decode(data)
    name = Checkpoint.parse(parse_note(evidence.note).text).origin
    keys = policy.ledger_keys(name)
    if not keys:
        raise UntrustedError(f"the policy has no key for the ledger {name!r}")
    leaf = embedded.verify(evidence, keys)
    vouched = f"transaction {evidence.index}, signed by the ledger's {len(keys)} keys"
    return LedgerCall(leaf.request.ledger, leaf.request.function, leaf.request.args, leaf.result, vouched)


def _fabric(data: bytes, policy: Policy) -> LedgerCall:
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
    return call_of(proved)


def call_of(proved: "Proved") -> LedgerCall:
    """The call of a transaction that was proved on Fabric."""
    transaction = proved.transaction
    signed = f"{proved.signed_by} of {proved.consenters} orderers" if proved.consenters else "one orderer (Raft)"
    vouched = (
        f"block {proved.block}, signed by {signed}; endorsed by {_names(proved.endorsed_by)}; "
        f"said to be valid by {_names(proved.attested_by)}"
    )
    name = f"the Fabric channel {transaction.channel}"
    return LedgerCall(name, transaction.function, transaction.arguments, transaction.result, vouched)


def _names(organisations: frozenset[str]) -> str:
    return ", ".join(sorted(organisations))
