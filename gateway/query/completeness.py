"""Is anything missing? Every source numbers its events from 0 in each boot, so a gap has a first and a last number.

What is expected of a boot is 0 up to the highest number that arrived or that a seal names. An event that was
lost at the very end, before any seal named it, cannot be known: a boot's last seal settles it.
"""

from dataclasses import dataclass
from itertools import pairwise

from chain.event import Span
from chain.record import SEAL_KIND
from chain.store.seals import SealState
from crypto.flat import MAX_NUMBER
from gateway.index.schema import SEALED, STORED, kind_bit
from gateway.query.errors import NotFoundError, QueryError
from gateway.query.records import IN_BLOCK, source_id
from gateway.query.view import View

MAX_BOOTS = 200  # the newest; how many are left out is said
MAX_SPANS = 1000  # listed for a boot; their number is always exact

Numbers = list[tuple[int, int]]  # spans of numbers, first and last inside, in order


@dataclass(frozen=True, slots=True)
class BootCompleteness:
    """One boot of a source. `first` and `last` bound what is expected (of the time range asked about);
    counts are of that range. `gaps`, `sealed` and `unsealed` list at most 1,000 spans each."""

    boot: int
    first: int
    last: int
    received: int
    missing: int
    gap_count: int
    gaps: tuple[Span, ...]
    sealed: tuple[Span, ...]
    unsealed: tuple[Span, ...]  # received, and no seal covers it (yet)
    unsealed_count: int
    broken: tuple[Span, ...]  # seals whose events are not those that were sealed


@dataclass(frozen=True, slots=True)
class Completeness:
    """All boots of a source, or those that touch a time range. `missing_boots` are boot numbers between others
    of which nothing at all is known; a source that started and reported nothing leaves such a number too."""

    source: str
    from_us: int | None
    to_us: int | None
    boots: tuple[BootCompleteness, ...]
    boots_left_out: int
    missing_boots: tuple[tuple[int, int], ...]

    @property
    def received(self) -> int:
        return sum(boot.received for boot in self.boots)

    @property
    def missing(self) -> int:
        return sum(boot.missing for boot in self.boots)

    @property
    def unsealed(self) -> int:
        return sum(boot.unsealed_count for boot in self.boots)

    @property
    def complete(self) -> bool:
        """Nothing is known to be missing, and no seal is broken."""
        return not self.missing and not any(boot.broken for boot in self.boots)


def completeness(view: View, source: str, from_us: int | None = None, to_us: int | None = None) -> Completeness:
    """What arrived of a source and what did not, for all time or between two times of sensing (both inside).

    A gap whose time nobody can know (its neighbours lie on both sides of the range's ends) counts as inside.

    Raises:
        NotFoundError: nothing of this source was ever logged.
        QueryError: an empty time range.
    """
    if (from_us or 0) > (MAX_NUMBER if to_us is None else to_us):
        raise QueryError("the time range is empty: its end lies before its start")
    with view.index.snapshot():
        number = source_id(view, source)
        if number is None:
            raise NotFoundError(f"nothing of a source {source!r} is in the log")
        known = _boots(view, number)
        wanted = known[-MAX_BOOTS:]
        boots = [_boot(view, source, number, boot, from_us, to_us) for boot in wanted]
    found = tuple(boot for boot in boots if boot is not None)
    return Completeness(source, from_us, to_us, found, len(known) - len(wanted), _between(wanted))


def _boots(view: View, source: int) -> list[int]:
    rows = view.index.connection.execute("SELECT DISTINCT boot FROM span WHERE source = ? ORDER BY boot", (source,))
    return [row[0] for row in rows]


def _between(boots: list[int]) -> tuple[tuple[int, int], ...]:
    return tuple((low + 1, high - 1) for low, high in pairwise(boots) if high - low > 1)


def _boot(view: View, name: str, source: int, boot: int, from_us: int | None, to_us: int | None
          ) -> BootCompleteness | None:  # fmt: skip
    stored, sealed = _spans(view, source, boot, STORED), _spans(view, source, boot, SEALED)
    last = max(span[1] for span in stored + sealed)
    window = (0, last) if from_us is None and to_us is None else _window(view, source, boot, last, from_us, to_us)
    if window is None:
        return None
    stored, sealed = _clip(stored, window), _clip(sealed, window)
    gaps = _without([window], stored)
    unsealed = _without(stored, sealed)
    broken = _clip(_broken(view, name, boot), window)
    return BootCompleteness(
        boot, window[0], window[1], _count(stored), _count(gaps), len(gaps), _listed(boot, gaps),
        _listed(boot, sealed), _listed(boot, unsealed), _count(unsealed), _listed(boot, broken),
    )  # fmt: skip


def _spans(view: View, source: int, boot: int, what: int) -> Numbers:
    query = "SELECT first, last FROM span WHERE source = ? AND boot = ? AND what = ? ORDER BY first"
    return view.index.connection.execute(query, (source, boot, what)).fetchall()


def _broken(view: View, source: str, boot: int) -> Numbers:
    query = "SELECT first_seq, count FROM seal WHERE source = ? AND boot = ? AND state = ? ORDER BY first_seq"
    rows = view.site.db.connection.execute(query, (source, boot, int(SealState.BROKEN)))
    return [(first, first + count - 1) for first, count in rows]


def _window(
    view: View, source: int, boot: int, last: int, from_us: int | None, to_us: int | None
) -> tuple[int, int] | None:
    """The numbers that may lie in the time range: from behind the last event before it, to ahead of the first
    event after it; wider where a clock ran backwards. None where the boot has nothing there."""
    low, high = from_us or 0, MAX_NUMBER if to_us is None else to_us
    run = view.index.connection.execute
    where = "FROM record WHERE source = ? AND boot = ? AND count = 0 AND sensed_us"
    before = run(f"SELECT seq {where} < ? ORDER BY sensed_us DESC, seq DESC LIMIT 1", (source, boot, low)).fetchone()
    after = run(f"SELECT seq {where} > ? ORDER BY sensed_us, seq LIMIT 1", (source, boot, high)).fetchone()
    first_in, last_in = run(f"SELECT MIN(seq), MAX(seq) {where} BETWEEN ? AND ?", (source, boot, low, high)).fetchone()
    if first_in is None and after is None and not _sealed_since(view, source, boot, low):
        return None
    first, end = before[0] + 1 if before else 0, after[0] - 1 if after else last
    if first_in is not None:
        first, end = min(first, first_in), max(end, last_in)
    return (first, end) if first <= end else None


def _sealed_since(view: View, source: int, boot: int, low: int) -> bool:
    """Whether a seal of the boot was signed at or after `low`: what it names may have happened then."""
    query = f"""SELECT 1 FROM place b CROSS JOIN record r ON {IN_BLOCK.format("b.block")}
        WHERE b.source = ? AND b.kinds & ? AND +r.source = ? AND +r.boot = ? AND +r.kind = ? AND r.sensed_us >= ?
        ORDER BY b.block DESC, r.leaf DESC LIMIT 1"""
    bound = (source, kind_bit(SEAL_KIND), source, boot, SEAL_KIND, low)
    return view.index.connection.execute(query, bound).fetchone() is not None


def _clip(spans: Numbers, window: tuple[int, int]) -> Numbers:
    low, high = window
    return [(max(first, low), min(last, high)) for first, last in spans if first <= high and last >= low]


def _without(spans: Numbers, taken: Numbers) -> Numbers:
    """The parts of `spans` that no span of `taken` covers; both in order and disjoint."""
    left: Numbers = []
    at = 0
    for first, last in spans:
        while at < len(taken) and taken[at][1] < first:
            at += 1
        here = at
        while here < len(taken) and taken[here][0] <= last:
            if taken[here][0] > first:
                left.append((first, taken[here][0] - 1))
            first = taken[here][1] + 1
            here += 1
        if first <= last:
            left.append((first, last))
    return left


def _count(spans: Numbers) -> int:
    return sum(last - first + 1 for first, last in spans)


def _listed(boot: int, spans: Numbers) -> tuple[Span, ...]:
    return tuple(Span(boot, first, last - first + 1) for first, last in spans[:MAX_SPANS])
