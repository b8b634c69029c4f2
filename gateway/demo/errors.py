"""The errors of the demonstration."""

from crypto.errors import SealtrailError


class DemoMissingError(SealtrailError):
    """A package or data file of the extra `demo` is not installed."""


class DemoError(SealtrailError):
    """The demo could not be played to its end."""
