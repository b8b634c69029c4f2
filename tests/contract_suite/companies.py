"""Companies on one ledger: each with an organisation, a gateway and an anchored log of its own; and their goods."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from secrets import token_bytes

from chain.log.proofs import inclusion_path
from chaincode.lots.items import Position, Quantity
from chaincode.lots.records import Balance
from chaincode.lots.unit_records import UnitRecord
from crypto import cbor
from crypto.merkle import EMPTY_ROOT, leaf_hash, root_of
from tests.contract_suite.actors import Actor, MemoryLog, log_signers, number
from tests.contract_suite.world import World
from tests.network.networks import PARTNERS

ANCHORED = 64  # records that each log has: evidence for as many changes


class Company:
    """A company's gateway and log in one world. Each call takes the next record of its log as evidence."""

    def __init__(self, world: World, actor: Actor, log: MemoryLog, organisation: str) -> None:
        self.world, self.actor, self.log, self.organisation = world, actor, log, organisation
        self._records = count()

    @property
    def named(self) -> bytes:
        return self.organisation.encode()

    def evidence(self) -> bytes:
        """Of a record that evidences nothing else."""
        return self.log.evidence(next(self._records), ANCHORED)

    def submit(self, function: str, *args: bytes) -> bytes:
        return self.world.submit(self.actor, function, *args).result

    def balance(self, lot_id: bytes) -> Balance:
        return Balance.decode(self.world.evaluate("lots.balance", lot_id, self.named))

    def commission(self, lot: "Lot", *inputs: Quantity) -> bytes:
        return self.submit("lots.commission", *lot.commission(self.evidence(), *inputs))

    def pack(self, unit: "Unit") -> bytes:
        return self.submit("lots.pack", *unit.pack(self.evidence()))

    def unpack(self, unit: "Unit") -> bytes:
        return self.submit("lots.unpack", unit.unit_id, self.evidence())

    def ship(self, to: "Company", *units: "Unit") -> list[UnitRecord]:
        return unit_records(self.submit("lots.ship", *ids(units), to.named, self.evidence()))

    def receive(self, *units: "Unit") -> list[UnitRecord]:
        return unit_records(self.submit("lots.receive", *ids(units), self.evidence()))

    def send(self, to: "Company", *units: "Unit") -> None:
        """Shipped and received."""
        self.ship(to, *units)
        to.receive(*units)


def ids(units: Sequence["Unit"]) -> list[bytes]:
    return [unit.unit_id for unit in units]


def unit_records(answer: bytes) -> list[UnitRecord]:
    return [UnitRecord.decode(one) for one in cbor.decode(answer, 2**20)]


def companies(world: World) -> list[Company]:
    """Three of them: the first has the world's own gateway and log."""
    made = [Company(world, world.gateway, world.log, world.identity(world.gateway.name).organisation)]
    world.anchor(0, ANCHORED)
    for name in PARTNERS[1:]:
        origin = f"{name.lower()}.example/gw"
        actor, log = Actor(f"{name}/gateway", origin, organisation=name), MemoryLog(origin, log_signers(origin))
        world.submit(actor, "identities.bootstrap", *actor.bootstrap())
        world.submit(actor, "logs.register", origin.encode(), *log.vkeys())
        world.anchor(0, ANCHORED, log, actor)
        made.append(Company(world, actor, log, name))
    return made


def tree(members: Sequence[bytes]) -> bytes:
    return root_of([leaf_hash(one) for one in members]) if members else EMPTY_ROOT


def position(members: Sequence[bytes], member: bytes) -> bytes:
    """The encoded proof that it is one of them."""
    index = members.index(member)
    return Position(index, tuple(inclusion_path([leaf_hash(one) for one in members], index))).encode()


@dataclass(frozen=True)
class Lot:
    """A lot as its maker knows it; `packs` are the ids of its packs, and none where it is an amount of something."""

    count: int
    lot_id: bytes = field(default_factory=lambda: token_bytes(32))
    serialised: bool = True
    expiry: bytes = b""

    @property
    def packs(self) -> list[bytes]:
        return sorted(sha256(self.lot_id + number(i)).digest() for i in range(self.count)) if self.serialised else []

    def of(self, count: int) -> Quantity:
        return Quantity(self.lot_id, count)

    def commission(self, evidence: bytes, *inputs: Quantity) -> list[bytes]:
        made_of = [one.encode() for one in sorted(inputs, key=lambda one: one.lot_id)]
        return [self.lot_id, tree(self.packs), number(self.count), self.expiry, evidence, *made_of]


@dataclass(frozen=True)
class Unit:
    """A unit as its packer knows it: of packs of lots, or of units."""

    members: list[bytes]
    contents: Sequence[bytes]
    unit_id: bytes = field(default_factory=lambda: token_bytes(32))

    def pack(self, evidence: bytes) -> list[bytes]:
        return [self.unit_id, tree(self.members), number(len(self.members)), *self.contents, evidence]

    def pallet(self, *others: "Unit") -> "Unit":
        """A unit of this one and others."""
        return Unit(inside := sorted(ids([self, *others])), inside)


def case(lot: Lot, first: int = 0, last: int | None = None) -> Unit:
    """A unit of these packs of a lot."""
    packs = lot.packs[first:last]
    return Unit(packs, [lot.of(len(packs)).encode()])
