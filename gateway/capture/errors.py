"""Errors of capture."""

from crypto.errors import SealtrailError


class CaptureError(SealtrailError):
    """Events cannot be captured."""


class TooLargeError(CaptureError):
    """A document is over a bound that the gateway announces."""


class BusyCaptureError(CaptureError):
    """Not now: too many captures at once, or the event index is too far behind to know what is stored already."""


class UnknownJobError(CaptureError):
    """There is no such capture job, or it is another caller's."""
