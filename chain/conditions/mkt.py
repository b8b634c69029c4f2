"""The mean kinetic temperature, weighted by time: the one temperature that would have done the same harm.

T = (ΔH/R) / −ln(Σ tᵢ·e^(−ΔH/(R·Tᵢ)) / Σ tᵢ) in kelvin, R = 8.3144 J/(mol K). By Python's decimal arithmetic, whose exp
and ln are correctly rounded, and integers: the result is the same integer on every machine. It hides what froze, so no
policy passes a low excursion on it. Pure.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import accumulate

from chaincode.coldchain.policy import DEFAULT_ACTIVATION

GAS_CONSTANT = Decimal("8.3144")
_ZERO_CELSIUS = Decimal("273.15")
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN, Emin=-999_999_999, Emax=999_999_999, traps=[])
_UNIT = 10**40  # a factor is kept as this many parts of that of the hottest temperature


@dataclass(frozen=True, slots=True)
class Held:
    """A temperature (m°C) that held from start_us to end_us."""

    start_us: int
    end_us: int
    milli: int


class _Factors:
    """e^(ΔH/R·(1/T_hottest − 1/T)) for each temperature that occurs, in parts of _UNIT."""

    def __init__(self, temperatures: Iterable[int], activation: int) -> None:
        distinct = sorted({}.fromkeys(temperatures))
        self._rate = _EXACT.divide(Decimal(activation), GAS_CONSTANT)
        self._hottest = self._inverse(distinct[-1])
        self.of = {milli: self._factor(milli) for milli in distinct}

    @staticmethod
    def _inverse(milli: int) -> Decimal:
        kelvin = _EXACT.add(_EXACT.divide(Decimal(milli), Decimal(1000)), _ZERO_CELSIUS)
        return _EXACT.divide(Decimal(1), kelvin)

    def _factor(self, milli: int) -> int:
        exponent = _EXACT.multiply(self._rate, _EXACT.subtract(self._hottest, self._inverse(milli)))
        return int(_EXACT.to_integral_value(_EXACT.multiply(_EXACT.exp(exponent), Decimal(_UNIT))))

    def mean(self, total: int, weight: int) -> int:
        """The MKT (m°C, half to even) where factors times weights make `total`."""
        share = _EXACT.divide(Decimal(total), _EXACT.multiply(Decimal(weight), Decimal(_UNIT)))
        inverse = _EXACT.subtract(self._hottest, _EXACT.divide(_EXACT.ln(share), self._rate))
        celsius = _EXACT.subtract(_EXACT.divide(Decimal(1), inverse), _ZERO_CELSIUS)
        return int(_EXACT.multiply(celsius, Decimal(1000)).quantize(Decimal(1), context=_EXACT))


def mkt(weighted: Iterable[tuple[int, int]], activation: int = DEFAULT_ACTIVATION) -> int | None:
    """The MKT in m°C of pairs of a temperature (m°C) and the time it held (any unit, whole numbers); None where there
    was no time."""
    pairs = [(milli, weight) for milli, weight in weighted if weight]
    if not pairs:
        return None
    factors = _Factors((milli for milli, _ in pairs), activation)
    return factors.mean(sum(factors.of[milli] * weight for milli, weight in pairs), sum(w for _, w in pairs))


def highest_mkt(
    held: Sequence[Held], from_us: int, to_us: int, window_us: int | None, activation: int = DEFAULT_ACTIVATION
) -> int | None:
    """The highest MKT over any stretch of `window_us` within from_us to to_us that begins or ends where a temperature
    does, or at to_us; over the whole time where that is no longer than the window, or the window is None. Time without
    a temperature does not count. `held` is in the order of time and does not overlap."""
    if window_us is None or to_us - from_us <= window_us or not held:
        return mkt(((piece.milli, piece.end_us - piece.start_us) for piece in held), activation)
    factors = _Factors((piece.milli for piece in held), activation)
    running = _Running(held, factors)
    edges = [from_us, *(edge for piece in held for edge in (piece.start_us, piece.end_us))]
    ends = {}.fromkeys((*edges, *(edge + window_us for edge in edges), to_us))
    best: tuple[int, int] | None = None
    for end_us in (end for end in ends if from_us + window_us <= end <= to_us):
        total, weight = running.between(end_us - window_us, end_us)
        if weight and (best is None or total * best[1] > best[0] * weight):
            best = total, weight
    return None if best is None else factors.mean(*best)


class _Running:
    """Sums of factors times time, and of time, up to any moment."""

    def __init__(self, held: Sequence[Held], factors: _Factors) -> None:
        self._held = held
        self._starts = [piece.start_us for piece in held]
        self._factors = [factors.of[piece.milli] for piece in held]
        spans = [piece.end_us - piece.start_us for piece in held]
        self._weights = [0, *accumulate(spans)]
        self._totals = [0, *accumulate(f * span for f, span in zip(self._factors, spans, strict=True))]

    def between(self, start_us: int, end_us: int) -> tuple[int, int]:
        first, last = self._until(start_us), self._until(end_us)
        return last[0] - first[0], last[1] - first[1]

    def _until(self, at_us: int) -> tuple[int, int]:
        place = bisect_right(self._starts, at_us) - 1
        if place < 0:
            return 0, 0
        span = min(at_us, self._held[place].end_us) - self._held[place].start_us
        return self._totals[place] + self._factors[place] * span, self._weights[place] + span
