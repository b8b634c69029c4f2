"""Records of exceptions: that goods and data disagree, whom it concerns, what they answered, and how it ended.

They are what FMD calls alerts and DSCSA exceptions. What was said in detail is off the ledger, named by a hash.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from chaincode.arguments import digest as digest_of
from chaincode.evidence import EvidenceRef
from chaincode.lots.items import choice, optional, organisation, when
from chaincode.state import digest, encoded, fields, number
from crypto import cbor
from crypto.errors import FormatError

MAX_ABOUT = 16
MAX_HOLDS = 16
MAX_OWN_HOLDS = MAX_HOLDS // 2  # of the custodian, and of the recipient: neither fills the other's place
_EXCEPTION = frozenset(range(1, 14))
_HOLD = frozenset(range(1, 3))


class Kind(StrEnum):
    """What is wrong. The contract itself opens the last three, when a pack is to be ended that may not be."""

    PRODUCT_WITHOUT_DATA = "product-without-data"
    DATA_WITHOUT_PRODUCT = "data-without-product"
    QUANTITY_DIFFERS = "quantity-differs"
    LABEL_DIFFERS = "label-differs"  # lot or expiry
    DAMAGED = "damaged"
    SUSPECT = "suspect"
    OTHER = "other"
    DUPLICATE_SERIAL = "duplicate-serial"
    RECALLED_PRODUCT = "recalled-product"
    QUARANTINED_PRODUCT = "quarantined-product"


class Resolution(StrEnum):
    """How an exception ended. Without an answer only `withdrawn` and, behind the deadline, `unanswered` are
    possible."""

    CORRECTED = "corrected"
    EXPLAINED = "explained"
    FALSE_ALERT = "false-alert"
    FALSIFIED = "falsified"
    RETURNED = "returned"
    DESTROYED = "destroyed"
    WITHDRAWN = "withdrawn"
    UNANSWERED = "unanswered"


class ExceptionState(StrEnum):
    """Where its workflow is."""

    OPEN = "open"
    ANSWERED = "answered"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a party said: evidence in its own log, and the hash of the answer itself."""

    evidence: EvidenceRef
    detail: bytes
    answered_us: int
    tx_id: str

    def items(self) -> list[cbor.CborValue]:
        return [self.evidence.items(), self.detail, self.answered_us, self.tx_id]

    @classmethod
    def of(cls, items: Any) -> Self:
        evidence, detail, answered_us, tx_id = when(items, "an answer", list, bytes)
        return cls(EvidenceRef.of(evidence), digest_of(detail, "hash of an answer"), answered_us, tx_id)


@dataclass(frozen=True, slots=True)
class Party:
    """An organisation that is asked, and its answer."""

    organisation: str
    answer: Answer | None = None

    def items(self) -> list[cbor.CborValue]:
        return [self.organisation, self.answer.items() if self.answer else None]

    @classmethod
    def of(cls, items: Any) -> Self:
        if type(items) is not list or len(items) != 2:
            raise FormatError("a party is a list of organisation and answer or null")
        return cls(organisation(items[0]), optional(items[1], Answer.of))


@dataclass(frozen=True, slots=True)
class End:
    """How, by whom and on which evidence an exception was resolved."""

    resolution: Resolution
    organisation: str
    evidence: EvidenceRef
    resolved_us: int
    tx_id: str

    def items(self) -> list[cbor.CborValue]:
        return [str(self.resolution), self.organisation, self.evidence.items(), self.resolved_us, self.tx_id]

    @classmethod
    def of(cls, items: Any) -> Self:
        resolution, by, evidence, resolved_us, tx_id = when(items, "an end", str, str, list)
        return cls(
            choice(Resolution, resolution, "resolution"), organisation(by), EvidenceRef.of(evidence), resolved_us, tx_id
        )


@dataclass(frozen=True, slots=True)
class ExceptionRecord:
    """An exception about lots, units or packs (`about`: their ids). `owner` resolves it: who reported it, or the lot's
    maker where the contract opened it itself; then `parties` are those who ended, or tried to end, the pack. `evidence`
    is the reporter's, `other` that of the pack's first end. `detail` is the hash of what is told off the ledger.
    `deadline_us` is 0 where there is none."""

    exception_id: bytes
    kind: Kind
    about: tuple[bytes, ...]
    owner: str
    parties: tuple[Party, ...]
    evidence: EvidenceRef
    other: EvidenceRef | None
    detail: bytes | None
    deadline_us: int
    opened_us: int
    tx_id: str
    end: End | None = None

    @property
    def state(self) -> ExceptionState:
        if self.end is not None:
            return ExceptionState.RESOLVED
        answered = bool(self.parties) and all(party.answer for party in self.parties)
        return ExceptionState.ANSWERED if answered else ExceptionState.OPEN

    def party(self, organisation: str) -> Party | None:
        """Its part in this; None where it has none."""
        return next((party for party in self.parties if party.organisation == organisation), None)

    def encode(self) -> bytes:
        return encoded(
            self.exception_id, str(self.kind), list(self.about), self.owner,
            [party.items() for party in self.parties], self.evidence.items(),
            self.other.items() if self.other else None, self.detail, self.deadline_us, self.opened_us, self.tx_id,
            self.end.items() if self.end else None,
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _EXCEPTION, "exception record")
        about, parties = cbor.field(item, 4, list, "about"), cbor.field(item, 6, list, "parties")
        if not 1 <= len(about) <= MAX_ABOUT or len(parties) > 2:
            raise FormatError(f"an exception is about 1 to {MAX_ABOUT} things, and has two parties at most")
        return cls(
            digest(item, 2, "exception id"), choice(Kind, item[3], "kind"),
            tuple(digest_of(one, "id") for one in about), organisation(item[5]), tuple(map(Party.of, parties)),
            EvidenceRef.of(item[7]), optional(item[8], EvidenceRef.of),
            optional(item[9], lambda _: digest(item, 9, "detail")), number(item, 10, "deadline"),
            number(item, 11, "time"), cbor.field(item, 12, str, "transaction id"), optional(item[13], End.of),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hold:
    """The open exceptions on a unit with their owners, in ascending order of their ids. One keeps the unit where it is
    while its owner has the unit or is to receive it."""

    exceptions: tuple[tuple[bytes, str], ...]

    def of(self, *organisations: str | None) -> tuple[tuple[bytes, str], ...]:
        """Those of these owners."""
        return tuple(one for one in self.exceptions if one[1] in organisations)

    def encode(self) -> bytes:
        return encoded([[exception_id, owner] for exception_id, owner in self.exceptions])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        found = cbor.field(fields(data, _HOLD, "hold"), 2, list, "exceptions")
        if len(found) > MAX_HOLDS or any(type(one) is not list or len(one) != 2 for one in found):
            raise FormatError(f"a unit is held by {MAX_HOLDS} exceptions at most, each with its owner")
        return cls(tuple((digest_of(one[0], "exception id"), organisation(one[1])) for one in found))
