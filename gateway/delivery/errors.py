"""Errors of the outbox and of those who carry what it holds."""

from crypto.errors import SealtrailError


class DeliveryError(SealtrailError):
    """Something cannot be handed to the outbox, or brought to its receiver."""


class AddressError(DeliveryError):
    """The gateway sends nothing to this address: its form or the rule for addresses forbids it."""


class OutboxFullError(DeliveryError):
    """A bound of the outbox is reached, and this target wants new deliveries refused rather than old ones put out."""


class WebhookError(DeliveryError):
    """What came is no webhook of whom it should be from: unsigned, altered, too old, or signed with another secret."""


class SendError(DeliveryError):
    """A try that failed. `refused`: the receiver has read it and does not want this one, whatever is behind it;
    `wait_s`: how long it asks to be left alone."""

    def __init__(self, said: str, *, refused: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(said)
        self.refused, self.wait_s = refused, wait_s
