"""`sealtrail bench` from end to end, at a scale that measures nothing: what it writes, not how fast anything is."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.front import send
from bench.load import generator
from bench.machine import describe
from bench.pages import MARKS, charts, tables, write_tables
from bench.program import Gateway, running
from bench.rounds import Settings
from bench.sealed import sealed
from bench.suite import PARTS
from bench.targets import TARGETS, judged

DOCS = Path(__file__).resolve().parents[1] / "docs"
TINY = ("--scale", "0.002", "--rounds", "1", "--quick")


def _bench(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sealtrail", "bench", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)


def test_two_parts_say_what_they_measured_and_on_what(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    done = _bench(
        "--only", "signed", "--only", "footprint", *TINY, "--folder", str(tmp_path), "--json", str(file)
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["found.json"]  # nothing else of it stays
    found: dict[str, Any] = json.loads(file.read_text())
    assert set(found) == {
        "version", "machine", "generator", "quick", "rounds", "scale", "parts", "seconds", "targets",
    }  # fmt: skip
    assert set(found["machine"]) == {"cores", "cpu", "python", "system", "fdatasync_us"}
    signed, footprint = found["parts"]["signed"], found["parts"]["footprint"]
    assert (len(signed["ours"]), len(signed["peer"])) == (1, 1)
    assert signed["ratio"] == pytest.approx(signed["ours"][0] / signed["peer"][0], abs=0.001)
    assert footprint["bytes_an_event"] > footprint["payload_bytes"] == 300
    assert {row["name"] for row in found["targets"]} == {
        target.name for target in TARGETS if target.way[0] in ("signed", "footprint")
    }
    assert done.stdout.strip() == tables(found)
    assert charts(found) == {}  # neither part has a plot


def test_without_a_compiler_python_sends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert generator().startswith("Python")
    settings = Settings(tmp_path, 1, 1.0, True, print)
    with running(lambda: Gateway(tmp_path / "site")) as gateway:
        devices = gateway.enrol(2)
        assert send(settings, gateway, devices, 300, 1, 1024).receipted == 1.0
        assert send(settings, gateway, devices, 20, 4, 1).receipted == 1.0


def test_sealing_beside_bare_encryption_without_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    part = sealed(Settings(tmp_path, 1, 0.001, True, print))
    assert "skipped" in part["age"]
    for name in ("seal, file to file", "open, file to file", "seal, in memory", "open, in memory"):
        assert part[name]["ratio to bare"] > 0
    found = {
        "machine": describe(tmp_path),
        "parts": {"sealed": part},
        "rounds": 1,
        "quick": True,
        "targets": judged({}),
    }
    assert "| recipients |" in tables(found)


def test_an_unknown_part_is_refused() -> None:
    done = _bench("--only", "nothing")
    assert done.returncode == 2
    assert all(name in done.stderr for name in PARTS)


def test_a_target_is_met_at_its_bound_and_missed_beyond() -> None:
    parts = {"footprint": {"memory_mb": {"peak": 250}, "bytes_an_event": 590.1}, "signed": {"ratio": 0.85}}
    assert {row["name"]: row["met"] for row in judged(parts)} == {
        "a signature on every message to verification alone": True, "memory, peak": True, "disk an event": False,
    }  # fmt: skip


def test_the_tables_go_between_their_marks_and_touch_nothing_else(tmp_path: Path) -> None:
    page, fresh = tmp_path / "page.md", tmp_path / "fresh.md"
    page.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    for _ in range(2):  # writing again changes nothing
        write_tables(page, "new")
        assert page.read_text() == f"before\n{MARKS[0]}\nnew\n\n{MARKS[1]}\nafter\n"
    write_tables(fresh, "new")
    assert fresh.read_text() == "new\n"


def test_the_page_shows_the_results_that_lie_beside_it() -> None:
    found = json.loads((DOCS / "performance.json").read_text())
    assert set(found["parts"]) == set(PARTS)
    assert tables(found) in (DOCS / "performance.md").read_text()
    for name, svg in charts(found).items():
        assert (DOCS / name).read_text() == svg
