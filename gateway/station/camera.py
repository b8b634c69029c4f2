"""Frames from a V4L camera, put as files into a folder, where the station takes them like any others.

Capture is OpenCV's, which comes with the text reader. A camera has no trigger: a frame without a code is no pack, and
a frame with the code of the frame before is the same pack. Neither is kept.
"""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from gateway.station.code import read_code
from gateway.station.errors import ImageRefusedError, StationError, StationMissingError
from gateway.station.image import decode

MISSED_FRAMES: Final = 30  # in a row, and the camera is gone
FRAMES_FOLDER: Final = "frames"


class Camera:
    """One open camera. `where`: a device such as /dev/video0, or a video file."""

    def __init__(self, where: str) -> None:
        """Raises StationError: no such camera, or it gives no frame."""
        try:
            import cv2
        except ImportError as e:
            raise StationMissingError(f"{e}; install the extra: pip install 'sealtrail[vision]'") from e
        if not Path(where).exists():
            raise StationError(f"there is no camera {where}; see what `ls /dev/video*` lists")
        self._cv2: Any = cv2
        api = cv2.CAP_V4L2 if Path(where).is_char_device() else cv2.CAP_ANY
        self._capture: Any = cv2.VideoCapture(where, api)
        if not self._capture.isOpened():
            raise StationError(f"{where} cannot be opened as a camera; is it in use, or not readable for this user?")

    def frames(self) -> Iterator[bytes]:
        """PNG images, one for each frame, until the camera gives none any more."""
        missed = 0
        while missed < MISSED_FRAMES:
            good, frame = self._capture.read()
            missed = 0 if good else missed + 1
            if good:
                yield self._cv2.imencode(".png", frame)[1].tobytes()

    def close(self) -> None:
        self._capture.release()


class Packs:
    """Of the frames of a camera those that show a pack which the frame before did not show."""

    def __init__(self) -> None:
        self._before = ""

    def is_new(self, image: bytes) -> bool:
        try:
            code = read_code(decode(image).pixels, datetime.now(UTC).year)
        except ImageRefusedError:
            return False
        if not code.text:
            return False
        new, self._before = code.text != self._before, code.text
        return new


def keep_frame(folder: Path, image: bytes) -> Path:
    """The image as a file of its own, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.time_ns()}.png"
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        file.write(image)
        file.flush()
        os.fsync(file.fileno())
    return unfinished.rename(path)
