"""What recall.db keeps: recalls, who told us, whom we told, and what we said."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recall:
    """One recall as this gateway knows it. `maker`: it began here. `tier`: how far from the maker we are."""

    id: str
    drill: bool
    maker: bool
    lot: str
    grade: int
    reason: str
    deadline_us: int
    begun_us: int
    tier: int
    closed: bool


@dataclass(frozen=True, slots=True)
class Supplier:
    """Who told us, and whether a person here answered."""

    recall: str
    organisation: str
    notice: bytes
    packs: int
    heard_us: int
    confirmed: bool
    counts: str | None


@dataclass(frozen=True, slots=True)
class Customer:
    """A direct customer: how many packs it was sent by our events, and by the ledger (None: not known there); its
    newest signed answer; when its first and newest one came, 0 for never; whether the first was late. `told`: the
    outbox has its notice."""

    recall: str
    organisation: str
    packs: int
    told_us: int
    answer: bytes | None
    number: int
    salt: bytes
    first_us: int
    answered_us: int
    late: bool
    ledger: int | None
    told: bool


@dataclass(frozen=True, slots=True)
class Said:
    """An answer of ours. `opening`: the answers of customers that its root is of (gateway.recall.branches)."""

    recall: str
    organisation: str
    number: int
    body: bytes
    salt: bytes
    leaf: int
    tx_id: str
    opening: bytes


@dataclass(frozen=True, slots=True)
class Starting:
    """A recall that the ledger is being told of; `leaf` is the record that is its evidence."""

    leaf: int
    lot: str
    grade: int
    reason: str
    deadline_us: int
