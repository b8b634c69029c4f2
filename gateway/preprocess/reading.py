"""The kind `reading`: what a sensor measured, as SenML JSON (RFC 8428).

Trust boundary: takes untrusted bytes. Both the value as sent and the value in the base unit are kept, so
nobody has to trust the conversion. Suspect values are flagged and kept, never filtered away.
"""

import math
from typing import Any

from chain.record import RecordFlag
from crypto.cbor import CborValue
from gateway.preprocess.errors import PayloadRejected
from gateway.preprocess.kind import FLAGS, Context, Prepared, excursion
from gateway.preprocess.schema import senml_schema
from gateway.preprocess.senml import Resolved, parse, resolve
from gateway.preprocess.units import lookup

FUTURE_US = 3_600_000_000  # a measurement more than an hour ahead of its reception did not happen yet
_SUSPECT = int(RecordFlag.SUSPECT)


class Reading:
    """SenML readings. One field, `reading`: a list with one row for each resolved record, in time order.

    A row is [name, value, unit, time_us, sent value, sent unit], the first value in the base unit of
    units.py, the second as sent with the base value added; [sum, update time] follow where a record has
    either.
    """

    name = "reading"
    code = 1
    version = 1

    def prepare(self, payload: bytes, context: Context) -> Prepared:
        """See Kind.prepare."""
        records = resolve(parse(payload), context.sensed_us)
        rows: list[CborValue] = []
        bits = 0
        for record in records:
            row, row_bits = _row(record, context)
            rows.append(row)
            bits |= row_bits
        newest_us = records[-1].time_us
        if newest_us > context.received_us + FUTURE_US:
            bits |= _SUSPECT
        return Prepared((("reading", rows),), FLAGS[bits], newest_us, _series(records))

    def json_schema(self) -> dict[str, Any]:
        """See Kind.json_schema."""
        return senml_schema()


def _row(record: Resolved, context: Context) -> tuple[CborValue, int]:
    name, sent, unit, time_us, total, update_s = record
    value: CborValue = sent
    base = unit
    bits = 0
    if type(sent) is float:
        value, base, bits = _measure(name, sent, unit, context)
    row: list[CborValue] = [name, value, base, time_us, sent, unit]
    if total is not None or update_s is not None:
        row += [total, update_s]
    return row, bits


def _measure(name: str, sent: float, unit: str | None, context: Context) -> tuple[float, str | None, int]:
    """Value in the base unit, the base unit, flag bits."""
    known = lookup(unit)
    if known is None:  # no unit at all is allowed (section 4.5.2); a unit that nobody can read is suspect
        bits = 0 if unit is None else _SUSPECT
        return sent, unit, bits | excursion(name, sent, unit, context)
    value = known.to_base(sent)
    if not math.isfinite(value):
        raise PayloadRejected(f"a value is beyond the range of a double in {known.base}, got {sent!r} {unit}")
    bits = 0 if known.plausible(value) else _SUSPECT
    return value, known.base, bits | excursion(name, value, known.base, context)


def _series(records: list[Resolved]) -> tuple[tuple[str, str], ...]:
    if len(records) == 1:
        return (("series", records[0].name),)
    return tuple(("series", name) for name in dict.fromkeys(record.name for record in records))
