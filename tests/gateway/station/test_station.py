"""The station against its folder, its device's buffer, its ejector and kill −9. Codes only: print takes too long."""

import json
import os
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from chain.event import Event
from crypto.files import private_key_at
from crypto.keys import Algorithm, PrivateKey
from gateway.device.buffer import create_buffer
from gateway.device.device import Device
from gateway.device.identity import BUFFER_FILE, KEY_FILE, Endpoint, GatewayKey, Profile, save_profile
from gateway.device.options import DeviceOptions
from gateway.station import shelf
from gateway.station.camera import Camera, Packs, keep_frame
from gateway.station.ejector import Ejector
from gateway.station.errors import StationError
from gateway.station.inspection import Inspector
from gateway.station.seen import Seen
from gateway.station.station import Outcome, Station
from tests.gateway.station.drawing import NOW_US, PACK, code_only, drawn
from tests.support.killing import steps_killed

GOOD, OTHER = drawn(), drawn("b", replace(PACK, serial="OTHER"))


def enrolled(folder: Path) -> Path:
    """A device folder as enrolment leaves it; its gateway is away."""
    folder.mkdir(parents=True)
    private_key_at(folder / KEY_FILE, Algorithm.ED25519)
    create_buffer(folder / BUFFER_FILE, "line-1")
    key = PrivateKey.generate(Algorithm.ED25519).public
    gateway = GatewayKey(str(key.algorithm), key.raw)
    save_profile(folder, Profile("line-1", "gateway.test/log", Endpoint("127.0.0.1", 9, False), gateway, ()), "x")
    return folder


def arrive(folder: Path, *images: tuple[str, bytes]) -> None:
    """Files that came a while ago, one after the other."""
    folder.mkdir(exist_ok=True)
    for age, (name, data) in enumerate(reversed(images), 1):
        (folder / name).write_bytes(data)
        os.utime(folder / name, ns=(0, time.time_ns() - age * 1_000_000_000))


def work(
    root: Path, ejector: Ejector | None = None, options: DeviceOptions | None = None, **more: object
) -> list[Outcome]:
    """One start of the station, until the folder is empty."""
    device = Device(root / "device", options or DeviceOptions())
    with closing(Seen(root / "device")) as seen:
        try:
            station = Station(device, Inspector(text=None), seen, "line-1", ejector, **more)  # type: ignore[arg-type]
            return [station.take(item) for item in shelf.waiting(root / "in")]
        finally:
            device.stop(0)


def reported(root: Path) -> list[dict[str, object]]:
    """The payloads in the device's buffer, in order."""
    with closing(sqlite3.connect(root / "device" / BUFFER_FILE)) as db:
        rows = db.execute("SELECT bytes FROM event ORDER BY boot, seq").fetchall()
    return [json.loads(Event.decode(row[0]).payload) for row in rows]


def judged(root: Path) -> list[tuple[object, object]]:
    return [(p["input"]["digest"], p["decision"]) for p in reported(root) if "input" in p]  # type: ignore[index]


def test_packs_are_taken_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    enrolled(tmp_path / "device")
    arrive(tmp_path / "in", ("z.jpg", GOOD), ("a.jpg", OTHER), ("m.jpg", GOOD), ("b.jpg", b"no image"))
    outcomes = work(tmp_path)
    assert [(o.image, o.decision) for o in outcomes] == [
        ("z.jpg", "accept"), ("a.jpg", "accept"), ("m.jpg", "reject"), ("b.jpg", "reject"),
    ]  # fmt: skip
    assert [name for o in outcomes for name, _ in o.reasons] == ["serial-seen", "image"]
    steps = [p.get("step", "commissioning") for p in reported(tmp_path) if "gtin" in p]
    assert steps == ["commissioning", "commissioning", "rejecting"]
    left = {str(path.relative_to(tmp_path / "in")) for path in (tmp_path / "in").rglob("*.*")}
    assert left == {"accepted/1-0-z.jpg", "accepted/1-2-a.jpg", "rejects/1-4-m.jpg", "rejects/1-4-m.jpg.json",
                    "rejects/1-6-b.jpg", "rejects/1-6-b.jpg.json"}  # fmt: skip
    why = json.loads((tmp_path / "in/rejects/1-4-m.jpg.json").read_text())
    assert (why["event"], why["reasons"][0]["name"], why["code"]["lot"]) == ([1, 4], "serial-seen", PACK.lot)


def test_a_serial_is_remembered_across_starts_and_other_packs_are_not_taken_for_it(tmp_path: Path) -> None:
    enrolled(tmp_path / "device")
    arrive(tmp_path / "in", ("a.jpg", GOOD))
    assert work(tmp_path)[0].decision == "accept"
    arrive(tmp_path / "in", ("a.jpg", GOOD), ("b.jpg", drawn("c", replace(PACK, serial="THIRD"))))
    assert [o.decision for o in work(tmp_path)] == ["reject", "accept"]


def test_a_rejected_pack_may_be_shown_again(tmp_path: Path) -> None:
    """Only what was accepted is in circulation: a pack put right may carry its serial."""
    enrolled(tmp_path / "device")
    expired = code_only(PACK.element_string().replace("290430", "200430"))
    arrive(tmp_path / "in", ("a.png", expired), ("b.jpg", GOOD))
    assert [o.decision for o in work(tmp_path)] == ["reject", "accept"]


_KILLING = """
import sys
from pathlib import Path
from tests.gateway.station.test_station import work
from tests.support.killing import kill_in_copies

kill_in_copies(Path(sys.argv[1]), lambda root, steps: work(root, step=steps))
"""


def test_killed_anywhere_each_pack_is_reported_once_and_moved_once(tmp_path: Path) -> None:
    enrolled(tmp_path / "line" / "device")
    arrive(tmp_path / "line" / "in", ("a.jpg", GOOD), ("b.jpg", GOOD))
    copies = steps_killed(_KILLING, tmp_path / "line", timeout=60)
    assert copies > 8
    work(tmp_path / "line")
    wanted = judged(tmp_path / "line")
    assert [decision for _, decision in wanted] == ["accept", "reject"]
    for number in range(1, copies + 1):
        root = tmp_path / f"at-{number}"
        for _ in range(2):  # the second start finds nothing to do
            work(root)
            assert judged(root) == wanted, number
            assert sorted(p.name.partition("-")[2].partition("-")[2] for p in (root / "in").rglob("*.jpg")) == [
                "a.jpg", "b.jpg",
            ]  # fmt: skip
            assert len(list((root / "in" / "rejects").glob("*.json"))) == 1


def test_the_ejector_gets_the_reject_as_json_and_no_shell_sees_it(tmp_path: Path) -> None:
    enrolled(tmp_path / "device")
    got, marker = tmp_path / "got.json", tmp_path / "pwned"
    program = f"{sys.executable} -c 'import sys; open(sys.argv[1], \"ab\").write(sys.stdin.buffer.read())' {got}"
    arrive(tmp_path / "in", (f"$(touch {marker.name});`touch {marker.name}`.jpg", b"x"))
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        work(tmp_path, Ejector(program))
    finally:
        os.chdir(here)
    assert json.loads(got.read_text())["decision"] == "reject"
    assert not marker.exists()


def test_a_pack_that_stays_on_the_line_stops_the_line_and_is_ejected_at_the_next_start(tmp_path: Path) -> None:
    enrolled(tmp_path / "device")
    arrive(tmp_path / "in", ("a.jpg", b"x"), ("b.jpg", GOOD))
    with pytest.raises(StationError, match="the pack is not off the line"):
        work(tmp_path, Ejector("/bin/false"))
    with pytest.raises(StationError, match="did not run"):
        work(tmp_path, Ejector("/no/such/program"))
    assert (tmp_path / "in/a.jpg").exists()
    assert [o.image for o in work(tmp_path, Ejector("/bin/true"))] == ["b.jpg"]
    assert [decision for _, decision in judged(tmp_path)] == ["reject", "accept"]


def test_a_name_that_is_no_text_or_too_long_stops_no_line(tmp_path: Path) -> None:
    """The pack is off the line before anything is done by its image's name, and the next one is looked at."""
    enrolled(tmp_path / "device")
    ejected = tmp_path / "ejected"
    program = 'import sys; open(sys.argv[1], "ab").write(sys.stdin.buffer.read())'
    ejector = Ejector(f"{sys.executable} -c '{program}' {ejected}")
    names = [os.fsdecode(b"\xff.png"), "x" * 251 + ".png", "ü" * 125 + ".png"]
    arrive(tmp_path / "in", *((name, b"no image " + os.fsencode(name)) for name in names), ("good.png", GOOD))
    outcomes = work(tmp_path, ejector)
    assert [one.decision for one in outcomes] == ["reject"] * 3 + ["accept"]
    assert [outcomes[0].image, ejected.read_bytes().count(b'"decision"')] == ["\ufffd.png", 3]
    json.dumps([one.image for one in outcomes], ensure_ascii=False).encode()
    assert not shelf.waiting(tmp_path / "in")
    assert (
        sorted(Path(one).suffix for one in os.listdir(tmp_path / "in" / shelf.REJECTS)) == [".json"] * 3 + [".png"] * 3
    )
    # Accepted images of such names are kept too, each by itself.
    arrive(tmp_path / "in", ("y" * 251 + ".png", OTHER))
    assert [one.decision for one in work(tmp_path)] == ["accept"]
    assert len(os.listdir(tmp_path / "in" / shelf.ACCEPTED)) == 2


def test_files_that_are_being_written_links_and_folders_are_not_taken(tmp_path: Path) -> None:
    arrive(tmp_path / "in", ("a.jpg.part", GOOD), (".b.jpg", GOOD), ("c.tmp", GOOD))
    (tmp_path / "in/d.jpg").symlink_to("/etc/hostname")
    (tmp_path / "in/e.jpg").mkdir()
    (tmp_path / "in/now.jpg").write_bytes(GOOD)
    assert shelf.waiting(tmp_path / "in") == []
    end = time.monotonic() + 20
    while not (found := shelf.waiting(tmp_path / "in")) and time.monotonic() < end:
        time.sleep(0.02)
    assert [item.path.name for item in found] == ["now.jpg"]


def test_a_full_buffer_makes_the_line_wait_and_loses_nothing(tmp_path: Path) -> None:
    enrolled(tmp_path / "device")
    arrive(tmp_path / "in", ("a.jpg", GOOD), ("b.jpg", OTHER))
    paused: list[float] = []

    def pause(seconds: float) -> None:
        paused.append(seconds)
        raise TimeoutError

    import gateway.station.station as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.time, "sleep", pause)
        with pytest.raises(TimeoutError):
            work(tmp_path, options=DeviceOptions(max_events=3))
    assert paused
    assert [decision for _, decision in judged(tmp_path)] == ["accept"]
    assert [o.decision for o in work(tmp_path)] == ["accept"]  # the other one, after the pause


def test_rejects_that_nobody_carries_away_stop_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enrolled(tmp_path / "device")
    monkeypatch.setattr(shelf, "MAX_REJECTS", 2)
    arrive(tmp_path / "in", ("a.jpg", b"x"), ("b.jpg", GOOD))
    with pytest.raises(StationError, match="carry them away"):
        work(tmp_path)
    assert (tmp_path / "in/b.jpg").exists()


def test_accepted_images_are_kept_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enrolled(tmp_path / "device")
    monkeypatch.setattr(shelf, "KEEP_ACCEPTED", 1)
    packs = [(f"{n}.png", code_only(PACK.element_string() + str(n))) for n in range(3)]
    arrive(tmp_path / "in", *packs)
    assert [o.decision for o in work(tmp_path)] == ["accept"] * 3
    assert [path.name for path in (tmp_path / "in/accepted").iterdir()] == ["1-4-2.png"]


def test_a_book_of_serials_forgets_the_oldest_beyond_its_bound(tmp_path: Path) -> None:
    with closing(Seen(tmp_path, most=3)) as seen:
        for n in range(5):
            seen.add(bytes([n]) * 16)
        assert [bytes([n]) * 16 in seen for n in range(5)] == [False, False, True, True, True]


def test_frames_of_a_video_become_one_image_for_each_pack(tmp_path: Path) -> None:
    """A video file through the same capture as a camera: no camera is needed for the rest of the way."""
    import cv2
    import numpy as np
    from PIL import Image

    video = tmp_path / "line.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 10, (640, 420))
    for image in (None, GOOD, GOOD, None, OTHER, OTHER):
        (tmp_path / "frame").write_bytes(image or b"")
        pixels = Image.open(tmp_path / "frame").convert("RGB") if image else Image.new("RGB", (640, 420))
        writer.write(np.asarray(pixels))
    writer.release()
    packs = Packs()
    with closing(Camera(str(video))) as camera:
        kept = [keep_frame(tmp_path / "frames", frame) for frame in camera.frames() if packs.is_new(frame)]
    seen = [Inspector(text=None).inspect(path.read_bytes(), NOW_US) for path in kept]
    assert [one.code.elements["serial"] for one in seen] == [PACK.serial, "OTHER"]
    with pytest.raises(StationError, match="there is no camera"):
        Camera("/dev/video-none")
