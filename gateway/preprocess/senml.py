"""SenML JSON (RFC 8428): parse a pack and resolve its records.

Trust boundary: takes untrusted bytes; what comes out is bounded and finite. Steps, in this order:
 1. size and depth (strictjson.check_bounds)
 2. types and lengths (compiled decoder)
 3. no label twice, none unknown that must be understood (section 4.4)
 4. version (section 4.4, RFC 9100)
 5. base fields, names, times, values (sections 4.1, 4.5), resolved and in time order (section 4.6)
"""

import math
import re
from base64 import b64decode
from typing import Annotated, NamedTuple, TypedDict

import msgspec
from msgspec import Meta

from gateway.preprocess.errors import PayloadRejected
from gateway.preprocess.moment import MAX_SECONDS
from gateway.preprocess.strictjson import check_bounds, check_keys, decode
from gateway.preprocess.units import round_significant

MAX_RECORDS = 256
ABSOLUTE_FROM = 2.0**28  # seconds; smaller times are relative to now (section 4.5.3)
# 1 to 10 is RFC 8428. RFC 9100 reads larger numbers as feature bits: 26 adds secondary units, known to units.py.
VERSIONS = frozenset((*range(1, 11), 26))

Name = Annotated[str, Meta(max_length=255)]
UnitName = Annotated[str, Meta(max_length=64)]
Text = Annotated[str, Meta(max_length=16_384)]


class Record(TypedDict, total=False):
    """One SenML Record as sent: the labels of RFC 8428 table 1."""

    bn: Name
    bt: float
    bu: UnitName
    bv: float
    bs: float
    bver: Annotated[int, Meta(ge=1, le=2**20)]
    n: Name
    u: UnitName
    v: float
    vs: Text
    vb: bool
    vd: Annotated[Text, Meta(pattern="^[A-Za-z0-9_-]*={0,2}$")]
    s: float
    t: float
    ut: Annotated[float, Meta(ge=0)]


Pack = Annotated[list[Record], Meta(min_length=1, max_length=MAX_RECORDS)]
Value = None | bool | float | str | bytes


class Resolved(NamedTuple):
    """One resolved record. `value` is None if there is only a sum; `total` is the sum, in unit times second."""

    name: str
    value: Value
    unit: str | None
    time_us: int
    total: float | None
    update_s: float | None


# A lone object is not SenML, but it is what people publish by hand: it is taken as a pack of one.
_DECODER: msgspec.json.Decoder[list[Record] | Record] = msgspec.json.Decoder(Pack | Record)
_BASE = frozenset(("bn", "bt", "bu", "bv", "bs", "bver"))
_STRINGS = frozenset(("bn", "bu", "n", "u", "vs", "vd"))
_VALUES = frozenset(("v", "vs", "vb", "vd"))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-:./_]{0,254}").fullmatch


def parse(payload: bytes) -> list[Record]:
    """Steps 1 to 4. Returns the records as sent, 1 to 256."""
    check_bounds(payload)
    decoded = decode(_DECODER, payload)
    pack = decoded if isinstance(decoded, list) else [decoded]
    if not _only_known_labels_once(payload, pack):
        check_keys(payload, lambda label: label.endswith("_"))
    _check_version(pack)
    return pack


def _only_known_labels_once(payload: bytes, pack: list[Record]) -> bool:
    """True if quotation marks alone prove it: two for each label and each text that the decoder kept, no more.

    An unknown label, a label given twice, and an escaped quotation mark each add at least one, and nothing
    takes one away; then the slow check decides.
    """
    texts = 0
    for record in pack:
        texts += len(record)
        for label in record:
            if label in _STRINGS:
                texts += 1
    return payload.count(b'"') == 2 * texts


def _check_version(pack: list[Record]) -> None:
    """Every record has the same version, and it is one that is understood here."""
    version = pack[0].get("bver", 10)
    if version not in VERSIONS:
        raise PayloadRejected(f"SenML version {version} is not understood; send version 10 (RFC 8428)")
    for record in pack:
        if "bver" in record and record["bver"] != version:
            raise PayloadRejected("all records of a pack must have one version; send bver in the first only")


def resolve(pack: list[Record], now_us: int) -> list[Resolved]:
    """Step 5. Relative times count from `now_us`, microseconds since the Unix epoch."""
    base: Record = {}
    resolved = []
    for record in pack:
        if not _BASE.isdisjoint(record):
            base = {**base, **_base_fields(record)}
            if _BASE.issuperset(record):
                continue  # such a record carries base fields for those behind it, and no measurement
        resolved.append(_resolve_one(record, base, now_us))
    if not resolved:
        raise PayloadRejected("the pack holds base fields only; send at least one record with a value")
    if len(resolved) > 1:
        resolved.sort(key=lambda r: r.time_us)
    return resolved


def _base_fields(record: Record) -> Record:
    base: Record = {}
    if "bn" in record:
        base["bn"] = record["bn"]
    if "bt" in record:
        base["bt"] = record["bt"]
    if "bu" in record:
        base["bu"] = record["bu"]
    if "bv" in record:
        base["bv"] = record["bv"]
    if "bs" in record:
        base["bs"] = record["bs"]
    return base


def _resolve_one(record: Record, base: Record, now_us: int) -> Resolved:
    name = base.get("bn", "") + record.get("n", "")
    if not _NAME(name):
        raise PayloadRejected(
            f"name {name!r:.80} is not a SenML name: 1 to 255 of A-Z a-z 0-9 - : . / _, "
            "beginning with a letter or digit (RFC 8428 section 4.5.1)"
        )
    seconds = base.get("bt", 0.0) + record.get("t", 0.0)
    return Resolved(
        name,
        _value(record, base),
        record.get("u", base.get("bu")),
        _time_us(seconds, now_us),
        _total(record, base),
        record.get("ut"),
    )


def _time_us(seconds: float, now_us: int) -> int:
    if not -MAX_SECONDS < seconds < MAX_SECONDS:
        raise PayloadRejected(f"a time is outside of the years 1970 to 9999, got {seconds!r} s")
    time_us = round(seconds * 1e6)
    if seconds < ABSOLUTE_FROM:
        time_us += now_us
        if time_us < 0:
            raise PayloadRejected(f"a relative time lies before 1970, got {seconds!r} s")
    return time_us


def _value(record: Record, base: Record) -> Value:
    """The one value, base value added; None if there is a sum instead (section 4.2)."""
    if "v" in record:
        if not ("vs" in record or "vb" in record or "vd" in record):
            return _add(base["bv"], record["v"]) if "bv" in base else record["v"]
    else:
        found = _VALUES.intersection(record)
        if len(found) == 1:
            return _other_value(record)
        if not found and "s" in record:
            return None
    raise PayloadRejected("a SenML record has exactly one of v, vs, vb, vd, or a sum s (RFC 8428 section 4.2)")


def _other_value(record: Record) -> Value:
    if "vb" in record:
        return record["vb"]
    if "vs" in record:
        return record["vs"]
    text = record["vd"].rstrip("=")
    try:
        return b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as e:
        raise PayloadRejected(f"vd is not base64url (RFC 4648 section 5): {e}") from e


def _total(record: Record, base: Record) -> float | None:
    if "s" not in record:
        return base.get("bs")
    return _add(base["bs"], record["s"]) if "bs" in base else record["s"]


def _add(base: float, value: float) -> float:
    """Base value and value, rounded so that 20 + 0.1 does not show the last bits of the sum."""
    total = round_significant(base + value)
    if not math.isfinite(total):
        raise PayloadRejected(f"a sum is beyond the range of a double, got {base!r} + {value!r}; send smaller numbers")
    return total
