"""Verifies a disclosure offline: who made it for whom, and each record in it as the receipt that it stands for.

Everything in the file is untrusted; only the keys in the policy are trusted. What it proves beyond the receipts: that
the gateway of this log made exactly this file, for this auditor, for this reason. It proves nothing of what was left
out, and nothing of the time beyond the gateway's word.
"""

from collections.abc import Iterator

from msgspec import Struct

from chain.checks import moment
from chain.disclosure import Disclosure
from chain.errors import ReceiptError, UntrustedError
from chain.verify import Outcome, Report, State, Step, Verifier
from chaincode.identity_records import Role
from crypto.errors import SealtrailError

_ORDER = (Outcome.INVALID, Outcome.UNTRUSTED, Outcome.INCOMPLETE, Outcome.VALID)


class DisclosureReport(Struct, frozen=True):
    """The step over the file as a whole, and a report for each record by its place in the log."""

    made: Step
    records: tuple[tuple[int, Report], ...]

    @property
    def outcome(self) -> Outcome:
        """The worst of all."""
        own = Report((self.made,), None, None, ()).outcome
        found = {own, *(report.outcome for _, report in self.records)}
        return next(outcome for outcome in _ORDER if outcome in found)


def verify_disclosure(disclosure: Disclosure, verifier: Verifier) -> DisclosureReport:
    """Check the file and every record in it; raises nothing for anything a disclosure can hold."""
    records = tuple(_records(disclosure, verifier))
    try:
        return DisclosureReport(Step(0, "disclosure", State.HOLDS, _made(disclosure, verifier)), records)
    except UntrustedError as e:
        return DisclosureReport(Step(0, "disclosure", State.FALSE, str(e), untrusted=True), records)
    except SealtrailError as e:
        return DisclosureReport(Step(0, "disclosure", State.FALSE, str(e)), records)


def _records(disclosure: Disclosure, verifier: Verifier) -> Iterator[tuple[int, Report]]:
    for line in disclosure.lines:
        try:
            yield line.index, verifier.verify(disclosure.receipt(line))
        except ReceiptError as e:
            yield line.index, Report((Step(0, "disclosure", State.FALSE, str(e)),), None, None, ())


def _made(disclosure: Disclosure, verifier: Verifier) -> str:
    header = disclosure.header
    # 1. The ledger says which key the gateway of this log has.
    call, identity = verifier.links.enrolment(header.gateway)
    if (identity.role, identity.origin) != (Role.GATEWAY, header.origin):
        named = f"{identity.role} {identity.name} at {identity.origin}"
        raise ReceiptError(f"the ledger entry is of {named}, expected the gateway of {header.origin}")
    if identity.current_key is None:
        raise ReceiptError(f"the key of the gateway of {header.origin} was revoked")
    # 2. It signed these very bytes: for whom, why, when, and every record.
    disclosure.require_signed(identity.current_key)
    # 3. Its records are of its own log, in order, as many as it says, none twice.
    checkpoint = verifier.links.head(header.checkpoint).checkpoint
    places = [line.index for line in disclosure.lines]
    if checkpoint.origin != header.origin or len(places) != header.count or places != sorted(set(places)):
        raise ReceiptError("the disclosure does not hold the records that it says, each once and in order")
    purpose = f"for {header.to!r} on {moment(header.made_us)} because {header.reason!r}"
    return f"the gateway of {header.origin} made it {purpose} ({call.vouched})"
