"""The chain of proof of one record, link by link, in words that a layman understands.

Each link is checked when it is asked for, with the gateway's own policy: this shows what is there and whether it
fits together. It does not ask to be believed: the receipt and the offline verifier are for that.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from chain.checks import moment
from chain.errors import ReceiptError
from chain.log.proofs import inclusion_proof
from chain.policy import Policy
from chain.receipt import Receipt
from chain.record import ERASURE_KIND, Authentication
from chain.store.seals import SealState
from chain.verify import Report, State, verify_receipt
from crypto.checkpoint import SignedCheckpoint, open_checkpoint
from crypto.commitments import fields_root
from crypto.errors import SealtrailError
from crypto.keys import Algorithm
from crypto.merkle import verify_inclusion
from gateway.query.detail import RecordDetail
from gateway.query.view import View

BuildReceipt = Callable[[View, int], Receipt]


class LinkState(StrEnum):
    """What was found of a link."""

    HOLDS = "holds"
    PENDING = "pending"  # not there yet; comes by itself
    DOUBTFUL = "doubtful"  # there, by a key that was in strange hands by then
    MISSING = "missing"  # not there, and will not come by itself
    FALSE = "false"  # there, and it does not fit


@dataclass(frozen=True, slots=True)
class Link:
    """One link: what it is called, what was found, a sentence, and the hashes and numbers behind it."""

    name: str
    title: str
    state: LinkState
    text: str
    facts: tuple[tuple[str, str], ...] = ()


def proof_chain(view: View, detail: RecordDetail, policy: Policy, build: BuildReceipt) -> tuple[Link, ...]:
    """Seven links from the event to the ledger, each found to hold, to be pending, doubtful, missing or false."""
    report = _report(view, detail, policy, build)
    signed = _signed(detail, policy)
    return (
        _event(detail), _seal(detail, report), _leaf(detail), _path(view, detail),
        _checkpoint(detail, signed), _witnesses(detail, policy, signed), _anchor(detail, policy, report),
    )  # fmt: skip


def _report(view: View, detail: RecordDetail, policy: Policy, build: BuildReceipt) -> Report | SealtrailError | None:
    """What the offline verifier says of this record's receipt; None before there can be one."""
    if not detail.anchored:
        return None
    try:
        return verify_receipt(build(view, detail.leaf), policy)
    except SealtrailError as e:
        return e


def _event(detail: RecordDetail) -> Link:
    record = detail.record
    facts: tuple[tuple[str, str], ...] = (("Content hash", record.content_hash.hex()),)
    if detail.is_seal:
        text = "This record logs a seal: a device's signature over a range of its events."
        return Link("event", "Seal received", LinkState.HOLDS, text, facts)
    if record.kind == ERASURE_KIND:
        text = f"This record logs an erasure: the payloads of {record.count:,} events were destroyed on purpose."
        return Link("event", "Erasure", LinkState.HOLDS, text, (*facts, *_erasure_facts(detail)))
    facts += (("Commitment to its fields", record.commitment.hex()),)
    if detail.erasure is not None:
        text = (
            f"The content was erased on purpose, as record {detail.erasure.leaf} says. Every other proof still holds."
        )
        return Link("event", "Event", LinkState.MISSING, text, (*facts, *_erasure_facts(detail)))
    if detail.sealed_to:
        text = "The content is sealed to its recipients. This gateway cannot read it; what it proves, they can show."
        return Link(
            "event", "Event", LinkState.MISSING, text, (*facts, *(("Sealed to", k.hex()) for k in detail.sealed_to))
        )
    if detail.content is None:
        text = "The content cannot be read here, and no record says that it was erased. Run fsck."
        return Link("event", "Event", LinkState.FALSE, text, facts)
    content = detail.content
    fits = fields_root(content.segment.seed, record.event_id, content.stored.fields) == record.commitment
    if not detail.content_matches or not fits:
        text = "The stored content is not the one this record was made for. It was changed after it was logged."
        return Link("event", "Event", LinkState.FALSE, text, facts)
    size = len(content.stored.event)
    text = f"The {size:,} bytes that {record.source} sent are kept exactly as they came."
    return Link("event", "Event", LinkState.HOLDS, text, facts)


def _erasure_facts(detail: RecordDetail) -> tuple[tuple[str, str], ...]:
    if detail.erasure is None:
        return ()
    erasure = detail.erasure.erasure
    return (
        ("Erased by record", str(detail.erasure.leaf)), ("Asked for", moment(erasure.asked_us)), ("By", erasure.by),
        ("Reason", erasure.reason), ("Mark of the subject", erasure.tag.hex()),
    )  # fmt: skip


def _seal(detail: RecordDetail, report: Report | SealtrailError | None) -> Link:
    record, stored = detail.record, detail.seal
    title = "Device signature"
    if record.kind == ERASURE_KIND:
        return Link("seal", title, LinkState.MISSING, "No device reported this: it is the gateway's own record.")
    if record.authentication is Authentication.GATEWAY_ONLY:
        text = f"{record.source} has no key of its own, so this event rests on the gateway's word."
        return Link("seal", title, LinkState.MISSING, text)
    if stored is None:
        text = f"{record.source} has not signed this stretch of its events yet. Its next seal will."
        return Link("seal", title, LinkState.PENDING, text)
    seal = stored.seal
    last = seal.first + seal.count - 1
    facts = (
        ("Covers", f"boot {seal.boot}, numbers {seal.first} to {last}"), ("Root over these events", seal.root.hex()),
        ("Signing key", seal.kid.hex()), ("Previous seal", seal.previous.hex()),
        ("Logged as record", str(stored.leaf)),
    )  # fmt: skip
    if stored.state is SealState.BROKEN:
        text = "The events that arrived are not the ones the device signed."
        return Link("seal", title, LinkState.FALSE, text, facts)
    if stored.state is SealState.PENDING:
        text = f"Signed, but some of the events {seal.first} to {last} have not arrived, so it cannot be checked yet."
        return Link("seal", title, LinkState.PENDING, text, facts)
    false = _false_step(report, "identity", "seal")
    if false:
        return Link("seal", title, LinkState.FALSE, f"The device's signature does not hold: {false}.", facts)
    doubt = _step(report, "seal", State.DOUBTFUL)
    if doubt:
        return Link("seal", title, LinkState.DOUBTFUL, f"{doubt[0].upper()}{doubt[1:]}.", facts)
    text = f"{record.source} signed its events {seal.first} to {last} with its own key. Nobody without that key can."
    return Link("seal", title, LinkState.HOLDS, text, facts)


def _leaf(detail: RecordDetail) -> Link:
    text = f"Entry {detail.leaf:,} of the log. It holds hashes and times, never the content itself."
    facts = (("Leaf hash", detail.leaf_hash.hex()), ("Entry (CBOR)", detail.entry.hex()))
    return Link("record", "Log record", LinkState.HOLDS, text, facts)


def _path(view: View, detail: RecordDetail) -> Link:
    title, stored = "Merkle path", detail.checkpoint
    if stored is None:
        text = "The next signed state of the log will include this record, within seconds."
        return Link("path", title, LinkState.PENDING, text)
    path = inclusion_proof(view.site.entries, detail.leaf, stored.size)
    facts = (("Root", stored.checkpoint.root.hex()), *((f"Hash {n}", h.hex()) for n, h in enumerate(path, 1)))
    try:
        verify_inclusion(detail.leaf_hash, detail.leaf, stored.size, path, stored.checkpoint.root)
    except SealtrailError as e:
        return Link("path", title, LinkState.FALSE, f"The record is not under the signed root: {e}.", facts)
    hashes = f"{len(path)} {'hash leads' if len(path) == 1 else 'hashes lead'}"
    text = f"{hashes} from this record to the root over all {stored.size:,} entries."
    return Link("path", title, LinkState.HOLDS, text, facts)


def _signed(detail: RecordDetail, policy: Policy) -> SignedCheckpoint | SealtrailError | None:
    if detail.checkpoint is None:
        return None
    try:
        keys = policy.log_keys(detail.checkpoint.checkpoint.origin)
        return open_checkpoint(detail.checkpoint.note, keys, policy.witness_keys())
    except SealtrailError as e:
        return e


def _checkpoint(detail: RecordDetail, signed: SignedCheckpoint | SealtrailError | None) -> Link:
    title = "Signed checkpoint"
    if signed is None or detail.checkpoint is None:
        return Link("checkpoint", title, LinkState.PENDING, "The log signs its state every few seconds.")
    if isinstance(signed, SealtrailError):
        return Link("checkpoint", title, LinkState.FALSE, f"The log's signature does not hold: {signed}.")
    checkpoint = signed.checkpoint
    facts = (
        ("Log", checkpoint.origin), ("Size", f"{checkpoint.size:,}"),
        ("Root", base64.b64encode(checkpoint.root).decode()),
        *(("Signed by", str(v.key)[:80] + "…") for v in signed.signers if v.key.name == checkpoint.origin),
    )  # fmt: skip
    kinds = {v.key.key.algorithm is not Algorithm.ED25519 for v in signed.signers if v.key.name == checkpoint.origin}
    words = {True: "a quantum-safe", False: "a classical"}
    with_what = " and ".join(words[kind] for kind in sorted(kinds))
    text = f"The log put its name to this state, with {with_what} signature."
    return Link("checkpoint", title, LinkState.HOLDS, text, facts)


def _witnesses(detail: RecordDetail, policy: Policy, signed: SignedCheckpoint | SealtrailError | None) -> Link:
    title = "Witnesses"
    if not policy.witnesses:
        text = "No independent witness is configured at this site. The ledger alone guards against a second history."
        return Link("witnesses", title, LinkState.MISSING, text)
    if not isinstance(signed, SignedCheckpoint):
        return Link("witnesses", title, LinkState.PENDING, "Witnesses cosign once the log has signed its state.")
    known = set(policy.witness_keys())
    cosigners = [v.key for v in signed.signers if v.key in known]
    facts = tuple(("Cosigned by", key.name) for key in cosigners)
    if not policy.satisfied_by(cosigners):
        text = f"{len(cosigners)} of {len(known)} witnesses cosigned, fewer than the policy demands."
        return Link("witnesses", title, LinkState.PENDING, text, facts)
    text = f"{len(cosigners)} of {len(known)} independent witnesses saw this same state."
    return Link("witnesses", title, LinkState.HOLDS, text, facts)


def _anchor(detail: RecordDetail, policy: Policy, report: Report | SealtrailError | None) -> Link:
    title = "Ledger anchor"
    if report is None or detail.checkpoint is None:
        return Link("anchor", title, LinkState.PENDING, "The ledger takes the next checkpoint within seconds.")
    false = _false_step(report, "anchor")
    if false:
        return Link("anchor", title, LinkState.FALSE, f"The ledger's evidence does not hold: {false}.")
    names = sorted({line.key.name for line in policy.ledgers} | {line.channel for line in policy.channels})
    facts = (
        ("Ledger", ", ".join(names) or "not in the policy"), ("Anchored size", f"{detail.checkpoint.size:,}"),
        ("Verified", _said(report, "anchor")),
    )  # fmt: skip
    text = "The ledger holds this checkpoint and refuses any other history: what came before cannot change unnoticed."
    return Link("anchor", title, LinkState.HOLDS, text, facts)


def _step(report: Report | SealtrailError | None, name: str, state: State) -> str:
    """What the offline verifier says of a step that it found in this state; empty where it did not."""
    steps = report.steps if isinstance(report, Report) else ()
    return next((step.text for step in steps if step.name == name and step.state is state), "")


def _said(report: Report | SealtrailError, name: str) -> str:
    """What the offline verifier says of a step."""
    steps = () if isinstance(report, SealtrailError) else report.steps
    return next((step.text for step in steps if step.name == name), "")


def _false_step(report: Report | SealtrailError | None, *names: str) -> str | None:
    """What the offline verifier found false or untrusted among these steps."""
    if isinstance(report, ReceiptError):
        return str(report)
    if isinstance(report, SealtrailError):
        return f"a receipt cannot be built ({report})"
    steps = report.steps if report else ()
    bad = [step.text for step in steps if step.name in names and step.state is State.FALSE]
    return bad[0] if bad else None
