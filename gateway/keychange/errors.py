"""Errors of changing a site's keys."""

from crypto.errors import SealtrailError


class MigrationError(SealtrailError):
    """The site's keys cannot be changed as asked; it goes on with those it has."""
