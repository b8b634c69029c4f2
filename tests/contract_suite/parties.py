"""Who exchanges sealed objects in the suite: partners with KEM keys, and an object as the contract sees one."""

import secrets
from dataclasses import dataclass, field, replace
from hashlib import sha256

from chaincode import exchange, kem_keys
from chaincode.exchange import To
from chaincode.exchange_records import DeliveryStatement, Verdict
from chaincode.kem_records import KemKeys
from crypto import labels
from crypto.kem import KemPrivateKey, KemSuite
from tests.contract_suite.actors import Actor, number
from tests.contract_suite.world import ORIGIN, World


@dataclass
class Partner:
    """An identity with a signature key and a KEM key."""

    actor: Actor
    kem: KemPrivateKey = field(default_factory=lambda: KemPrivateKey.generate(KemSuite.X_WING))

    @property
    def handle(self) -> str:
        return self.actor.handle

    @property
    def to(self) -> To:
        return To(self.handle, self.kem.public.kid)

    def publication(self, count: int = 0, key: KemPrivateKey | None = None) -> list[bytes]:
        public = (key or self.kem).public
        message = kem_keys.publication(self.handle, public, count)
        signature = self.actor.key.sign(message, labels.KEM_KEY)
        return [self.handle.encode(), str(public.suite).encode(), public.raw, signature]

    def withdrawal(self, reason: str = "laptop lost") -> list[bytes]:
        kid = self.kem.public.kid
        signature = self.actor.key.sign(kem_keys.withdrawal(self.handle, kid, reason), labels.KEM_KEY)
        return [self.handle.encode(), kid, reason.encode(), signature]

    def receipt(self, said: DeliveryStatement) -> list[bytes]:
        return [said.encode(), self.actor.key.sign(said.encode(), labels.DELIVERY_RECEIPT)]

    def passes_on(self, thing: "Thing", to: To, holder: str | None = None) -> list[bytes]:
        named = holder or self.handle
        message = exchange.passing_on(thing.object_id, thing.digest, to, named)
        signature = self.actor.key.sign(message, labels.EXCHANGE_REGRANT)
        return [thing.object_id, to.encode(), named.encode(), signature]


@dataclass(frozen=True)
class Thing:
    """An object as it is granted, named by a record of the log."""

    object_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    content: bytes = b"ciphertext"
    origin: str = ORIGIN
    index: int = 3
    anchored_size: int = 5

    @property
    def digest(self) -> bytes:
        return sha256(self.content).digest()

    def grant(self, *to: To) -> list[bytes]:
        return [
            self.object_id, self.digest, number(len(self.content)), self.origin.encode(), number(self.anchored_size),
            number(self.index), *(recipient.encode() for recipient in to),
        ]  # fmt: skip

    def said(self, handle: str, verdict: Verdict = Verdict.OPENED, reason: str = "") -> DeliveryStatement:
        return DeliveryStatement(self.object_id, self.digest, handle, verdict, reason, 1_700_000_000_000_000)

    def but(self, **changes: object) -> "Thing":
        return replace(self, **changes)  # type: ignore[arg-type]


def partner(world: World, name: str) -> Partner:
    """Enrolled, with a published KEM key."""
    made = Partner(world.enrolled(name, "partner"))
    world.submit(world.gateway, "kem.publish", *made.publication())
    return made


def keys_of(world: World, handle: str) -> KemKeys:
    return KemKeys.decode(world.evaluate("kem.get", handle.encode()))
