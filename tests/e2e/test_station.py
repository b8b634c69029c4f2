"""The label station on a folder of images, through a real gateway, into its log."""

import json
from dataclasses import replace
from pathlib import Path

import httpx

from tests.e2e.programs import Up, run, until, up, write_config
from tests.gateway.station.drawing import PACK, drawn


def test_packs_from_a_folder_to_records_and_a_wrong_one_is_anchored_at_once(tmp_path: Path) -> None:
    images, device = tmp_path / "images", tmp_path / "device"
    images.mkdir()
    good, wrong = drawn(), drawn("b", replace(PACK, serial="OTHER"), lot="L2612B")
    (images / "1.jpg").write_bytes(good)
    (images / "2.jpg").write_bytes(wrong)
    slow = "[log]\ncheckpoint_interval_s = 3600\nanchor_interval_s = 3600\n"  # only what is urgent is anchored
    with up(write_config(tmp_path, slow)) as gateway:
        invited = run("source", "invite", "line-3", "--data", gateway.data, "--low", "0.8", "--unit", "/", "--json")
        code = json.loads(invited.stdout)["code"]
        run("device", "enroll", "--url", gateway.url, "--code", code, "--folder", device)
        done = run("station", "run", "--folder", images, "--device", device, "--once", "--line", "line-3", "--json")
        packs = [json.loads(line) for line in done.stdout.splitlines()]
        assert [(p["decision"], p["lot"], p["expiry"]) for p in packs] == [
            ("accept", PACK.lot, "2029-04-30"), ("reject", PACK.lot, "2029-04-30"),
        ]  # fmt: skip
        assert packs[1]["reasons"][0][0] == "lot-mismatch"
        assert packs[1]["reasons"][0][1] == "the code says L2611A, the print says L2612B"
        found = until(lambda: _anchored(gateway))
        assert [(r["kind"], "urgent" in r["flags"]) for r in found] == [
            ("inference", False), ("production", False), ("inference", True), ("production", False),
        ]  # fmt: skip
    assert [path.name for path in (images / "accepted").iterdir()] == ["1-0-1.jpg"]
    assert sorted(path.name for path in (images / "rejects").iterdir()) == ["1-2-2.jpg", "1-2-2.jpg.json"]
    assert (images / "rejects" / "1-2-2.jpg").read_bytes() == wrong


def test_reading_one_image_reports_nothing_and_says_by_its_exit_code_what_it_would_do(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    said = json.loads(run("station", "read", tmp_path / "bad.jpg", "--json", check=1).stdout)
    assert (said["decision"], said["reasons"][0]["name"]) == ("reject", "image")
    assert "exactly one of" in run("station", "run", "--device", tmp_path, check=1).stderr


def _anchored(gateway: Up) -> list[dict[str, object]]:
    """All events, oldest first, once every judgement is under an anchor."""
    headers = {"Authorization": f"Bearer {gateway.token}"}
    found = httpx.get(f"{gateway.url}/v1/records", headers=headers).json()["records"]
    events = [r for r in found if r["kind"] in ("inference", "production")]
    ready = len(events) == 4 and all(r["anchored"] for r in events if r["kind"] == "inference")
    return events[::-1] if ready else []
