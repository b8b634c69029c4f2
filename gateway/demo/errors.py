"""The errors of the demonstration."""

from crypto.errors import SealtrailError


class DemoMissingError(SealtrailError):
    """A package or data file of the extra `demo` is not installed."""
