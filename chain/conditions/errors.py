"""What goes wrong where conditions are computed."""

from crypto.errors import SealtrailError


class ConditionsError(SealtrailError):
    """Readings, a table of temperatures or a bundle cannot be read or computed; the message says where and why."""
