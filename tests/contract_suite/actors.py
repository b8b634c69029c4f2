"""Who acts in the suite: key holders, and a small honest log in memory that can also be made to lie."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from chain.ledger.interface import Ledger
from chain.log.proofs import inclusion_path
from chaincode import identities, recovery
from chaincode.evidence import Evidence
from chaincode.identity_records import Identity, KeyRecord, Role, source_handle
from chaincode.log_rotation import KeyChange
from crypto import labels
from crypto.checkpoint import Checkpoint, sign_checkpoint
from crypto.keys import Algorithm, PrivateKey
from crypto.merkle import leaf_hash, root_of
from crypto.note import NoteSigner, SignatureType


def number(value: int) -> bytes:
    return str(value).encode()


def log_signers(origin: str) -> tuple[NoteSigner, NoteSigner]:
    """The two keys of a log: Ed25519 and ML-DSA-44."""
    return (
        NoteSigner(origin, SignatureType.ED25519, PrivateKey.generate(Algorithm.ED25519)),
        NoteSigner(origin, SignatureType.ML_DSA_44_COSIGNATURE, PrivateKey.generate(Algorithm.ML_DSA_44)),
    )


@dataclass
class MemoryLog:
    """A log whose leaves are numbers; proofs follow the recursion of RFC 9162 section 2.1.4.1."""

    origin: str
    signers: tuple[NoteSigner, ...]
    tag: bytes = b"leaf"
    time_s: int = 1_700_000_000

    def leaves(self, size: int) -> list[bytes]:
        return [leaf_hash(self.tag + number(i)) for i in range(size)]

    def checkpoint(self, size: int) -> Checkpoint:
        return Checkpoint(self.origin, size, root_of(self.leaves(size)))

    def note(self, size: int, signers: Sequence[NoteSigner] | None = None) -> bytes:
        used = self.signers if signers is None else signers
        return sign_checkpoint(self.checkpoint(size), used, self.time_s).marshal().encode()

    def proof(self, old: int, new: int) -> list[bytes]:
        return [] if old in (0, new) else _subproof(old, self.leaves(new), whole=True)

    def anchor(self, old: int, new: int) -> list[bytes]:
        """Arguments of logs.anchor."""
        return [self.note(new), *self.proof(old, new)]

    def rotation(self, size: int, new: Sequence[NoteSigner], *ledger: str) -> list[bytes]:
        """Arguments of logs.rotate at the head of this size."""
        head, vkeys = self.checkpoint(size), [tuple(str(s.vkey) for s in these) for these in (self.signers, new)]
        change = KeyChange(self.origin, vkeys[0], vkeys[1], size, head.root, ledger).encode()
        signatures = [s.private.sign(change, labels.LOG_KEY_ROTATION) for s in (*self.signers, *new)]
        return [change, self.note(size, new), *signatures]

    def evidence(self, index: int, size: int) -> bytes:
        """The argument that proves the record at `index` against the anchored checkpoint of `size` entries."""
        leaf, proof = self.tag + number(index), inclusion_path(self.leaves(size), index)
        return Evidence(self.origin, size, index, leaf, proof).encode()

    def fork(self) -> "MemoryLog":
        """Another history signed with the same keys."""
        return MemoryLog(self.origin, self.signers, b"forged", self.time_s)

    def vkeys(self) -> list[bytes]:
        return [str(signer.vkey).encode() for signer in self.signers]


def _subproof(old: int, leaves: list[bytes], *, whole: bool) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [root_of(leaves)]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if old <= split:
        return [*_subproof(old, leaves[:split], whole=whole), root_of(leaves[split:])]
    return [*_subproof(old - split, leaves[split:], whole=False), root_of(leaves[:split])]


@dataclass
class Actor:
    """A holder of an identity key."""

    name: str
    origin: str
    key: PrivateKey = field(default_factory=lambda: PrivateKey.generate(Algorithm.ED25519))
    role: str = "source"  # the one it was last enrolled in
    organisation: str = ""  # whose it calls for; empty: the first gateway's

    @property
    def handle(self) -> str:
        return source_handle(self.origin, self.name) if self.role == "source" else self.name

    def possession(self) -> bytes:
        return self.key.sign(identities.enrolment(self.name, self.origin, self.key.public), labels.ENROL)

    def bootstrap(self) -> list[bytes]:
        public, self.role = self.key.public, "gateway"
        return [self.name.encode(), public.algorithm.encode(), public.raw, self.origin.encode(), self.possession()]

    def enrolment(self, role: str, from_index: int = 0) -> list[bytes]:
        public, self.role = self.key.public, str(role)
        return [
            self.name.encode(), role.encode(), public.algorithm.encode(), public.raw,
            self.origin.encode(), number(from_index), self.possession(),
        ]  # fmt: skip

    def rotation(self, new: PrivateKey, from_index: int) -> list[bytes]:
        message = identities.rotation(self.name, self.key.public, new.public, from_index)
        return [
            self.handle.encode(), new.public.algorithm.encode(), new.public.raw, number(from_index),
            self.key.sign(message, labels.KEY_ROTATION), new.sign(message, labels.KEY_ROTATION),
        ]  # fmt: skip

    def revocation(self, at_index: int, reason: bytes = b"lost", *compromised_from: int) -> list[bytes]:
        return [self.handle.encode(), self.key.public.kid, number(at_index), reason, *map(number, compromised_from)]

    def recovery(self, offline: PrivateKey, signer: PrivateKey | None = None) -> list[bytes]:
        """Arguments of identities.recovery; the present key signs, or a former offline key."""
        signer, public = signer or self.key, offline.public
        message = recovery.registration(self._record(), signer.public, public)
        return [
            self.handle.encode(), public.algorithm.encode(), public.raw,
            signer.sign(message, labels.RECOVERY_KEY), offline.sign(message, labels.RECOVERY_KEY),
        ]  # fmt: skip

    def recovered(self, offline: PrivateKey, new: PrivateKey, from_index: int, *since: int) -> list[bytes]:
        """Arguments of identities.recover, as from the key that it has now."""
        message = recovery.recovering(self._record(), new.public, from_index, since[0] if since else None)
        return [
            self.handle.encode(), new.public.algorithm.encode(), new.public.raw, number(from_index),
            offline.sign(message, labels.KEY_RECOVERY), new.sign(message, labels.KEY_RECOVERY), *map(number, since),
        ]  # fmt: skip

    def _record(self) -> Identity:
        return Identity(
            self.name, Role.SOURCE, "", self.origin, (KeyRecord(self.key.public, 0),)
        )  # messages name no role


class CalledBy(Ledger, Protocol):
    """A ledger that can be called with other keys than its own."""

    def as_caller(self, caller: PrivateKey) -> Self: ...


async def admitted(first: CalledBy, origin: str) -> tuple[Actor, MemoryLog]:
    """A further gateway of the organisation whose gateway calls `first`, and its registered log."""
    actor, log = Actor(origin, origin), MemoryLog(origin, log_signers(origin))
    await first.submit("identities.enrol", *actor.enrolment("gateway"))
    await first.as_caller(actor.key).submit("logs.register", origin.encode(), *log.vkeys())
    return actor, log
