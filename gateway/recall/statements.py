"""What gateways say to each other in a recall: notices down, answers up, each signed (docs/formats/recall.md).

Everything decoded here is untrusted until `require_signed` passed under a key that the ledger has for the sender, and
what it says until it was compared with what is known here.
"""

from dataclasses import astuple, dataclass
from hashlib import sha256
from typing import Any

from crypto import cbor, labels
from crypto.cbor import CborValue
from crypto.errors import FormatError
from crypto.flat import MAX_NUMBER
from crypto.keys import PrivateKey, PublicKey
from crypto.merkle import HASH_BYTES
from gateway.recall.errors import StatementError

VERSION = 1
MAX_BODY_BYTES = 32 * 1024
MAX_TEXT = 2_200
MAX_TIERS = 16
MEDIA_TYPE = "application/vnd.sealtrail.recall"
_HEADING = [int, str, str, str, str, bool, str]


@dataclass(frozen=True, slots=True)
class Heading:
    """From which gateway (its name on the ledger) to which organisation, about which recall of which lot (its
    canonical URI)."""

    sender: str
    recipient: str
    recall: str
    drill: bool
    lot: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A lot is recalled. `grade` is the class from 1 (gravest) to 3; answers are wanted until `deadline_us`; `packs` is
    how many the sender sent to the recipient, by its own events; `tier` is 1 for the maker's direct customers."""

    heading: Heading
    grade: int
    reason: str
    deadline_us: int
    sent_us: int
    packs: int
    tier: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Packs by what became of them. `unknown`: neither here nor known to be elsewhere."""

    quarantined: int = 0
    sold: int = 0
    destroyed: int = 0
    returned: int = 0
    in_transit: int = 0
    unknown: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """A sum is 2^63-1 at most: what others say must not make a statement that nobody reads."""
        return Counts(*(min(one + two, MAX_NUMBER) for one, two in zip(astuple(self), astuple(other), strict=True)))

    @property
    def accounted(self) -> int:
        """Those of which somebody says what became of them."""
        return self.quarantined + self.sold + self.destroyed + self.returned

    @property
    def total(self) -> int:
        return self.accounted + self.in_transit + self.unknown


@dataclass(frozen=True, slots=True)
class Tier:
    """All customers of one distance together: how many there are, have answered, and were silent when the time was
    over; and when the last answer came, 0 for none."""

    customers: int
    answered: int
    silent: int
    last_us: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the packs that the sender got from the recipient. `number` grows with each new answer. `received`
    is how many these were; `own` counts what did not go further; `passed_on` what its customers said all together;
    `unanswered` are packs at customers who have not answered; `tiers` counts its customers, theirs, and so on, without
    names; `flagged` is how many of them claim more than they got. `root` is the Merkle root of its customers' signed
    answers, so that each of them can be shown later."""

    heading: Heading
    number: int
    answered_us: int
    by_person: bool
    received: int
    own: Counts
    passed_on: Counts
    unanswered: int
    tiers: tuple[Tier, ...]
    flagged: int
    root: bytes

    @property
    def claimed(self) -> int:
        """Packs of which it speaks. What customers returned is among its own once it has it."""
        beyond = self.passed_on.total - self.passed_on.returned
        return min(max(self.received, self.own.total + beyond + self.unanswered), MAX_NUMBER)


Statement = Notice | Answer


def encode(statement: Statement) -> bytes:
    """What is signed: a CBOR list."""
    heading = statement.heading
    items: list[CborValue] = [
        VERSION, "notice" if isinstance(statement, Notice) else "answer", heading.sender, heading.recipient,
        heading.recall, heading.drill, heading.lot,
    ]  # fmt: skip
    if isinstance(statement, Notice):
        items += [
            statement.grade, statement.reason, statement.deadline_us, statement.sent_us, statement.packs,
            statement.tier,
        ]  # fmt: skip
    else:
        items += [
            statement.number, statement.answered_us, statement.by_person, statement.received,
            list(astuple(statement.own)), list(astuple(statement.passed_on)), statement.unanswered,
            [list(astuple(tier)) for tier in statement.tiers], statement.flagged, statement.root,
        ]  # fmt: skip
    return cbor.encode(items)


def signed(statement: Statement, key: PrivateKey) -> bytes:
    """The body of a request: CBOR [statement, kid, signature]."""
    message = encode(statement)
    return cbor.encode([message, key.public.kid, key.sign(message, labels.RECALL)])


@dataclass(frozen=True, slots=True)
class Signed:
    """A body, opened and not believed yet."""

    body: bytes
    message: bytes
    kid: bytes
    signature: bytes
    statement: Statement

    def require_signed(self, key: PublicKey) -> None:
        """SignatureError unless this key signed it."""
        key.verify(self.signature, self.message, labels.RECALL)

    @property
    def digest(self) -> bytes:
        return sha256(self.body).digest()


def open_signed(body: bytes) -> Signed:
    """1. Limits. 2. The envelope. 3. The statement, each of its items. StatementError says what is wrong."""
    try:
        envelope = cbor.decode(body, MAX_BODY_BYTES, number_keys=False)
        if type(envelope) is not list or [type(one) for one in envelope] != [bytes, bytes, bytes]:
            raise FormatError("expected a list of statement, key id and signature")
        message, kid, signature = envelope
        return Signed(body, message, kid, signature, decode(message))
    except FormatError as e:
        raise StatementError(f"this is no statement of a recall: {e}") from e


def decode(message: bytes) -> Statement:
    """Strictly. FormatError, LimitError."""
    item: Any = cbor.decode(message, MAX_BODY_BYTES, number_keys=False)
    if type(item) is not list or [type(one) for one in item[:7]] != _HEADING or item[0] != VERSION:
        raise FormatError(f"a statement is a list that begins with version {VERSION} and its heading")
    for text in item[2:5] + item[6:7]:
        if not 0 < len(text) <= MAX_TEXT:
            raise FormatError(f"a text has 1 to {MAX_TEXT} characters")
    heading = Heading(item[2], item[3], item[4], item[5], item[6])
    if item[1] == "notice":
        return _notice(heading, item[7:])
    if item[1] == "answer":
        return _answer(heading, item[7:])
    raise FormatError(f"expected a notice or an answer, got {item[1]!r:.40}")


def _notice(heading: Heading, item: list[Any]) -> Notice:
    if [type(one) for one in item] != [int, str, int, int, int, int] or len(item[1]) > 1000:
        raise FormatError("a notice has class, reason, deadline, time, packs and tier")
    grade, reason, *numbers = item
    _numbers([grade, *numbers])
    if not 1 <= grade <= 3 or not 1 <= numbers[3] <= MAX_TIERS:
        raise FormatError(f"a notice has a class from 1 to 3 and a tier from 1 to {MAX_TIERS}")
    return Notice(heading, grade, reason, *numbers)


def _answer(heading: Heading, item: list[Any]) -> Answer:
    if [type(one) for one in item] != [int, int, bool, int, list, list, int, list, int, bytes]:
        raise FormatError("an answer has ten items behind its heading")
    number, answered_us, by_person, received, own, passed_on, unanswered, tiers, flagged, root = item
    _numbers([number, answered_us, received, unanswered, flagged])
    if len(tiers) > MAX_TIERS or len(root) != HASH_BYTES:
        raise FormatError(f"an answer has at most {MAX_TIERS} tiers and a root of {HASH_BYTES} bytes")
    found = tuple(Tier(*_numbers(tier, 4)) for tier in tiers)
    if any(tier.answered > tier.customers or tier.silent > tier.customers - tier.answered for tier in found):
        raise FormatError("in a tier not more answer or keep silent than there are")
    return Answer(
        heading, number, answered_us, by_person, received, Counts(*_numbers(own, 6)), Counts(*_numbers(passed_on, 6)),
        unanswered, found, flagged, root,
    )  # fmt: skip


def _numbers(items: Any, count: int | None = None) -> list[int]:
    if type(items) is not list or any(type(one) is not int or not 0 <= one <= MAX_NUMBER for one in items):
        raise FormatError("expected a list of numbers from 0 to 2^63-1")
    if count is not None and len(items) != count:
        raise FormatError(f"expected {count} numbers, got {len(items)}")
    return list(items)
