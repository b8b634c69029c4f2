"""Unit conversions against values known from elsewhere, and against exact rational arithmetic."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.preprocess.units import lookup, names


def convert(value: float, name: str) -> tuple[float, str]:
    unit = lookup(name)
    assert unit is not None, name
    return unit.to_base(value), unit.base


@pytest.mark.parametrize(
    ("value", "names_", "expected", "base"),
    [
        # fixed points of the scales
        (32, "[degF] FAH °F", 0.0, "Cel"),
        (212, "[degF]", 100.0, "Cel"),
        (-40, "[degF]", -40.0, "Cel"),
        (98.6, "[degF]", 37.0, "Cel"),
        (-459.67, "[degF]", -273.15, "Cel"),
        (0, "K KEL", -273.15, "Cel"),
        (273.16, "K", 0.01, "Cel"),  # triple point of water
        (5, "Cel CEL", 5.0, "Cel"),
        # pressure: one standard atmosphere in every unit (NIST SP 811)
        (1013.25, "hPa A97 mbar MBR", 101325.0, "Pa"),
        (1.01325, "bar BAR", 101325.0, "Pa"),
        (101.325, "kPa KPA", 101325.0, "Pa"),
        (1, "atm ATM", 101325.0, "Pa"),
        (1, "[psi] psi PS", 6894.75729317, "Pa"),
        (1, "mm[Hg] mmHg HN", 133.322387415, "Pa"),
        # mass, length, volume: exact since the international yard and pound agreement of 1959
        (1, "[lb_av] LBR", 0.45359237, "kg"),
        (16, "[oz_av] ONZ", 0.45359237, "kg"),
        (2500, "g GRM", 2.5, "kg"),
        (1, "t TNE", 1000.0, "kg"),
        (36, "[in_i] INH", 0.9144, "m"),
        (5280, "[ft_i] FOT", 1609.344, "m"),
        (1, "[mi_i] SMI", 1609.344, "m"),
        (1, "[gal_us] GLL", 0.003785411784, "m3"),
        (1, "l L LTR", 0.001, "m3"),
        # RFC 8798 section 3, secondary units
        (1, "ms", 0.001, "s"),
        (1, "h", 3600.0, "s"),
        (1, "Ah", 3600.0, "C"),
        (1, "kWh", 3600000.0, "J"),
        (1, "Wh/km", 3.6, "J/m"),
        (1, "kvarh", 3600000.0, "vars"),
        (1, "kVAh", 3600000.0, "VAs"),
        (1, "KiB", 1024.0, "B"),
        (1, "MB/s", 8000000.0, "bit/s"),
        (1, "dBm", -29.0, "dBW"),
        (1, "ug/m3", 1e-9, "kg/m3"),
        (3600000, "mm/h", 1.0, "m/s"),
        (400, "ppm", 0.0004, "/"),
        (50, "/100", 0.5, "/"),
        (36, "km/h", 10.0, "m/s"),
        # others
        (45.5, "%RH P1", 45.5, "%RH"),
        (1, "[kn_i] KNT", 0.514444444444, "m/s"),
        (100, "[mi_i]/h HM", 44.704, "m/s"),
        (1, "[g] K40", 9.80665, "m/s2"),
        (180, "deg DD", 3.14159265359, "rad"),
        (60, "RPM", 1.0, "1/s"),
        (230, "mV 2Z", 0.23, "V"),
        (20, "mA 4K", 0.02, "A"),
        (1, "klx KLX", 1000.0, "lx"),
        (60.07965, "lat", 60.07965, "lat"),
    ],
)
def test_known_values(value: float, names_: str, expected: float, base: str) -> None:
    for name in names_.split():
        assert convert(value, name) == (expected, base)


@given(st.sampled_from(sorted(names())), st.floats(-1e9, 1e9))
def test_every_conversion_agrees_with_exact_arithmetic(name: str, value: float) -> None:
    unit = names()[name]
    exact = (Fraction(value) + Fraction(unit.shift)) * Fraction(unit.numerator) / Fraction(unit.denominator)
    tolerance = 1e-11 * abs(float(exact)) + (1e-6 if unit.shift else 0.0)
    assert math.isclose(unit.to_base(value), float(exact), rel_tol=0, abs_tol=tolerance)


@given(st.sampled_from(sorted(names())), st.floats(-1e9, 1e9))
def test_a_base_unit_is_a_fixed_point(name: str, value: float) -> None:
    unit = names()[name]
    base = lookup(unit.base)
    assert base is not None
    assert base.to_base(unit.to_base(value)) == unit.to_base(value)


def test_names_are_case_sensitive_and_senml_wins() -> None:
    assert lookup("cel") is None
    assert lookup(None) is None
    assert convert(1, "C") == (1, "C")  # coulomb, not Celsius
    assert convert(1, "F") == (1, "F")  # farad, not Fahrenheit
    assert convert(1, "GB") == (1e9, "B")  # gigabyte, not Recommendation 20's gallon a day
