"""The newest checkpoint that the gateway showed this device: an old head of the log, kept where nobody rewrites it.

Trust boundary: it counts once every pinned key of the log has signed it. With it, `sealtrail fsck --checkpoint` tells a
log that was put back or rewritten as a whole (docs/operations.md).
"""

import logging
from pathlib import Path
from typing import Final

from crypto.checkpoint import open_checkpoint
from crypto.errors import FileError, SealtrailError
from crypto.files import write_durably
from crypto.note import VerifierKey

CHECKPOINT_FILE: Final = "checkpoint"
_LOG = logging.getLogger(__name__)


class KeptCheckpoint:
    """In the device's folder."""

    def __init__(self, folder: Path, origin: str, vkeys: tuple[str, ...]) -> None:
        self._path, self._origin, self._vkeys = folder / CHECKPOINT_FILE, origin, vkeys

    def see(self, note: bytes) -> None:
        """Keep it, if it is signed and no older; a warning where it is neither, or contradicts what is kept."""
        if not note or not self._vkeys:
            return
        try:
            keys = [VerifierKey.parse(vkey) for vkey in self._vkeys]
            new = open_checkpoint(note, keys).checkpoint
            kept = open_checkpoint(self._path.read_bytes(), keys).checkpoint if self._path.exists() else None
            if new.origin != self._origin:
                _LOG.error("the gateway showed a checkpoint of %s in place of %s", new.origin, self._origin)
            elif kept and (new.size < kept.size or (new.size == kept.size and new.root != kept.root)):
                _LOG.error(
                    "the gateway showed its log at size %d, but size %d was shown before: an old copy, or a rewritten"
                    " log; keep %s for the auditors", new.size, kept.size, self._path,
                )  # fmt: skip
            elif new != kept:
                write_durably(self._path, note)
        except (SealtrailError, FileError, OSError, UnicodeDecodeError) as e:
            _LOG.warning("the checkpoint that the gateway showed is not kept: %s", e)
