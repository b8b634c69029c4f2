"""The checks of the offline verifier: one function for each link of the chain of proof (listed in chain.verify).

A check takes a receipt, which is untrusted, and the facts that the checks before it proved; it adds its own, and
returns a sentence. It raises where its link does not hold: MissingError and DoubtError where nothing is false.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

from msgspec import Struct

from chain.erasure import open_erasure
from chain.errors import ReceiptError
from chain.event import Event, content_hash
from chain.links import Head, Links
from chain.policy import NONE
from chain.receipt import MAX_VALUE_BYTES, ErasurePart, Field, Receipt
from chain.record import ERASURE_KIND, LOGS_OWN, SEAL_KIND, Record
from chain.seal import Seal, require_names
from chaincode.identity_records import Identity, Role
from crypto import cbor
from crypto.commitments import field_leaf
from crypto.errors import CommitmentError, ProofError, SealtrailError, SignatureError
from crypto.merkle import leaf_hash, verify_inclusion

_T = TypeVar("_T")


class MissingError(SealtrailError):
    """The receipt lacks a link."""

    def __init__(self, text: str, *, needed: bool = True) -> None:
        super().__init__(text)
        self.needed = needed


class DoubtError(SealtrailError):
    """The link holds, but the key that it rests on was in strange hands by then."""


class Facts(Struct):
    """What the steps before have proved. A step that needs a fact that is not there says so."""

    head: Head | None = None
    record: Record | None = None
    event: Event | None = None
    identity: Identity | None = None
    fields: tuple[tuple[str, cbor.CborValue], ...] = ()


Check = Callable[[Receipt, Links, Facts], str]


def _checkpoint(receipt: Receipt, links: Links, facts: Facts) -> str:
    head = facts.head = links.head(receipt.checkpoint)
    checkpoint = head.checkpoint
    return f"{checkpoint.origin} signed its state at {checkpoint.size:,} entries with {_plural(head.keys, 'key')}"


def _witnesses(receipt: Receipt, links: Links, facts: Facts) -> str:
    head, quorum = _proved(facts.head, "a checkpoint that holds"), links.policy.quorum
    if not head.quorum:
        raise MissingError(f"the quorum {quorum!r} is not reached: {_plural(head.cosigners, 'cosignature')}")
    if quorum == NONE:
        return "the policy demands no witnesses"
    return f"{_plural(head.cosigners, 'cosignature')} make up the policy's quorum {quorum!r}"


def _record(receipt: Receipt, links: Links, facts: Facts) -> str:
    checkpoint = _proved(facts.head, "a checkpoint that holds").checkpoint
    leaf = leaf_hash(receipt.record)
    links.included(leaf, receipt.index, checkpoint.size, receipt.inclusion, checkpoint.root)
    record = facts.record = Record.decode(receipt.record)
    return f"record {receipt.index} of {record.source} (boot {record.boot}, number {record.seq}) is in the log"


def _event(receipt: Receipt, links: Links, facts: Facts) -> str:
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


def _erased(receipt: Receipt, part: ErasurePart, record: Record, links: Links, facts: Facts) -> str:
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


def _fields(receipt: Receipt, links: Links, facts: Facts) -> str:
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


def _identity(receipt: Receipt, links: Links, facts: Facts) -> str:
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


def _seal(receipt: Receipt, links: Links, facts: Facts) -> str:
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


def _anchor(receipt: Receipt, links: Links, facts: Facts) -> str:
    checkpoint = _proved(facts.head, "a checkpoint that holds").checkpoint
    if receipt.anchor is None:
        demanded = bool(links.policy.ledgers or links.policy.channels)
        raise MissingError("the receipt does not show this checkpoint on a ledger", needed=demanded)
    call, anchored = links.anchor(receipt.anchor)
    if anchored != checkpoint:
        raise ReceiptError(f"the ledger holds a checkpoint of size {anchored.size}, not the one of this receipt")
    return f"{call.ledger} holds this checkpoint ({call.vouched})"


PLAN: Final[tuple[tuple[int, str, Check], ...]] = (
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
