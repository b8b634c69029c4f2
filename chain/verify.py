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

from enum import StrEnum
from typing import Final

from msgspec import Struct

from chain.checks import PLAN, Check, DoubtError, Facts, MissingError
from chain.errors import UntrustedError
from chain.event import Event
from chain.links import Links
from chain.policy import Policy
from chain.receipt import Receipt
from chain.record import Record
from crypto import cbor
from crypto.errors import SealtrailError

REMEMBERED = 256  # of each kind of link, by a verifier of many receipts


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


class Verifier:
    """Verifies receipts under one policy. Links that held are remembered (chain.links), so that a receipt that
    carries the same checkpoint, seal or ledger evidence as one before costs a fraction. From several threads, it
    is safe."""

    def __init__(self, policy: Policy, remember: int = REMEMBERED) -> None:
        self.links = Links(policy, remember)

    def verify(self, receipt: Receipt) -> Report:
        """Check every link and report on each; raises nothing for anything a receipt can hold."""
        facts = Facts()
        steps = tuple([_step(number, name, check, receipt, self.links, facts) for number, name, check in PLAN])
        return Report(steps, facts.record, facts.event, facts.fields)


def verify_receipt(receipt: Receipt, policy: Policy) -> Report:
    """Verify one receipt, as a new `Verifier` does."""
    return Verifier(policy).verify(receipt)


def _step(number: int, name: str, check: Check, receipt: Receipt, links: Links, facts: Facts) -> Step:
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
