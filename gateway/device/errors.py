"""Errors of the device: its folder, its buffer, its enrolment, its connection."""

from crypto.errors import SealtrailError


class DeviceError(SealtrailError):
    """The device folder, its options or its state do not allow what was asked."""


class DeviceBufferFullError(DeviceError):
    """The bound of the buffer, or the disk itself, is reached. Nothing was recorded, nothing overwritten."""


class EnrolmentError(DeviceError):
    """The gateway did not enrol this device, or its answer cannot be understood."""


class ConnectionLostError(DeviceError):
    """The connection could not be made or is gone. Everything not acknowledged is still in the buffer."""
