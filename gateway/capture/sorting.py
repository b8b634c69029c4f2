"""What of a group of events is to be stored, and what came of each."""

from collections import Counter
from collections.abc import Mapping, Sequence

from gateway.capture.known import Candidate


def sorted_out(candidates: Sequence[Candidate], found: Sequence[int | None]) -> tuple[list[int], dict[int, int]]:
    """The places of what is to be stored; and of what is in the group before, where that stands."""
    first: dict[tuple[bytes, str | None], int] = {}
    new, again = list[int](), dict[int, int]()
    times = Counter(candidate.key for candidate in candidates)
    for at, candidate in enumerate(candidates):
        if found[at] is not None:
            continue
        key = candidate.key if times[candidate.key] == 1 else candidate.exact
        before = first.get((key, candidate.own_id))
        if before is None and candidate.own_id is None:
            before = first.get((key, ""))
        if before is not None:
            again[at] = before
            continue
        first[key, candidate.own_id] = at
        first.setdefault((key, ""), at)  # of any eventID
        new.append(at)
    return new, again


def records(found: Sequence[int | None], stored: Mapping[int, int], first_of: Mapping[int, int]
             ) -> list[tuple[int, bool]]:  # fmt: skip
    """For each its record, and whether it was known: before, or by what stands before it in the group."""
    records: list[tuple[int, bool]] = []
    for at, known in enumerate(found):
        if known is not None:
            records.append((known, True))
        else:
            records.append((stored[at], False) if at in stored else (stored[first_of[at]], True))
    return records


def spans(leaves: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """(first, count) of ascending numbers."""
    spans: list[tuple[int, int]] = []
    for leaf in leaves:
        if spans and sum(spans[-1]) == leaf:
            spans[-1] = spans[-1][0], spans[-1][1] + 1
        else:
            spans.append((leaf, 1))
    return tuple(spans)
