"""Two honest ends of a handshake, and what passed between them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from crypto.kem import KemPrivateKey, KemSuite
from crypto.keys import Algorithm, PrivateKey
from crypto.session.handshake import DeviceHandshake, GatewayHandshake, Session
from crypto.session.messages import Hello, Terms
from crypto.session.suites import PREFERRED

STATIC = KemPrivateKey.generate(KemSuite.X_WING)
ALGORITHMS = [algorithm for algorithm in Algorithm if algorithm is not Algorithm.SLH_DSA_SHA2_128S]  # signs in 0.3 s
KEYS = {algorithm: PrivateKey.generate(algorithm) for algorithm in ALGORITHMS}
DEVICE = KEYS[Algorithm.ED25519]
SOURCE = "fridge-7"


@dataclass
class Ends:
    """One handshake, up to the message that a test wants to tamper with."""

    device_key: PrivateKey = DEVICE
    wanted: Sequence[int] = PREFERRED
    offered: Sequence[int] = PREFERRED
    terms: Terms = field(default_factory=Terms)
    messages: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        hello = Hello(SOURCE, self.device_key.public.kid, 3)
        self.device = DeviceHandshake(STATIC.public, self.device_key, hello, self.wanted)
        self.messages[1] = self.device.hello

    def first(self) -> bytes:
        return self.messages[1]

    def second(self) -> bytes:
        self.gateway = GatewayHandshake(STATIC, self.messages[1], self.offered)
        self.messages[2] = self.gateway.welcome(self.terms)
        return self.messages[2]

    def third(self) -> bytes:
        self.messages[3] = self.device.answer(self.second())
        return self.messages[3]

    def fourth(self) -> bytes:
        proof = self.third()
        self.messages[4], self.at_gateway = self.gateway.finish(proof, self.device_key.public)
        return self.messages[4]

    def both(self) -> tuple[Session, Session]:
        """The session at the device, and at the gateway."""
        confirmation = self.fourth()
        return self.device.finish(confirmation), self.at_gateway


def flips(message: bytes, step: int = 1) -> list[bytes]:
    """The message with one bit altered, once in each byte."""
    out = []
    for place in range(0, len(message), step):
        altered = bytearray(message)
        altered[place] ^= 1 << place % 8
        out.append(bytes(altered))
    return out
