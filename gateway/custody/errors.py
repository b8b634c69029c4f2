"""Errors of custody, partners and hand-overs."""

from crypto.errors import SealtrailError


class CustodyError(SealtrailError):
    """Something about a thing, its lot or its place in a tree is not known or does not fit."""


class UnknownUnitError(CustodyError):
    """No secret of this lot or logistic unit is known here: it was neither made here nor handed over. `thing`: the URI
    of what a hand-over may still bring, empty where none can."""

    def __init__(self, message: str, thing: str = "") -> None:
        super().__init__(message)
        self.thing = thing


class PartnerError(SealtrailError):
    """A partner is not known, cannot be reached, or answered otherwise than a gateway does."""


class PartnerTokenError(PartnerError):
    """The file with our token for a partner's gateway has none that can be read; once it has, all goes on."""


class PartnerAwayError(PartnerError):
    """A partner's gateway did not answer; later it may."""


class HandoverError(SealtrailError):
    """A hand-over is not what its sender's gateway signed, or not what the ledger says."""


class NoRoomError(SealtrailError):
    """So much of a partner's waits here already that more is taken later only."""
