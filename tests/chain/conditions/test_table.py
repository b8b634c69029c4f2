"""`conditions mkt`: tables as others write them, and what is no table."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chain.conditions import cli
from chain.conditions.errors import ConditionsError
from chain.conditions.table import MAX_BYTES, Unit, summary
from tests.chain.conditions.test_mkt import by_floats

HOURS = "".join(f"2026-11-23T{hour:02}:00:00Z,{{}}\n" for hour in range(24))


def table(*temperatures: float) -> bytes:
    return HOURS.format(*temperatures).encode()


@pytest.mark.parametrize(
    ("temperatures", "mkt"), [([5] * 23 + [14], 5_646), ([5] * 22 + [25] * 2, 9_825), ([5] * 20 + [15] * 4, 7_705)]
)
def test_check_values_from_a_table(temperatures: list[float], mkt: int) -> None:
    found = summary(table(*temperatures), Unit.CELSIUS, 83_144)
    assert (found.mkt, found.count, found.span_s) == (mkt, 24, 86_400)
    assert summary(b"time,temperature\n" + table(*temperatures), Unit.CELSIUS, 83_144) == found
    fahrenheit = table(*[value * 9 / 5 + 32 for value in temperatures])
    assert summary(fahrenheit, Unit.FAHRENHEIT, 83_144) == found


def test_times_weigh_and_order_does_not() -> None:
    rows = [b"2026-11-23 06:00,5", b"2026-11-23 09:00,14", b"2026-11-23T10:00+00:00,5"]
    one, other = (summary(b"\n".join(part), Unit.CELSIUS, 83_144) for part in (rows, rows[::-1]))
    assert one == other
    assert abs(one.mkt - by_floats([(5_000, 3 + 1), (14_000, 1)])) <= 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no rows"),
        (b"time,temperature\n", "no rows"),
        (b"when,how warm\n2026-11-23,5\n", "line 1: columns are named"),
        (b"time,temperature\n2026-11-23,5\n2026-11-24,warm\n", "line 3: expected a temperature, got 'warm'"),
        (b"time,temperature\nyesterday,5\n", "line 2: expected a time like"),
        (b"time,temperature\n2026-11-23\n", "line 2: expected a time and a temperature"),
        (b"time,temperature\n2026-11-23,5\n\n2026-11-23,6\n", "line 4: its time is that of line 2"),
        (b"2026-11-23,-300\n", "line 1: no temperature is"),
        (b"2026-11-23,NaN\n", "line 1: expected a temperature"),
        (b"2026-11-23,1_0\n", "line 1: expected a temperature"),
        (b"time,temperature\n2026-11-23,5,3\n", "line 2: 3 cells under 2 names"),
        (b"2026-11-23,1e999999\n", "line 1: expected a temperature"),
        (b"\xff\xfe", "not UTF-8"),
        (b'time,temperature\n"2026', "line 2"),
        (b"x" * (MAX_BYTES + 1), "at most"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(data: bytes, said: str) -> None:
    with pytest.raises(ConditionsError, match=said):
        summary(data, Unit.CELSIUS, 83_144)


def test_a_machine_room(vectors: Callable[[str], Path]) -> None:
    """Real temperatures with holes in the series (Numenta Anomaly Benchmark, °F)."""
    done = CliRunner().invoke(
        cli.app, ["mkt", str(vectors("nab") / "ambient_temperature_system_failure.csv"), "--unit", "F", "--json"]
    )
    found = json.loads(done.output)
    assert (found["readings"], found["span_s"], found["unit"]) == (7267, 28_396_800, "F")
    assert found["minimum"] < found["mkt"] < found["maximum"]
    assert abs(found["mkt"] - 71.74) < 0.01


def test_a_year_of_san_francisco() -> None:
    spec = importlib.util.find_spec("vega_datasets")
    if spec is None or spec.origin is None:
        pytest.skip("vega_datasets is not installed (extra demo)")
    file = Path(spec.origin).parent / "_data" / "sf-temps.csv"
    done = CliRunner().invoke(cli.app, ["mkt", str(file), "--unit", "F"])
    assert "8,759" in done.output
    found = summary(file.read_bytes(), Unit.FAHRENHEIT, 83_144)
    assert f"mkt       {Unit.FAHRENHEIT.of_milli(found.mkt):.3f} °F" in done.output


def test_wrong_usage() -> None:
    runner = CliRunner()
    assert runner.invoke(cli.app, ["mkt", "none.csv"]).exit_code == 1
    assert runner.invoke(cli.app, ["mkt", "none.csv", "--unit", "K"]).exit_code == 2
    assert runner.invoke(cli.app, ["mkt", "none.csv", "--activation", "0"]).exit_code == 2
