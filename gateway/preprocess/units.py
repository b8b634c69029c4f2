"""Units of measure: names of SenML, UCUM and UN/ECE Recommendation 20, each with its way to one base unit.

A base unit is a symbol of IANA's SenML Units registry (RFC 8428 section 12.1), except that every temperature is
normalised to Cel, so that one limit fits all loggers. Conversions are affine, as in the Secondary Units registry
(RFC 8798): base = (value + shift) * numerator / denominator, in IEEE 754 double arithmetic, then rounded so that
the last bits of the arithmetic do not show: to 9 decimals where there is a shift (a sum cancels), otherwise to 12
significant digits. Python rounds correctly on every platform, so the result is the same everywhere.
"""

from dataclasses import dataclass

from gateway.preprocess.unit_table import INF, PLAUSIBLE, TABLE


@dataclass(frozen=True, slots=True)
class Unit:
    """How values of one unit become values of `base`; low and high bound what is physically plausible."""

    base: str
    shift: float
    numerator: float
    denominator: float
    low: float
    high: float
    identity: bool

    def to_base(self, value: float) -> float:
        """Convert; the result may be infinite if the value is near the end of the double range."""
        if self.identity:
            return value
        converted = (value + self.shift) * self.numerator / self.denominator
        return round(converted, 9) if self.shift else round_significant(converted)

    def plausible(self, base_value: float) -> bool:
        """False for what cannot be, such as a temperature below absolute zero."""
        return self.low <= base_value <= self.high


def round_significant(value: float) -> float:
    """Round to 12 significant digits."""
    return float(f"{value:.12g}")


def lookup(unit: str | None) -> Unit | None:
    """The unit of this name, or None if it is not in the table. Names are case-sensitive (RFC 8428 section 3)."""
    return _UNITS.get(unit) if unit is not None else None


def names() -> dict[str, Unit]:
    """Every name in the table with its unit."""
    return dict(_UNITS)


def _build() -> dict[str, Unit]:
    table: dict[str, Unit] = {}
    for base, shift, numerator, denominator, aliases in TABLE:
        low, high = PLAUSIBLE.get(base, (-INF, INF))
        identity = shift == 0 and numerator == denominator
        unit = Unit(base, shift, numerator, denominator, low, high, identity)
        for alias in aliases.split():
            if alias in table:
                raise AssertionError(f"unit {alias} stands twice in the table")
            table[alias] = unit
    return table


_UNITS = _build()
