"""Spans of time in which a thing is followed: (first, last), both inside, in microseconds since the Unix epoch.

A case counts for the pack in it only from ADD to DELETE, so every thing is followed in spans, and again only where a
new way to it leads beyond those looked at before.
"""

Span = tuple[int, int]
ALWAYS: Span = (-(2**62), 2**62)


def common(one: Span, other: Span) -> Span | None:
    """What two spans share."""
    first, last = max(one[0], other[0]), min(one[1], other[1])
    return (first, last) if first <= last else None


def beyond(span: Span, known: list[Span]) -> list[Span]:
    """The parts of a span that are in none of the known ones, which are disjoint and in order."""
    left, first = [], span[0]
    for low, high in known:
        if high < first:
            continue
        if low > span[1]:
            break
        if low > first:
            left.append((first, low - 1))
        first = high + 1
    if first <= span[1]:
        left.append((first, span[1]))
    return left


def joined(spans: list[Span]) -> list[Span]:
    """The same times as disjoint spans in order."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def inside(time_us: int, spans: list[Span]) -> bool:
    return any(first <= time_us <= last for first, last in spans)
