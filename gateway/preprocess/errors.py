"""The errors of preprocessing. Both tell a person what was expected, what came, and how to mend it."""

from crypto.errors import FormatError, SealtrailError


class PayloadRejected(FormatError):  # noqa: N818 - a verdict on input, named as the pipeline speaks of it
    """A payload does not fit its kind. It belongs into the dead-letter table together with this message."""


class UnknownKindError(SealtrailError):
    """No kind has this name or this code."""
