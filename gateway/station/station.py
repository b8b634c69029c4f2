"""The station: an image becomes two events of its device, and the pack passes or goes to the rejects.

Each image is reported exactly once, also across kill −9. The events go into the device's buffer together with a mark
in one step of its disk; the mark says which image they are about and what was decided. On every start the newest mark
is carried out again, which changes nothing where that was done: the serial is in the book, the image has been moved.
An image without a mark was not reported, still lies in its folder, and is looked at again from the start.
Only the ejector may run twice for a pack, at such a start: pushing a good pack off the line does less harm than
letting a bad one pass.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from gateway.device.buffer import Mark
from gateway.device.device import Device
from gateway.device.draft import Draft
from gateway.device.errors import DeviceBufferFullError
from gateway.preprocess import kinds
from gateway.station import shelf
from gateway.station.ejector import Ejector
from gateway.station.inspection import Inspection, Inspector
from gateway.station.payloads import inference_payload, production_payload
from gateway.station.seen import Seen, pack_id
from gateway.station.verdict import ACCEPT, REJECT, Reason

FULL_PAUSE_S: Final = 0.1
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One pack, as printed on the output line. `event`: boot and first seq of its events."""

    image: str
    digest: str
    decision: str
    reasons: list[list[str]]
    gtin: str | None
    lot: str | None
    expiry: str | None
    serial: str | None
    score: float
    code_ms: float
    text_ms: float
    event: tuple[int, int]


class Station:
    """`device` must be open and used by nobody else. `line`: the name of the packing line in its events."""

    def __init__(
        self, device: Device, inspector: Inspector, seen: Seen, line: str, ejector: Ejector | None = None,
        *, keep_in_place: bool = False, step: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`keep_in_place`: accepted images stay where they lie. `step` is told of each step, for tests that kill."""
        self._device, self._inspector, self._seen, self._line = device, inspector, seen, line
        self._ejector, self._keep, self._step = ejector, keep_in_place, step
        mark = device.last_mark()
        if mark is not None:
            self._carry_out(mark)

    def take(self, item: shelf.Waiting) -> Outcome:
        """Look at one image, report it, move it.

        Raises:
            StationError: the image cannot be read or moved, or the ejector failed. Nothing is lost or doubled.
        """
        shelf.check_room(item.path.parent)
        now_us = time.time_ns() // 1000
        seen = self._inspect(shelf.read(item.path), now_us)
        self._step("inspected")
        mark = self._mark(item, seen)
        event = self._record(self._drafts(seen, now_us), mark, urgent=seen.verdict.decision == REJECT)
        self._step("recorded")
        self._carry_out(Mark(*event, mark))
        return _outcome(item, seen, event)

    def _inspect(self, image: bytes, now_us: int) -> Inspection:
        seen = self._inspector.inspect(image, now_us)
        if seen.verdict.decision == ACCEPT and _pack(seen) in self._seen:
            said = f"serial {seen.code.elements['serial']} of this GTIN was accepted before: one of the two is a copy"
            return seen.rejected_for(Reason("serial-seen", said))
        return seen

    def _drafts(self, seen: Inspection, now_us: int) -> list[Draft]:
        """The judgement first, then the pack where the code names one."""
        inference, production = kinds.by_name("inference"), kinds.by_name("production")
        judged = inference_payload(seen, self._inspector.text, now_us)
        drafts = [Draft(inference.code, judged, now_us, inference.version)]
        if (made := production_payload(seen, self._line, now_us)) is not None:
            drafts.append(Draft(production.code, made, now_us, production.version))
        return drafts

    def _mark(self, item: shelf.Waiting, seen: Inspection) -> bytes:
        accepted = seen.verdict.decision == ACCEPT
        return json.dumps({
            "image": str(item.path.absolute()), "stamp": item.stamp, "digest": seen.digest,
            "decision": seen.verdict.decision, "pack": _pack(seen).hex() if accepted else "",
            "reject": None if accepted else _reject(item, seen),
        }).encode()  # fmt: skip

    def _record(self, drafts: list[Draft], mark: bytes, *, urgent: bool) -> tuple[int, int]:
        """Waits while the buffer is full: the line stands until the gateway has taken some."""
        told = False
        while True:
            try:
                return self._device.record_many(drafts, urgent=urgent, mark=mark)[0]
            except DeviceBufferFullError as e:
                if not told:
                    _LOG.warning("the station pauses: %s", e)
                told = True
                time.sleep(FULL_PAUSE_S)

    def _carry_out(self, mark: Mark) -> None:
        """What follows from recorded events. Doing it twice is as doing it once, but for the ejector."""
        said: dict[str, Any] = json.loads(mark.value)
        path, number = Path(said["image"]), f"{mark.boot}-{mark.seq}"
        if said["decision"] == ACCEPT:
            self._seen.add(bytes.fromhex(said["pack"]))
        self._step("in the book")
        if shelf.stamp(path) != said["stamp"]:
            return  # moved already
        if said["decision"] == ACCEPT:
            if not self._keep:
                shelf.accept(path, number)
        else:
            told = json.dumps({**said["reject"], "event": [mark.boot, mark.seq]}, ensure_ascii=False)
            why = told.encode("utf-8", "replace")  # a mark may hold what is no text
            if self._ejector is not None:
                self._ejector.eject(why)
            self._step("ejected")
            shelf.reject(path, number, why)
        self._step("moved")


def _pack(seen: Inspection) -> bytes:
    return pack_id(seen.code.elements["gtin"], seen.code.elements["serial"])


def _reject(item: shelf.Waiting, seen: Inspection) -> dict[str, Any]:
    """The JSON that lies beside a rejected image, but for its event's number."""
    verdict = seen.verdict
    return {
        "image": shelf.shown(item.path), "digest": seen.digest, "decision": verdict.decision,
        "reasons": [asdict(reason) for reason in verdict.reasons],
        "code": dict(seen.code.elements), "printed": {"lot": verdict.lot, "expiry": verdict.expiry},
    }  # fmt: skip


def _outcome(item: shelf.Waiting, seen: Inspection, event: tuple[int, int]) -> Outcome:
    elements, verdict, expiry = seen.code.elements, seen.verdict, seen.code.expiry
    return Outcome(
        shelf.shown(item.path), seen.digest, verdict.decision, [[r.name, r.text] for r in verdict.reasons],
        elements.get("gtin"), elements.get("lot"), None if expiry is None else expiry.isoformat(),
        elements.get("serial"), verdict.score, seen.code_ms, seen.text_ms, event,
    )  # fmt: skip
