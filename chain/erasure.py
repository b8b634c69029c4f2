"""Statements of erasure: whose payloads were destroyed, which entries of the log they were, when, why, who asked.

The log holds a record of each statement, so an erasure has its place in history and cannot be taken back or made up
afterwards. A statement names its subject by a tag that means nothing without the site's key. Decoding trusts nothing;
`open_erasure` proves a statement against its record. Formats: docs/formats/record.md.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chain.errors import ErasureError
from chain.event import content_hash
from chain.record import ERASURE_KIND, Authentication, Record, RecordFlag
from crypto import cbor
from crypto.errors import FormatError
from crypto.flat import MAX_NUMBER

VERSION = 1
GATEWAY = "sealtrail.gateway"  # whose records these are; no source may have this name
PERSON = "person/"  # before a pseudonym in names of subjects: a source's name has no slash
SOURCE = "source/"  # before a source's name, where it must be told from a person's; it is stored without
ERASED = "erased/"  # before the tag of a subject that was erased
TAG_BYTES = 32
MAX_BYTES = 65_535
MAX_RUNS = 2048  # of leaves in one statement; a subject that has more gets several statements
MAX_BY, MAX_REASON = 100, 500  # characters

Run = tuple[int, int]  # first leaf, count


@dataclass(frozen=True, slots=True)
class Erasure:
    """`tag` stands for the subject; `asked_us` is when it was asked for (µs since the Unix epoch), `by` who did, in
    the operator's words; `runs` are the leaves whose payloads are gone, in order."""

    tag: bytes
    asked_us: int
    by: str
    reason: str
    runs: tuple[Run, ...]

    @property
    def count(self) -> int:
        """How many events."""
        return sum(count for _, count in self.runs)

    def covers(self, leaf: int) -> bool:
        return any(first <= leaf < first + count for first, count in self.runs)

    def encode(self) -> bytes:
        """Canonical CBOR [1, tag, asked, by, reason, [[first, count] …]]."""
        runs: list[cbor.CborValue] = [[first, count] for first, count in self.runs]
        return cbor.encode([VERSION, self.tag, self.asked_us, self.by[:MAX_BY], self.reason[:MAX_REASON], runs])

    def record(self, seq: int, logged_us: int) -> Record:
        """The log's record of this statement; `seq` counts a log's statements."""
        return Record(
            ERASURE_KIND, GATEWAY, 0, seq, self.asked_us, self.asked_us, logged_us, Authentication.GATEWAY_ONLY,
            RecordFlag.NONE, content_hash(self.encode()), b"", self.count,
        )  # fmt: skip


def decode_erasure(data: bytes) -> Erasure:
    """Strictly parse a statement; FormatError or LimitError says what is wrong."""
    item = cbor.decode(data, MAX_BYTES, number_keys=False)
    if type(item) is not list or len(item) != 6 or type(item[0]) is not int or item[0] != VERSION:
        raise FormatError(f"a statement of erasure is [{VERSION}, tag, asked, by, reason, [[first, count] …]]")
    _, tag, asked_us, by, reason, runs = item
    if type(tag) is not bytes or len(tag) != TAG_BYTES:
        raise FormatError(f"the tag of a statement of erasure must be {TAG_BYTES} bytes")
    if type(asked_us) is not int or not 0 <= asked_us <= MAX_NUMBER:
        raise FormatError("the time of a statement of erasure must be an integer from 0 to 2^63-1")
    if type(by) is not str or type(reason) is not str or len(by) > MAX_BY or len(reason) > MAX_REASON:
        raise FormatError(f"who asked and why are texts of at most {MAX_BY} and {MAX_REASON} characters")
    return Erasure(tag, asked_us, by, reason, _runs(runs))


def _runs(runs: object) -> tuple[Run, ...]:
    if type(runs) is not list or not 1 <= len(runs) <= MAX_RUNS:
        raise FormatError(f"a statement of erasure names 1 to {MAX_RUNS} runs of leaves")
    found, at = list[Run](), 0
    for run in runs:
        if type(run) is not list or len(run) != 2 or any(type(n) is not int for n in run):
            raise FormatError("a run of leaves is [first, count]")
        first, count = run
        if first < at or count < 1 or first + count > MAX_NUMBER:
            raise FormatError("runs of leaves stand in order, without overlap, and none is empty")
        found.append((first, count))
        at = first + count
    return tuple(found)


def open_erasure(statement: bytes, record: Record, index: int) -> Erasure:
    """The statement that the record at entry `index` logs.

    Raises:
        FormatError: it is none.
        ErasureError: the record logs another one, or none, or the statement speaks of what came after it.
    """
    if record.kind != ERASURE_KIND or record.content_hash != content_hash(statement):
        raise ErasureError(f"entry {index} of the log does not name this statement of erasure")
    erasure = decode_erasure(statement)
    first, count = erasure.runs[-1]
    if first + count > index or record.count != erasure.count or record.source != GATEWAY:
        raise ErasureError(f"the statement of erasure does not fit its record at entry {index}")
    return erasure


def joined(runs: Iterable[Run]) -> Iterator[Run]:
    """Runs in order, joined where one continues another."""
    at: Run | None = None
    for first, count in runs:
        if at and at[0] + at[1] == first:
            at = at[0], at[1] + count
        else:
            if at:
                yield at
            at = first, count
    if at:
        yield at
