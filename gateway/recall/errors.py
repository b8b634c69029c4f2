"""Errors of recalls."""

from crypto.errors import SealtrailError


class RecallError(SealtrailError):
    """A recall cannot be started or answered so; the message says what is expected."""


class UnknownRecallError(RecallError):
    """There is no such recall here, or the partner who speaks of it was told of none."""


class StatementError(RecallError):
    """A notice or an answer is refused: malformed, not signed by whom it should be, replayed, or about another lot."""
