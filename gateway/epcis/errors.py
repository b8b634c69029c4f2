"""The error of EPCIS: where in the JSON, what was expected, what came, and how to mend it."""

from typing import Self

from crypto.errors import FormatError


class EpcisError(FormatError):
    """A document, an event or an identifier is not what EPCIS 2.0 and its vocabulary (CBV 2.0) allow.

    place: JSON pointer (RFC 6901) into what was given, "" for the whole of it.
    reason: the rest of the message.
    """

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(reason, place)
        self.reason = reason
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}" if self.place else self.reason

    def inside(self, *parts: str | int) -> Self:
        """The same error, seen from what holds the value under `parts`: those on the way out add their own."""
        outer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1'):.80}" for part in parts)
        return type(self)(self.reason, outer + self.place)
