"""Proves a bundle under a trust policy, and makes the case of what was proved.

Everything in the file is untrusted; only the keys in the policy are trusted. In this order:

 1. ledger: one ledger of the policy opened the shipment, took each report, and changed it last as the file says
 2. policy: the cold chain policy is the one that the shipment names by its hash
 3. records: each disclosure was made by the gateway of the log that reports, and each record in it stands in that log
 4. numbers: none of the sources' numbers is missing between those shown, the content of every reading is there, and the
    reports on the ledger are of no others
"""

from collections.abc import Iterator
from dataclasses import dataclass

from chain.conditions.bundle import Bundle
from chain.conditions.case import Case, Reported, Shown
from chain.conditions.completeness import not_shown
from chain.conditions.errors import ConditionsError
from chain.conditions.samples import FIELD
from chain.disclosed import verify_disclosure
from chain.errors import UntrustedError
from chain.ledger.proof import LedgerCall, Prover
from chain.policy import Policy as TrustPolicy
from chain.receipt import LedgerPart
from chain.verify import REMEMBERED, WORST_FIRST, Outcome, State, Step, Verifier
from chain.verify import Report as Proof
from chaincode.coldchain.policy import Policy
from chaincode.coldchain.records import Progress, Shipment
from chaincode.coldchain.report import Report
from crypto.errors import SealtrailError

_PROGRESS = ("coldchain.open", "coldchain.report", "coldchain.overdue", "coldchain.release", "coldchain.close")
MAX_TOLD = 20


@dataclass(frozen=True, slots=True)
class Opened:
    """The steps, and the case where all of what it is made of was proved (None where not)."""

    steps: tuple[Step, ...]
    case: Case | None

    @property
    def outcome(self) -> Outcome:
        return Proof(self.steps, None, None, ()).outcome


def open_bundle(bundle: Bundle, trust: TrustPolicy) -> Opened:
    """Check everything; raises nothing for anything a bundle can hold."""
    steps: list[Step] = []
    try:
        ledger = _Ledger(bundle, Prover(trust, REMEMBERED))
        steps.append(Step(1, "ledger", State.HOLDS, ledger.said))
        policy = _policy(bundle, ledger.shipment)
        steps.append(Step(2, "policy", State.HOLDS, f"the shipment is under the policy {policy.name!r}"))
    except UntrustedError as e:
        return Opened((*steps, Step(len(steps) + 1, "ledger", State.FALSE, str(e), untrusted=True)), None)
    except SealtrailError as e:
        return Opened((*steps, Step(len(steps) + 1, ("ledger", "policy")[len(steps)], State.FALSE, str(e))), None)
    records, proofs = _records(bundle, ledger.shipment, Verifier(trust))
    steps += proofs
    if any(step.state is State.FALSE for step in steps):
        return Opened(tuple(steps), None)
    case = Case(ledger.shipment, policy, ledger.progress, ledger.reports, records)
    try:
        return Opened((*steps, *_numbers(case)), case)
    except ConditionsError as e:  # rows that are none
        return Opened((*steps, Step(4, "numbers", State.FALSE, str(e))), None)


class _Ledger:
    """What the ledger's evidence proves of the shipment."""

    def __init__(self, bundle: Bundle, prover: Prover) -> None:
        header, self._prover = bundle.header, prover
        opening = self._call(header.opening, "coldchain.open", header.shipment)
        self._name = opening.ledger
        self.shipment = Shipment.decode(opening.result)
        calls = [self._call(part, "coldchain.report", header.shipment) for part in header.reports]
        self.reports = tuple(Reported(Report.decode(call.args[1]), call.time_us) for call in calls)
        last = self._call(header.progress, "", header.shipment)
        self.progress = (
            Progress(0, self.shipment.from_us) if last.function == "coldchain.open" else Progress.decode(last.result)
        )
        seqs = [one.report.seq for one in self.reports]
        if seqs != list(range(1, self.progress.seq + 1)):
            raise ConditionsError(
                f"the shipment has {self.progress.seq} reports, the file those of numbers {seqs[:50]}"
            )
        self.said = (
            f"{opening.ledger} opened it and took {len(seqs)} report{'' if len(seqs) == 1 else 's'} ({last.vouched})"
        )

    def _call(self, part: LedgerPart, function: str, shipment_id: bytes) -> LedgerCall:
        call = self._prover.prove(part)
        if call.function not in ((function,) if function else _PROGRESS):
            raise ConditionsError(f"ledger evidence is of {call.function!r}, expected {function or 'a change'}")
        if call.args[0] != shipment_id:
            raise ConditionsError(f"{call.function} is of shipment {call.args[0].hex()[:16]}…, not of this one")
        if call.ledger != getattr(self, "_name", call.ledger):
            raise ConditionsError(f"the shipment was opened on {self._name}, but {call.function} is on {call.ledger}")
        return call


def _policy(bundle: Bundle, shipment: Shipment) -> Policy:
    policy = Policy.decode(bundle.header.policy)
    if policy.id != shipment.policy_id:
        raise ConditionsError(f"the policy {policy.name!r} is not the one that the shipment is under")
    return policy


def _records(bundle: Bundle, shipment: Shipment, verifier: Verifier) -> tuple[tuple[Shown, ...], list[Step]]:
    """The records of all disclosures, and a step for each disclosure."""
    shown: dict[int, Shown] = {}
    steps = []
    for disclosure in bundle.disclosures:
        origin = disclosure.header.origin
        if origin != shipment.reporter_origin:
            text = f"a disclosure is of {origin}, but {shipment.reporter_origin} reports"
            steps.append(Step(3, "records", State.FALSE, text))
            continue
        found = verify_disclosure(disclosure, verifier)
        for leaf, proof in found.records:
            if proof.record is not None:
                shown[leaf] = Shown(leaf, proof.record, dict(proof.fields).get(FIELD))
        steps.append(_proved(found.made, [(leaf, proof) for leaf, proof in found.records]))
    return tuple(shown[leaf] for leaf in sorted(shown)), steps


def _proved(made: Step, records: list[tuple[int, Proof]]) -> Step:
    """One step for a disclosure: the worst that was found in it, and where."""
    outcomes = {outcome: [leaf for leaf, proof in records if proof.outcome is outcome] for outcome in WORST_FIRST}
    if made.state is not State.HOLDS:
        return Step(3, "records", made.state, made.text, untrusted=made.untrusted)
    worst = next((outcome for outcome in WORST_FIRST if outcomes[outcome]), Outcome.VALID)
    if worst is Outcome.VALID:
        return Step(3, "records", State.HOLDS, f"{len(records):,} records stand in the log: {made.text}")
    leaf = outcomes[worst][0]
    why = next(step.text for step in dict(records)[leaf].steps if step.state is not State.HOLDS and _counts(step))
    state = {Outcome.DOUBTFUL: State.DOUBTFUL, Outcome.INCOMPLETE: State.MISSING}.get(worst, State.FALSE)
    text = f"{len(outcomes[worst]):,} of {len(records):,} records are {worst}, first record {leaf}: {why}"
    return Step(3, "records", state, text, untrusted=worst is Outcome.UNTRUSTED)


def _counts(step: Step) -> bool:
    return step.needed or step.state is not State.MISSING


def _numbers(case: Case) -> Iterator[Step]:
    holes, gone = case.holes(), case.unreadable()
    stripped = [] if holes or gone else list(not_shown(case))
    if holes:
        yield Step(4, "numbers", State.MISSING, f"records are missing: {'; '.join(holes[:MAX_TOLD])}")
    if gone:
        yield Step(4, "numbers", State.MISSING, f"{len(gone)} readings show no content, first record {gone[0]}")
    if stripped:
        yield Step(4, "numbers", State.MISSING, f"readings are missing: {'; '.join(stripped[:MAX_TOLD])}")
    if not holes and not gone and not stripped:
        text = f"no number is missing between the {len(case.records):,} records shown"
        if ends := case.ends():
            text += f"; whether more followed is not shown behind {'; '.join(ends[:MAX_TOLD])}"
        yield Step(4, "numbers", State.HOLDS, text)
