"""Sensor elements (EPCIS 2.0 section 7.3.7): metadata and reports, their times, and units that fit the quantity.

Beyond the schema: a period does not end before it begins; a number of a physical quantity has its unit, and where
both are known here, the unit measures that quantity.
"""

from typing import Any

from gateway.epcis.errors import EpcisError
from gateway.epcis.forms import Check, Prefixes, boolean, hexadecimal, listed, number, record, text, uri
from gateway.epcis.moments import time_us
from gateway.epcis.vocabulary import COMPONENT, EXCEPTION, MEASUREMENT
from gateway.preprocess.units import lookup

NUMBERS = ("value", "minValue", "maxValue", "meanValue", "percValue", "sDev", "percRank")
_IN_UNITS = frozenset(NUMBERS) - {"percRank"}
# The base unit (units.py) of the measurement types that loggers and lines report most.
_BASE = {
    "Temperature": "Cel", "RelativeHumidity": "%RH", "Pressure": "Pa", "Speed": "m/s", "Illuminance": "lx",
    "Length": "m", "Altitude": "m", "Mass": "kg", "Time": "s", "Voltage": "V", "ElectricCurrent": "A", "Power": "W",
    "Energy": "J", "Frequency": "Hz", "Angle": "rad", "Acceleration": "m/s2", "AbsoluteHumidity": "kg/m3",
    "Density": "kg/m3", "MassConcentration": "kg/m3", "Area": "m2", "Volume": "m3", "Force": "N",
    "Resistance": "Ohm", "Capacitance": "F", "ElectricCharge": "C", "LuminousFlux": "lm",
}  # fmt: skip
_UNITLESS = frozenset(("Dimensionless", "Count", "VolumeFraction"))


def _time(value: Any, _: Prefixes) -> None:
    time_us(value)


_WHERE_FROM: dict[str, Check] = {
    "deviceID": uri, "deviceMetadata": uri, "rawData": uri, "dataProcessingMethod": uri, "bizRules": uri, "time": _time,
}  # fmt: skip
_OF_METADATA = _WHERE_FROM | {"startTime": _time, "endTime": _time}
_OF_REPORT = _WHERE_FROM | dict.fromkeys(NUMBERS, number) | {
    "type": MEASUREMENT.read, "exception": EXCEPTION.read, "component": COMPONENT.read, "uom": text,
    "microorganism": uri, "chemicalSubstance": uri, "coordinateReferenceSystem": uri, "uriValue": uri,
    "stringValue": text, "booleanValue": boolean, "hexBinaryValue": hexadecimal,
}  # fmt: skip
FIELDS = frozenset(_OF_METADATA).union(_OF_REPORT, ("sensorMetadata", "sensorReport"))
_METADATA, _REPORT = record(_OF_METADATA, extensible=True), record(_OF_REPORT, extensible=True)


def metadata(value: Any, prefixes: Prefixes) -> None:
    """Times in order."""
    _METADATA(value, prefixes)
    if "startTime" in value and "endTime" in value and time_us(value["endTime"]) < time_us(value["startTime"]):
        raise EpcisError(f"expected an end at or after {value['startTime']}, got {value['endTime']}", "/endTime")


def report(value: Any, prefixes: Prefixes) -> None:
    """A type or at least an exception; numbers with a unit that fits."""
    _REPORT(value, prefixes)
    if "type" not in value and "exception" not in value:
        raise EpcisError(f"expected the field type, got {', '.join(value) or 'no fields':.120}")
    kind = MEASUREMENT.read(value["type"], prefixes) if "type" in value else ""
    if kind in MEASUREMENT.words and kind not in _UNITLESS:
        _check_unit(kind, value)
    if "minValue" in value and "maxValue" in value and value["minValue"] > value["maxValue"]:
        raise EpcisError(
            f"expected at least {value['minValue']}, the least value, got {value['maxValue']}", "/maxValue"
        )


def _check_unit(kind: str, value: dict[str, Any]) -> None:
    uom = value.get("uom")
    if uom is None:
        if not _IN_UNITS.isdisjoint(value):
            raise EpcisError(f"expected a unit (uom) beside a number of {kind}; add its UN/ECE code, as CEL")
        return
    unit, base = lookup(uom), _BASE.get(kind)
    if unit is not None and base is not None and unit.base != base:
        raise EpcisError(f"{uom} does not measure {kind}; use a unit of {base}", "/uom")


_ELEMENT = record({"sensorMetadata": metadata, "sensorReport": listed(report, 1)}, ("sensorReport",), extensible=True)
sensor_list = listed(_ELEMENT)
