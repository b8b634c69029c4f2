"""Errors of the consumer page."""

from crypto.errors import SealtrailError


class ConsumerError(SealtrailError):
    """What was asked for cannot be answered."""


class NoPackError(ConsumerError):
    """What was scanned names no pack and no lot."""
