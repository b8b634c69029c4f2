"""Errors of the queries; the REST interface gives each its status."""

from crypto.errors import SealtrailError


class NotFoundError(SealtrailError):
    """There is no such record, source or series here."""


class QueryError(SealtrailError):
    """The question itself cannot be answered: a bad cursor, an empty time range."""


class BusyError(SealtrailError):
    """Too many questions at once, or one that would take too long."""


class NotIndexedError(SealtrailError):
    """The record index is not there yet, or is being built again."""
