"""Errors of shipments at a gateway."""

from crypto.errors import SealtrailError


class ShipmentError(SealtrailError):
    """What was asked of a shipment does not fit: an unknown policy, logger or unit, or an act that is not ours."""


class UnknownShipmentError(ShipmentError):
    """No shipment of this id is on the ledger."""
