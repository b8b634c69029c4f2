"""Hourly air temperatures of San Francisco, 2010, as a logger would send them: SenML in degrees Fahrenheit.

Source: `sf-temps.csv` of the package vega_datasets 0.9, public-domain data of NOAA. The file gives clock times without
an offset; they are taken as Pacific Standard Time (UTC-8) all year, because no hour occurs twice in autumn. One
hour, 2010-03-14 03:00, is missing in the source and stays missing.
"""

import csv
import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from importlib.util import find_spec
from pathlib import Path

from gateway.demo.errors import DemoMissingError

STANDARD_TIME = timezone(timedelta(hours=-8))
SERIES = "urn:dev:ops:sealtrail-demo:outdoor:temperature"


def temperatures(series: str = SERIES, unit: str = "[degF]") -> Iterator[tuple[int, bytes]]:
    """All 8,759 measurements in time order: (microseconds since the Unix epoch, SenML payload).

    unit: how the logger spells degrees Fahrenheit: "[degF]" (UCUM) or "FAH" (UN/ECE Recommendation 20).
    """
    with _data_file().open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            local = datetime.strptime(row["date"], "%Y/%m/%d %H:%M:%S").replace(tzinfo=STANDARD_TIME)
            seconds = int(local.timestamp())
            record = {"n": series, "u": unit, "t": seconds, "v": float(row["temp"])}
            yield seconds * 1_000_000, json.dumps([record], separators=(",", ":")).encode()


def _data_file() -> Path:
    # find_spec does not import the package, which would load pandas.
    spec = find_spec("vega_datasets")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "_data" / "sf-temps.csv"
        if path.is_file():
            return path
    raise DemoMissingError("the package vega_datasets is not here; install sealtrail[demo]")
