"""The results of `sealtrail bench` for people: Markdown tables and SVG plots of whichever parts were measured."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.machine import sentence
from bench.report import COLOURS, Bar, chart, grid

WIDE = 250
MARKS = ("<!-- measured: written by sealtrail bench --markdown -->\n", "<!-- end of what was measured -->")
SINGLY = "one commit an event"
_SIDES = {
    (SINGLY, "ours"): "ours, in batches of 1,024",
    (SINGLY, "ledger"): "embedded ledger",
    (SINGLY, "table"): "SQLite",
}
Found = Mapping[str, Any]


def tables(found: Found) -> str:
    """Machine, targets, then a table for each part."""
    parts, rounds = found["parts"], found["rounds"]
    whole = [f"{sentence(found['machine'])}; {rounds} round{'s' * (rounds != 1)}{', quick' * found['quick']}."]
    if found["targets"]:
        whole.append(grid(("figure", "measured", "target", ""), map(_target, found["targets"])))
    for name, part in parts.items():
        if "failed" in part or "skipped" in part:
            whole.append(f"\n{name}: {part.get('failed') or part['skipped']}")
        else:
            whole.append(_TABLES[name](part))
    return "\n".join(whole)


def write_tables(file: Path, text: str) -> None:
    """Into the file; where it holds the two marks, only what stands between them is replaced."""
    page = file.read_text() if file.exists() else ""
    before, first, rest = page.partition(MARKS[0])
    _, last, after = rest.partition(MARKS[1])
    file.write_text(f"{before}{first}\n{text}\n\n{last}{after}" if first and last else f"{text}\n")


def charts(found: Found) -> dict[str, str]:
    """SVG by file name."""
    good = {name: part for name, part in found["parts"].items() if "failed" not in part and "skipped" not in part}
    made: dict[str, str] = {}
    doors = [*_front_bars(good.get("front")), *_side_bars(good.get("side"))]
    if doors:
        made["performance-doors.svg"] = chart("Events a second, one event a message", doors, WIDE)
    if "append" in good:
        made["performance-append.svg"] = chart("Events appended a second", list(_append_bars(good["append"])), WIDE)
    if "latency" in good:
        bars = list(_latency_bars(good["latency"]))
        made["performance-latency.svg"] = chart("From event to answer: bar p50, line p99", bars, WIDE)
    if "sizes" in good:
        bars = list(_sizes_bars(good["sizes"]))
        made["performance-proofs.svg"] = chart("Building an inclusion proof: bar p50, line p99", bars, WIDE)
    return made


def _target(row: Found) -> tuple[str, ...]:
    unit = f" {row['unit']}" if row["unit"] else ""
    bound = f"{'at most' if row['at_most'] else 'at least'} {row['target']:,g}{unit}"
    return row["name"], f"{_number(row['value'])}{unit}", bound, "met" if row["met"] else "**missed**"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _front(part: Found) -> str:
    one = [(name, *_beside(row)) for name, row in part.items() if "ratio" in row]
    many = [(name, _number(row["median"])) for name, row in part["64 a message"].items()]
    head = ("one event a message", "front door", "bare endpoint", "ratio", "receipts within 0.25 s", "generator")
    return grid(head, one) + "\n" + grid(("64 events a message", "front door, events a second"), many)


def _beside(row: Found) -> tuple[str, ...]:
    rates = map(_number, (row["median"], row["peer_median"]))
    return *rates, f"**{row['ratio']:.2f}**", f"{row['receipted']:.1%}", f"{row['generator_us']:.2f} µs a message"


def _side(part: Found) -> str:
    beside = part["beside"]
    rows = [
        (name, _number(value), "" if name == "ours" else f"**{beside[f'ratio to {name}']:.2f}**")
        for name, value in beside["medians"].items()
    ]
    shapes = [(name, _number(rate), _number(part["64 a message"][name])) for name, rate in part["1 a message"].items()]
    head = ("side door, from sending", "one event a message", "64 events a message")
    return grid(("behind mosquitto", "messages a second", "ours to it"), rows) + "\n" + grid(head, shapes)


def _signed(part: Found) -> str:
    rows = [
        ("front door, a seal behind every event", _number(part["median"])),
        (f"Ed25519 verification alone by OpenSSL, {part['cores']} cores", _number(part["peer_median"])),
        ("the same, one core", _number(part["one core"])), ("ratio", f"**{part['ratio']:.2f}**"),
        (f"Ed25519 verification alone by the gateway's own verifier, {part['cores']} cores", _number(part["fast"])),
    ]  # fmt: skip
    return grid(("a signature on every message", "a second"), rows)


def _append(part: Found) -> str:
    rows = [
        (
            name,
            _SIDES.get((name, side), side),
            _number(value),
            f"**{row[f'ratio to {side}']:,.3g}**" if side != "ours" else "",
        )
        for name, row in part.items()
        if name != "tessera"
        for side, value in row["medians"].items()
    ]
    table = grid(("append", "who", "events a second", "ours to it"), rows)
    return table + (f"\n\nTessera: {part['tessera']}" if "tessera" in part else "")


def _sizes(part: Found) -> str:
    rows = [_size(row) for name, row in part.items() if name.isdigit()]
    rows.append(("empty", "", "", "", f"{part['empty']['start_s']:.2f} s", ""))
    head = ("leaves", "proof, cached, p50 / p99", "nothing cached", "opening the store", "start", "beyond an empty one")
    return grid(head, rows)


def _size(row: Found) -> tuple[str, ...]:
    warm, cold = (
        f"{_number(took['p50'])} / {_number(took['p99'])} µs"
        for took in (row["proof_us"]["warm"], row["proof_us"]["cold"])
    )
    start, beyond = f"{row['start_s']:.2f} s", f"{row['start_beyond_empty_s']:+.2f} s"
    return f"{row['leaves']:,}", warm, cold, f"{row['open_ms']:.2f} ms", start, beyond


def _receipts(part: Found) -> str:
    kinds = [kind for kind in ("sharing", "one source", "sharing nothing") if kind in part]
    rows = [(f"{part[kind]['receipts']:,} {kind}", _number(part[kind]["a_second"])) for kind in kinds]
    for kind in kinds:
        if least := part[kind].get("signatures_us"):
            rows.append((f"most that signatures allow, {kind}", _number(1e6 / least)))
    if "parse_us" in part:
        rows.append(("µs to parse one", _number(part["parse_us"])))
    rows += [("bytes of a receipt", _number(part["bytes"])), ("ms to build one", _number(part["build_ms"]))]
    return grid(("receipts", "verified a second, one core"), rows)


def _latency(part: Found) -> str:
    rows = []
    for load in ("idle", "half load"):
        for what, name in (("puback_ms", "PUBACK"), ("receipt_ms", "receipt"), ("anchor_ms", "anchor")):
            took = part[load][what]
            rate = f"{load}: {_number(part[load]['events_a_second'])} events/s"
            rows.append((rate, name, f"{_number(took['p50'])} ms", f"{_number(took['p99'])} ms"))
    return grid((f"full load is {_number(part['full_load'])} events/s", "event to", "p50", "p99"), rows)


def _alarms(part: Found) -> str:
    rows = [(f"loggers {name}, {row['shipments']} shipments", _took(row["alarm_ms"])) for name, row in part.items()]
    return grid(("from a warm reading to its alarm at a listener", "ms p50 / p99"), rows)


def _footprint(part: Found) -> str:
    rows = [(f"bytes on disk, an event of {part['payload_bytes']} bytes of payload", _number(part["bytes_an_event"]))]
    rows += [(f"of these in {name}", _number(size)) for name, size in part["files"].items()]
    rows.append(("the same for events with nothing in common", _number(part["random_bytes_an_event"])))
    rows += [(f"resident MB, {when}", _number(size)) for when, size in part["memory_mb"].items()]
    rows.append(("seconds until the index was up to date", _number(part["index_lag_s"])))
    return grid((f"after {part['events']:,} events", ""), rows)


def _sessions(part: Found) -> str:
    shakes = [
        (name, _number(row["gateway"]), _number(row["both"]), f"{row['bytes']:,.0f}")
        for name, row in part["handshakes"].items()
    ]
    shown = grid(("handshakes, device's signature", "a second, the gateway's half", "both halves", "bytes"), shakes)
    opened = [(f"frame opened, {name}", _number(rate), "") for name, rate in part["frames"].items()]
    opened += [
        (f"signature verified, {name}", _number(rate), f"**{part['frames to a signature'][name]:.3g}**")
        for name, rate in part["verified"].items()
    ]
    head = (f"one event of {part['payload_bytes']} bytes, one core", "a second", "frames (GCM-SIV) to it")
    doors = [(name, _number(rate)) for name, rate in part["door"].items()]
    return f"{shown}\n{grid(head, opened)}\n{grid(('front door', 'events a second'), doors)}"


def _sealed(part: Found) -> str:
    rows = [
        (
            name, _number(part[name]["medians"]["ours"]), _number(part[name]["medians"]["with a digest"]),
            *(_to(part[name], peer) for peer in ("bare", "age")),
        )
        for name in part
        if name.endswith(("file to file", "in memory"))
    ]  # fmt: skip
    head = (f"{part['megabytes']:,} MB", "MB/s", "with a digest", "bare AES-256-GCM, MB/s (ratio)", "age, MB/s (ratio)")
    many = [(count, _number(took)) for count, took in part["recipients_us"].items()]
    table = grid(head, rows) + "\n" + grid(("recipients", "µs to seal one byte"), many)
    return table + (f"\n\nage: {part['age']}" if "age" in part else "")


def _to(row: Found, peer: str) -> str:
    """A peer's rate, and ours to it."""
    return f"{_number(row['medians'][peer])} (**{row[f'ratio to {peer}']:.2f}**)" if peer in row["medians"] else ""


def _station(part: Found) -> str:
    rows = [
        (f"code and print, {name}", _number(row["a_second"]), *(_took(row[what]) for what in ("code_ms", "text_ms")))
        for name, row in part.items()
        if isinstance(row, Mapping) and "text_ms" in row
    ]
    alone = part["code alone"]
    rows.append(("code alone", _number(alone["a_second"]), _took(alone["code_ms"]), ""))
    size = " x ".join(map(str, part["pixels"]))
    return grid((f"label station, images of {size}", "a second", "code, ms p50 / p99", "print, ms p50 / p99"), rows)


def _trace(part: Found) -> str:
    rows = []
    for name, row in part.items():
        if isinstance(row, Mapping):
            about = f"{name} ({_number(row['events_a_second'])} indexed a second)" if name.isdigit() else name
            kinds = row["ms"] if "p50" not in row["ms"] else {"down": row["ms"]}
            rows += [(about, kind, _took(took)) for kind, took in kinds.items()]
    return grid(("trace, events in the index", "of a", "ms p50 / p99"), rows)


def _took(milliseconds: Found) -> str:
    return f"{_number(milliseconds['p50'])} / {_number(milliseconds['p99'])}"


def _epcis(part: Found) -> str:
    rows = [
        (f"REST, {size} a document", _number(row["median"]), _took(row["ms"])) for size, row in part["rest"].items()
    ]
    rows += [(f"MQTT, {each} a message", _number(row["median"]), "") for each, row in part["mqtt"].items()]
    return grid((f"EPCIS events of {part['bytes']} bytes", "events a second", "a document, ms p50 / p99"), rows)


_TABLES: dict[str, Callable[[Found], str]] = {
    "front": _front, "side": _side, "signed": _signed, "append": _append, "sizes": _sizes, "receipts": _receipts,
    "latency": _latency, "alarms": _alarms, "footprint": _footprint, "sealed": _sealed, "sessions": _sessions,
    "station": _station, "trace": _trace, "epcis": _epcis,
}  # fmt: skip


def _front_bars(part: Found | None) -> Iterator[Bar]:
    for name, row in (part or {}).items():
        if "ratio" in row:
            yield Bar(f"front door, {name}", row["median"], _number(row["median"]), COLOURS["ours"])
            yield Bar(f"bare endpoint, {name}", row["peer_median"], _number(row["peer_median"]), COLOURS["peer"])


def _side_bars(part: Found | None) -> Iterator[Bar]:
    for name, value in part["beside"]["medians"].items() if part else ():
        label = "side door" if name == "ours" else f"bare {name} subscriber"
        yield Bar(label, value, _number(value), COLOURS["ours" if name == "ours" else "peer"])


def _append_bars(part: Found) -> Iterator[Bar]:
    for name, row in part.items():
        for side, value in row["medians"].items() if name != "tessera" else ():
            if (name, side) != (SINGLY, "ours"):  # that one is in batches and stands there already
                label = f"{'Sealtrail' if side == 'ours' else side}, {name}"
                yield Bar(label, value, _number(value), COLOURS["ours" if side == "ours" else "peer"])


def _latency_bars(part: Found) -> Iterator[Bar]:
    for load in ("idle", "half load"):
        for what in ("puback", "receipt"):
            row = part[load][f"{what}_ms"]
            text = f"{_number(row['p50'])} / {_number(row['p99'])} ms"
            label = f"{'PUBACK' if what == 'puback' else what}, {load}"
            yield Bar(label, row["p50"], text, COLOURS["ours" if load == "idle" else "peer"], row["p99"])


def _sizes_bars(part: Found) -> Iterator[Bar]:
    for name, row in part.items():
        for how, words in (("warm", "cached"), ("cold", "nothing cached")) if name.isdigit() else ():
            took, colour = row["proof_us"][how], COLOURS["ours" if how == "warm" else "peer"]
            text = f"{_number(took['p50'])} / {_number(took['p99'])} µs"
            yield Bar(f"{row['leaves']:,} leaves, {words}", took["p50"], text, colour, took["p99"])
