"""Errors of tracing."""

from gateway.query.errors import QueryError


class TraceError(QueryError):
    """The identifier or the question cannot be used: the message says what is expected."""
