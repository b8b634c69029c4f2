"""The errors of the object store."""

from crypto.errors import SealtrailError


class ObjectError(SealtrailError):
    """A sealed object cannot be taken, found or given: the message says which and why."""


class UnknownObjectError(ObjectError):
    """No such object is kept here."""


class ObjectRoomError(ObjectError):
    """The bound of the object store, or the disk, has no room for it."""


class AlteredObjectError(ObjectError):
    """What is kept is not what was stored: its digest or length differs."""
