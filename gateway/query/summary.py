"""One line that says what an event says, for lists: `4.8 °C`, `lot L2611A, serial K7…`, `pass, score 0.98`."""

from typing import Any

from chain.store.segment import Fields
from gateway.preprocess.epcis import Epcis
from gateway.preprocess.inference import Inference
from gateway.preprocess.production import Production
from gateway.preprocess.reading import Reading
from gateway.preprocess.sealed_object import SealedObject
from gateway.preprocess.shipment import Shipment

MAX_CHARS = 120
UNITS = {"Cel": "°C", "%RH": "% RH", "/": "", "%EL": "% battery", "lx": "lx"}


def summary_of(kind: int, fields: Fields) -> str:
    """At most 120 characters; empty for kinds that are not known here."""
    said = dict(fields)
    if kind == Reading.code:
        text = _reading(said)
    elif kind == Production.code:
        text = _parts((said.get("step"), ""), (said.get("lot"), "lot "), (said.get("serial"), "serial "))
    elif kind == Inference.code:
        text = _parts((said.get("decision"), ""), (said.get("score"), "score "), (said.get("model_name"), "by "))
    elif kind == SealedObject.code:
        text = _parts((_start(said.get("object")), "sealed object "), (said.get("size"), "bytes "))
    elif kind == Shipment.code:
        text = _parts(
            (said.get("act"), ""), (_start(said.get("shipment")), "shipment "), (said.get("text") or None, "")
        )
    elif kind == Epcis.code:
        text = _event(said)
    else:
        text = ""
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"


def _event(said: dict[str, Any]) -> str:
    """`shipping, 12 things, at https://…`; words of others by their last part."""
    step = str(said.get("step") or said.get("action") or said.get("type")).replace("/", ":").rsplit(":", 1)[-1]
    things = said.get("things") or []
    what = things[0][1].removeprefix("https://id.gs1.org/") if len(things) == 1 else f"{len(things)} things"
    return _parts((step, ""), (what if things else None, ""), (said.get("read_point"), "at "))


def _start(value: object) -> str | None:
    return f"{value[:16]}…" if isinstance(value, str) else None


def short_series(name: str) -> str:
    """The last part of a SenML name: `urn:dev:ow:10e2073a01080063:temperature` → `temperature`."""
    return name.replace("/", ":").rstrip(":").rsplit(":", 1)[-1] or name


def format_value(value: object, unit: str | None) -> str:
    """A measured value with its unit as people write it; three decimals at most."""
    if type(value) is float:
        number = f"{value:,.3f}".rstrip("0").rstrip(".") if abs(value) < 1e9 else f"{value:.6g}"
        return f"{number.replace('-', '−')} {UNITS.get(unit or '', unit or '')}".rstrip()
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{len(value)} bytes" if isinstance(value, bytes) else "" if value is None else str(value)


def _reading(said: dict[str, Any]) -> str:
    rows = said.get("reading") or []
    newest = {row[0]: row for row in rows}.values()  # rows are in time order: the last of a name stays
    shown = [f"{short_series(row[0])} {format_value(row[1], row[2])}" for row in list(newest)[:4]]
    more = f", {len(rows)} values" if len(rows) > len(shown) else ""
    return ", ".join(shown) + more


def _parts(*parts: tuple[Any, str]) -> str:
    return ", ".join(f"{label}{_short(value)}" for value, label in parts if value is not None)


def _short(value: Any) -> str:
    return format_value(value, "/") if type(value) is float else str(value)
