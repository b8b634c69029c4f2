"""The offline verifier: takes a receipt and a policy, opens no socket and no database, believes nothing else.

Everything in the receipt is untrusted; only the keys in the policy are trusted. Each step is one link of the
chain of proof and is found to hold, to be in doubt, to be missing, or to be false:

 1. checkpoint: signed by all keys that the policy lists for this log
 2. witnesses: the policy's quorum cosigned it
 3. record: is in the log at its index under that checkpoint
 4. event: the disclosed bytes are those that the record names, or an entry of the log says that they were erased
 5. fields: each disclosed field opens the commitment that the record holds
 6. identity: a ledger of the policy says which key the source had at that place of the log
 7. seal: the source signed a range that holds the event, and that seal is in the log
 8. anchor: a ledger of the policy holds this very checkpoint

What it proves: who signed which bytes, that they stand at one place of one history that the ledger and the
witnesses saw. It does not prove that a sensor told the truth, nor wall-clock time.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeVar

from msgspec import Struct

from chain.erasure import open_erasure
from chain.errors import ReceiptError, UntrustedError
from chain.event import Event, content_hash
from chain.links import Head, Links
from chain.policy import NONE, Policy
from chain.receipt import MAX_VALUE_BYTES, ErasurePart, Field, Receipt
from chain.record import ERASURE_KIND, LOGS_OWN, SEAL_KIND, Record
from chain.seal import Seal, require_names
from chaincode.identity_records import Identity, Role
from crypto import cbor
from crypto.commitments import field_leaf
from crypto.errors import CommitmentError, ProofError, SealtrailError, SignatureError
from crypto.merkle import leaf_hash, verify_inclusion

REMEMBERED = 256  # of each kind of link, by a verifier of many receipts
_T = TypeVar("_T")


class State(StrEnum):
    """What was found of one link."""

    HOLDS = "holds"
    DOUBTFUL = "doubtful"  # it holds, by a key that was in strange hands by then
    MISSING = "missing"
    FALSE = "false"


_HOLDS: Final = State.HOLDS  # to look it up takes as long as to make a step


class Outcome(StrEnum):
    """The verdict over all links, from the worst: each has an exit code of its own."""

    INVALID = "invalid"  # a link is false
    UNTRUSTED = "untrusted"  # the policy does not know this log or this ledger
    DOUBTFUL = "doubtful"  # nothing is false, but a key was declared to be compromised before it signed this
    INCOMPLETE = "incomplete"  # nothing is false, but a link that the policy demands is missing
    VALID = "valid"


EXIT_CODE = {
    Outcome.VALID: 0, Outcome.INVALID: 3, Outcome.UNTRUSTED: 4, Outcome.INCOMPLETE: 5, Outcome.DOUBTFUL: 6,
}  # fmt: skip
WORST_FIRST = (Outcome.INVALID, Outcome.UNTRUSTED, Outcome.DOUBTFUL, Outcome.INCOMPLETE, Outcome.VALID)


class Step(Struct, frozen=True):
    """One link: its number and name, what was found, and a sentence. `needed` links decide the outcome."""

    number: int
    name: str
    state: State
    text: str
    needed: bool = True
    untrusted: bool = False


class Report(Struct, frozen=True):
    """All steps, and what the proved parts say."""

    steps: tuple[Step, ...]
    record: Record | None
    event: Event | None
    fields: tuple[tuple[str, cbor.CborValue], ...]

    @property
    def outcome(self) -> Outcome:
        failed = [step for step in self.steps if step.state is not _HOLDS]
        if not failed:
            return Outcome.VALID
        if any(step.state is State.FALSE and not step.untrusted for step in failed):
            return Outcome.INVALID
        if any(step.untrusted for step in failed):
            return Outcome.UNTRUSTED
        if any(step.state is State.DOUBTFUL for step in failed):
            return Outcome.DOUBTFUL
        if any(step.state is State.MISSING and step.needed for step in failed):
            return Outcome.INCOMPLETE
        return Outcome.VALID


class MissingError(SealtrailError):
    """The receipt lacks a link."""

    def __init__(self, text: str, *, needed: bool = True) -> None:
        super().__init__(text)
        self.needed = needed


class DoubtError(SealtrailError):
    """The link holds, but the key that it rests on was in strange hands by then."""


class _Facts(Struct):
    """What the steps before have proved. A step that needs a fact that is not there says so."""

    head: Head | None = None
    record: Record | None = None
    event: Event | None = None
    identity: Identity | None = None
    fields: tuple[tuple[str, cbor.CborValue], ...] = ()


class Verifier:
    """Verifies receipts under one policy. Links that held are remembered (chain.links), so that a receipt that
    carries the same checkpoint, seal or ledger evidence as one before costs a fraction. From several threads, it
    is safe."""

    def __init__(self, policy: Policy, remember: int = REMEMBERED) -> None:
        self.links = Links(policy, remember)

    def verify(self, receipt: Receipt) -> Report:
        """Check every link and report on each; raises nothing for anything a receipt can hold."""
        facts = _Facts()
        steps = tuple([_step(number, name, check, receipt, self.links, facts) for number, name, check in _PLAN])
        return Report(steps, facts.record, facts.event, facts.fields)


def verify_receipt(receipt: Receipt, policy: Policy) -> Report:
    """Verify one receipt, as a new `Verifier` does."""
    return Verifier(policy).verify(receipt)


def _step(
    number: int, name: str, check: Callable[[Receipt, Links, _Facts], str], receipt: Receipt, links: Links,
    facts: _Facts,
) -> Step:  # fmt: skip
    try:
        return Step(number, name, _HOLDS, check(receipt, links, facts))
    except MissingError as e:
        return Step(number, name, State.MISSING, str(e), needed=e.needed)
    except DoubtError as e:
        return Step(number, name, State.DOUBTFUL, str(e))
    except UntrustedError as e:
        return Step(number, name, State.FALSE, str(e), untrusted=True)
    except SealtrailError as e:
        return Step(number, name, State.FALSE, str(e))


def _checkpoint(receipt: Receipt, links: Links, facts: _Facts) -> str:
    head = facts.head = links.head(receipt.checkpoint)
    checkpoint = head.checkpoint
    return f"{checkpoint.origin} signed its state at {checkpoint.size:,} entries with {_plural(head.keys, 'key')}"


def _witnesses(receipt: Receipt, links: Links, facts: _Facts) -> str:
    head, quorum = _proved(facts.head, "a checkpoint that holds"), links.policy.quorum
    if not head.quorum:
        raise MissingError(f"the quorum {quorum!r} is not reached: {_plural(head.cosigners, 'cosignature')}")
    if quorum == NONE:
        return "the policy demands no witnesses"
    return f"{_plural(head.cosigners, 'cosignature')} make up the policy's quorum {quorum!r}"


def _record(receipt: Receipt, links: Links, facts: _Facts) -> str:
    checkpoint = _proved(facts.head, "a checkpoint that holds").checkpoint
    leaf = leaf_hash(receipt.record)
    links.included(leaf, receipt.index, checkpoint.size, receipt.inclusion, checkpoint.root)
    record = facts.record = Record.decode(receipt.record)
    return f"record {receipt.index} of {record.source} (boot {record.boot}, number {record.seq}) is in the log"


def _event(receipt: Receipt, links: Links, facts: _Facts) -> str:
    record = _proved(facts.record, "a record that holds")
    if record.kind == SEAL_KIND:
        raise MissingError("the record logs a seal; it has no event", needed=False)
    if receipt.erasure is not None:
        return _erased(receipt, receipt.erasure, record, links, facts)
    if record.kind == ERASURE_KIND:
        raise MissingError("the record logs an erasure, whose statement is not in this receipt", needed=False)
    if receipt.event is None and receipt.sealed_to:
        named = ", ".join(f"{kid.hex()[:16]}…" for kid in receipt.sealed_to)
        raise MissingError(f"the event's content is sealed to {named}, as the gateway says", needed=False)
    if receipt.event is None:
        raise MissingError("the event's content is not disclosed in this receipt", needed=False)
    if content_hash(receipt.event) != record.content_hash:
        raise ProofError("the event's bytes are not those that the record names: content altered")
    event = Event.decode(receipt.event)
    if event.id != record.event_id or event.kind != record.kind:
        raise ProofError("the event names another source, number or kind than the record")
    facts.event = event
    return f"the {len(event.payload)} bytes of payload are those that the record names"


def _erased(receipt: Receipt, part: ErasurePart, record: Record, links: Links, facts: _Facts) -> str:
    """A log that destroyed a payload says so in an entry of its own, which cannot be taken back or made up later."""
    checkpoint = _proved(facts.head, "a checkpoint that holds").checkpoint
    # 1. The statement is logged, under the same checkpoint.
    links.included(leaf_hash(part.record), part.index, checkpoint.size, part.inclusion, checkpoint.root)
    logged = Record.decode(part.record)
    erasure = open_erasure(part.statement, logged, part.index)
    when, why = moment(logged.logged_us), f"asked for by {erasure.by!r} because {erasure.reason!r}"
    # 2. It speaks of this record, or this record is the one that logs it.
    if record.kind == ERASURE_KIND and part.index == receipt.index:
        return f"erased {_plural(erasure.count, 'payload')} on {when}, {why}"
    if record.kind in LOGS_OWN or not erasure.covers(receipt.index):
        raise ProofError(f"the erasure at entry {part.index} is not of record {receipt.index}")
    if receipt.event is not None or receipt.fields:
        raise ReceiptError("the receipt discloses what it says was erased")
    raise MissingError(f"the content was erased at log index {part.index} on {when}, {why}", needed=False)


def _fields(receipt: Receipt, links: Links, facts: _Facts) -> str:
    record = _proved(facts.record, "a record that holds")
    if not receipt.fields:
        raise MissingError("no field is disclosed in this receipt", needed=False)
    facts.fields = tuple([_open_field(disclosed, receipt.field_count, record) for disclosed in receipt.fields])
    names = ", ".join(disclosed.path for disclosed in receipt.fields)
    return f"{_plural(len(receipt.fields), 'field')} of {receipt.field_count} disclosed as committed: {names}"


def _open_field(disclosed: Field, count: int, record: Record) -> tuple[str, cbor.CborValue]:
    value = cbor.decode(disclosed.value, MAX_VALUE_BYTES, number_keys=False)
    cbor.check_plain(value, f"the disclosed field {disclosed.path!r}")
    # The leaf is computed from what is disclosed, so the opening and its place are proved in one.
    leaf = field_leaf(disclosed.salt, record.event_id, disclosed.path, value)
    try:
        verify_inclusion(leaf, disclosed.position, count, disclosed.proof, record.commitment)
    except ProofError as e:
        raise CommitmentError(f"the disclosed field {disclosed.path!r} is not what the record commits to") from e
    return disclosed.path, value


def _identity(receipt: Receipt, links: Links, facts: _Facts) -> str:
    record = _proved(facts.record, "a record that holds")
    if record.kind == ERASURE_KIND:
        raise MissingError("the record is the log's own; who signed the checkpoint vouches for it", needed=False)
    if receipt.identity is None:
        raise MissingError(f"no key of {record.source} is shown: this record rests on the gateway's word only")
    call, identity = links.enrolment(receipt.identity)
    origin = _proved(facts.head, "a checkpoint that holds").checkpoint.origin
    if (identity.name, identity.role, identity.origin) != (record.source, Role.SOURCE, origin):
        named = f"{identity.role} {identity.name} at {identity.origin}"
        raise ReceiptError(f"the ledger entry is of {named}, expected source {record.source} at {origin}")
    facts.identity = identity
    keys = _plural(len(identity.keys), "key")
    doubted = sum(key.doubt is not None for key in identity.keys)
    said = f", {doubted} of them declared to be compromised" if doubted else ""
    return f"{call.ledger} enrolled {record.source} with {keys}{said} ({call.vouched})"


def _seal(receipt: Receipt, links: Links, facts: _Facts) -> str:
    record = _proved(facts.record, "a record that holds")
    if record.kind == ERASURE_KIND:
        raise MissingError("the record is the log's own; no source sealed it", needed=False)
    if receipt.seal is None:
        raise MissingError(f"no seal of {record.source} covers this event (yet)")
    identity = _proved(facts.identity, "a source key that holds")
    checkpoint = _proved(facts.head, "a checkpoint that holds").checkpoint
    part = receipt.seal
    # 1. The seal itself is in the log, so neither it nor its chain can be taken back.
    logged = links.logged_seal(part.seal, part.record, part.index, part.inclusion, checkpoint.size, checkpoint.root)
    # 2. Signed by the key that the ledger holds valid at its place.
    key = identity.record_at(part.index)
    seal = links.seal(part.seal, part.signature, key.key)
    if seal.source != record.source:
        raise SignatureError(f"the seal is of {seal.source}, not of {record.source}")
    require_names(logged, seal)
    # 3. It covers this event with exactly these bytes, or is what this record logs.
    if record.kind == SEAL_KIND:
        if part.index != receipt.index:
            raise ProofError(f"the receipt shows the seal of record {part.index}, not of record {receipt.index}")
    else:
        _in_range(seal, record)
        links.included(record.content_hash, record.seq - seal.first, seal.count, part.range_proof, seal.root)
    said = f"{seal.source} signed its events {seal.first} to {seal.first + seal.count - 1} of boot {seal.boot}"
    # 4. While the key was its source's alone, as far as anybody declared.
    if doubt := key.doubt_at(part.index):
        raise DoubtError(
            f"the signature holds, but is in doubt: {said} at entry {part.index}, and this key was declared to be in"
            f" strange hands from entry {doubt.since} on, by transaction {doubt.tx_id}: {key.reason}"
        )
    return said


def _in_range(seal: Seal, record: Record) -> None:
    if seal.boot != record.boot or not seal.first <= record.seq < seal.first + seal.count:
        raise ProofError(f"the seal does not cover boot {record.boot} number {record.seq}")


def _anchor(receipt: Receipt, links: Links, facts: _Facts) -> str:
    checkpoint = _proved(facts.head, "a checkpoint that holds").checkpoint
    if receipt.anchor is None:
        demanded = bool(links.policy.ledgers or links.policy.channels)
        raise MissingError("the receipt does not show this checkpoint on a ledger", needed=demanded)
    call, anchored = links.anchor(receipt.anchor)
    if anchored != checkpoint:
        raise ReceiptError(f"the ledger holds a checkpoint of size {anchored.size}, not the one of this receipt")
    return f"{call.ledger} holds this checkpoint ({call.vouched})"


_PLAN: Final[tuple[tuple[int, str, Callable[[Receipt, Links, _Facts], str]], ...]] = (
    (1, "checkpoint", _checkpoint), (2, "witnesses", _witnesses), (3, "record", _record), (4, "event", _event),
    (5, "fields", _fields), (6, "identity", _identity), (7, "seal", _seal), (8, "anchor", _anchor),
)  # fmt: skip


def _proved(fact: _T | None, what: str) -> _T:
    if fact is None:
        raise MissingError(f"cannot be checked without {what}")
    return fact


def moment(at_us: int) -> str:
    """A time as people read it, in UTC."""
    try:
        return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return f"{at_us} µs"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
