"""The gateway's static key for sessions: how a device comes to believe it, and a later one.

It is pinned at enrolment. Another one is accepted only under the signature of the pinned gateway key, for the same
log, and only if its serial number is higher: an announcement of old, recorded and sent again, takes nobody back.
"""

from typing import Final

from msgspec import Struct

from crypto import flat, labels
from crypto.errors import FormatError
from crypto.flat import Shape
from crypto.kem import KemPublicKey, KemSuite
from crypto.keys import PrivateKey, PublicKey
from crypto.session import messages
from crypto.session.messages import ANNOUNCEMENT

_VERSION: Final = 1
_BODY: Final = Shape({
    1: ("version", int), 2: ("origin", str), 3: ("serial", int), 4: ("suite", str), 5: ("public key", bytes),
})  # fmt: skip


class StaticKey(Struct, frozen=True):
    """Of the gateway whose log is `origin`. `serial` rises: microseconds since 1970 when the key was made."""

    origin: str
    serial: int
    key: KemPublicKey

    def announce(self, gateway: PrivateKey) -> bytes:
        """A message that any device of this gateway believes."""
        body = flat.encode({1: _VERSION, 2: self.origin, 3: self.serial, 4: str(self.key.suite), 5: self.key.raw})
        return messages.encode(ANNOUNCEMENT, {3: body, 4: gateway.sign(body, labels.SESSION_KEY)})


def open_announcement(message: bytes, gateway: PublicKey, origin: str, after: int) -> StaticKey:
    """The key of an announcement by the pinned `gateway` key for this log, newer than serial number `after`.

    Raises:
        FormatError, LimitError, SignatureError, KeyMaterialError: it is none.
    """
    # 1. Form, then signature, before the content is believed.
    item = messages.decode(message, ANNOUNCEMENT)
    gateway.verify(item[4], item[3], labels.SESSION_KEY)
    # 2. For this log, and newer.
    body = flat.decode(item[3], len(item[3]), "an announced key", _BODY)
    if body[1] != _VERSION or body[2] != origin or body[4] != KemSuite.X_WING:
        raise FormatError(f"expected an {KemSuite.X_WING} key of {origin} in version {_VERSION}")
    if body[3] <= after:
        raise FormatError(f"an announced key must be newer than serial {after}, got {body[3]}")
    return StaticKey(body[2], body[3], KemPublicKey(KemSuite.X_WING, body[5]))
