"""What can be said of a report without its readings: whether its figures fit together, and to the report before.

A reporter can still lie within these bounds; then its figures differ from those that anybody computes again from the
same entries. Refusals: `bad-report` where figures contradict each other, `shrinking-report` where they take back what
was reported before.
"""

from chaincode.coldchain.policy import Direction, Limit, Mode, Policy
from chaincode.coldchain.report import RULES, LoggerReport, Outside, Report
from chaincode.errors import Code, ContractError

MAX_ROWS = 16_384  # readings of one event: it has at most 60,000 bytes


def seconds(span_us: int) -> int:
    """Microseconds as seconds, rounded up: a sliver of time counts."""
    return -(-span_us // 1_000_000)


def require_consistent(report: Report, policy: Policy, loggers: int) -> None:
    """Raise `bad-report` where figures of one report contradict each other or the policy."""
    if report.rules != RULES:
        raise _bad(f"it is by rules {report.rules}; this contract knows rules {RULES}")
    if report.to_us <= report.from_us or report.end < report.first:
        raise _bad("its window or its range of entries is empty or runs backwards")
    if len(report.loggers) != loggers:
        raise _bad(f"it is of {len(report.loggers)} loggers, the shipment has {loggers}")
    for place, logger in enumerate(report.loggers):
        try:
            _consistent(logger, report, policy)
        except _BadError as e:
            raise _bad(f"logger {place}: {e.text}") from e


def _consistent(logger: LoggerReport, report: Report, policy: Policy) -> None:
    # 1. There is one figure for each limit, and no more readings than entries can hold.
    if len(logger.outside) != len(policy.limits):
        raise _bad(f"{len(logger.outside)} figures for {len(policy.limits)} limits")
    if logger.count + logger.repeated > (report.end - report.first) * MAX_ROWS:
        raise _bad(f"{logger.count} readings do not fit into {report.end - report.first} entries")
    if logger.late > logger.count + logger.repeated:
        raise _bad(f"{logger.late} of {logger.count} readings came late")
    # 2. Without readings everything is missing; with some, they lie in the window and their mean between them.
    known = [value is not None for value in (logger.first_us, logger.last_us, logger.least, logger.most, logger.mkt)]
    if any(known) != all(known) or all(known) != bool(logger.count):
        raise _bad(f"{logger.count} readings, but times and temperatures say otherwise")
    _gaps_fit(logger, report, policy)
    _temperatures_fit(logger)
    # 3. Time outside a limit was spent exactly where the extremes lie outside it.
    covered_s = seconds(report.to_us - report.from_us) - logger.missing_s + 1
    for limit, outside in zip(policy.limits, logger.outside, strict=True):
        _outside_fits(limit, outside, logger, covered_s)
    _limits_fit(policy, logger)


def _gaps_fit(logger: LoggerReport, report: Report, policy: Policy) -> None:
    window_s = seconds(report.to_us - report.from_us)
    edges = [report.from_us, report.to_us]
    if logger.first_us is not None and logger.last_us is not None:
        if not report.from_us <= logger.first_us <= logger.last_us < report.to_us:
            raise _bad("its first and last reading are not in order within the window")
        if (logger.first_us == logger.last_us) != (logger.count == 1):
            raise _bad(f"{logger.count} readings from {logger.first_us} to {logger.last_us}")
        edges[1:1] = [logger.first_us, logger.last_us]
    at_ends = max(edges[1] - edges[0], edges[-1] - edges[-2])
    # n readings leave n+1 times without one, of which the longest is not below the mean.
    least_gap = max(seconds(at_ends), -(-window_s // (logger.count + 1)))
    if not least_gap <= logger.longest_gap_s <= window_s:
        raise _bad(f"the longest gap of {logger.longest_gap_s} s does not fit {logger.count} readings")
    if (logger.longest_gap_s > policy.gap_s) != (logger.missing_s > 0):
        raise _bad(f"a longest gap of {logger.longest_gap_s} s, but {logger.missing_s} s missing")
    if not max(0, logger.longest_gap_s - policy.gap_s) <= logger.missing_s <= window_s:
        raise _bad(f"{logger.missing_s} s missing do not fit the longest gap of {logger.longest_gap_s} s")


def _temperatures_fit(logger: LoggerReport) -> None:
    if logger.least is None or logger.most is None or logger.mkt is None:
        return
    if not logger.least <= logger.mkt <= logger.most:
        raise _bad(f"an MKT of {logger.mkt} m°C between {logger.least} and {logger.most} m°C")
    if logger.count == 1 and logger.least != logger.most:
        raise _bad("one reading with two temperatures")


def _outside_fits(limit: Limit, outside: Outside, logger: LoggerReport, covered_s: int) -> None:
    extreme = logger.most if limit.direction.high else logger.least
    was_outside = extreme is not None and limit.outside(extreme)
    if (outside.total_s > 0) != was_outside or (outside.longest_s > 0) != was_outside:
        raise _bad(f"{outside.total_s} s {limit.direction} {limit.threshold} m°C, but the extreme is {extreme} m°C")
    if not outside.longest_s <= outside.total_s <= covered_s:
        raise _bad(f"{outside.total_s} s {limit.direction} {limit.threshold} m°C are not between the longest and all")
    longest = outside.longest_s if limit.mode is Mode.SINGLE else outside.total_s
    least = max(0, longest - limit.allowed_s)
    most = least if limit.mode is Mode.CUMULATIVE else outside.total_s if least else 0
    if not least <= outside.beyond_s <= most:
        raise _bad(f"{outside.beyond_s} s beyond what is allowed do not fit {outside.longest_s} s")


def _limits_fit(policy: Policy, logger: LoggerReport) -> None:
    """Who is above 30 °C is above 8 °C as well."""
    for limit, outside in zip(policy.limits, logger.outside, strict=True):
        for wider, within in zip(policy.limits, logger.outside, strict=True):
            more = outside.total_s > within.total_s or outside.longest_s > within.longest_s
            if more and _further(limit, wider):
                raise _bad(f"more time {limit.direction} {limit.threshold} m°C than {wider.threshold} m°C")


def _further(limit: Limit, wider: Limit) -> bool:
    """Whether what is outside `limit` is always outside `wider` too."""
    if limit.direction.high != wider.direction.high:
        return False
    if limit.threshold == wider.threshold:
        return limit.direction in (wider.direction, Direction.ABOVE, Direction.BELOW)
    return (limit.threshold > wider.threshold) == limit.direction.high


def require_growth(before: Report, after: Report, policy: Policy) -> None:
    """Raise `shrinking-report` where a report takes back what the one before it said."""
    if after.to_us < before.to_us or after.first != before.first or after.end < before.end:
        raise _shrinking(f"report {before.seq} was of entries {before.first} to {before.end}, up to {before.to_us}")
    for place, (old, new) in enumerate(zip(before.loggers, after.loggers, strict=True)):
        _grows(old, new, before, policy, place)


def _grows(old: LoggerReport, new: LoggerReport, before: Report, policy: Policy, place: int) -> None:
    # 1. Readings are added to readings, so what was seen stays seen.
    pairs = [
        ("readings", old.count, new.count), ("late readings", old.late, new.late),
        ("readings that run backwards", old.backwards, new.backwards), ("repeated ones", old.repeated, new.repeated),
        ("readings ahead", old.ahead, new.ahead), ("highest", old.most, new.most), ("last", old.last_us, new.last_us),
        ("lowest", new.least, old.least), ("first", new.first_us, old.first_us),
    ]  # fmt: skip
    for what, less, more in pairs:
        if (less is not None and more is not None and less > more) or (old.count and not new.count):
            raise _shrinking(f"logger {place}, {what}: {less} and {more}; what was reported once stays reported")
    # 2. Time behind the last reading may look different from what was assumed of it; and each reading that came late
    #    takes over from another one for the gap at most.
    last_us = before.from_us if old.last_us is None else old.last_us
    behind_s, came = seconds(before.to_us - last_us), new.late - old.late
    _outside_grows(old, new, policy, place, came, min(behind_s, policy.gap_s))
    # 3. So may what was missing; and the longest gap, where it was not behind the last reading.
    filled_s = max(0, behind_s - policy.gap_s) + came * policy.gap_s + 1
    shorter = not came and new.longest_gap_s < old.longest_gap_s and old.longest_gap_s > behind_s
    if shorter or new.missing_s + filled_s < old.missing_s:
        raise _shrinking(f"logger {place}: {old.missing_s} s were missing, and now {new.missing_s} s")


def _outside_grows(old: LoggerReport, new: LoggerReport, policy: Policy, place: int, came: int, assumed_s: int) -> None:
    """A late reading in its midst makes two of one stretch, so then only all together are compared."""
    for limit, was, now in zip(policy.limits, old.outside, new.outside, strict=True):
        all_s = now.total_s + assumed_s + came * policy.gap_s + 1
        if all_s < was.total_s or (not came and now.longest_s + assumed_s + 1 < was.longest_s):
            beyond = f"{limit.direction} {limit.threshold} m°C"
            raise _shrinking(f"logger {place}: {was.total_s} s {beyond} were reported, and now {now.total_s} s")


class _BadError(ContractError):
    def __init__(self, text: str) -> None:
        super().__init__(Code.BAD_REPORT, text)
        self.text = text


def _bad(text: str) -> _BadError:
    return _BadError(text)


def _shrinking(text: str) -> ContractError:
    return ContractError(Code.SHRINKING_REPORT, text)
