"""Errors of sessions. Their words are for the local log: the peer hears of one kind of failure only."""

from crypto.errors import SealtrailError


class SessionError(SealtrailError):
    """A handshake or a frame is not accepted, or a session may not go on."""


class HandshakeError(SessionError):
    """A handshake message is not what the honest peer would have sent here."""


class FrameError(SessionError):
    """A frame does not open: altered, moved, of another session, or of an epoch whose keys are gone."""


class ReplayedError(FrameError):
    """A frame was opened before, or is older than the window remembers. To be dropped in silence."""


class SessionEndedError(SessionError):
    """This end of the session may send no more: its bound is reached, or this process is a copy of its maker."""
