"""Errors of the consumer page."""

from crypto.errors import SealtrailError


class ConsumerError(SealtrailError):
    """The page cannot answer: its book of scans does not open."""


class NoPackError(ConsumerError):
    """What was scanned names no pack and no lot."""
