"""The errors of the label station."""

from crypto.errors import SealtrailError


class StationError(SealtrailError):
    """The station cannot go on: its folder, its camera, its options or its ejector."""


class StationMissingError(StationError):
    """A package of the extra `vision` is not installed."""


class ImageRefusedError(StationError):
    """The bytes are no image that the station decodes. The message says why."""
