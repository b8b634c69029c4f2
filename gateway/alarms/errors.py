"""Errors of alarms."""

from crypto.errors import SealtrailError


class AlarmError(SealtrailError):
    """An alarm is not known, or cannot be told to a target as it is configured."""
