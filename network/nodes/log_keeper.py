"""Keeps the logs of a network bounded: one small process beside the nodes, `python -m network.nodes.log_keeper`.

A log larger than the bound is copied to <name>.log.1 and emptied; nodes write in append mode and need not know.
Lines that are written between copy and emptying are lost, which a log may be. If the keeper dies the nodes go on,
and `sealtrail network status` shows it.
"""

import contextlib
import os
import shutil
import sys
import time
from pathlib import Path

EVERY_S = 5.0


def trim(folder: Path, bound: int) -> None:
    """One round over all logs of a folder; `bound` is in bytes."""
    for log in folder.glob("*.log"):
        with contextlib.suppress(FileNotFoundError):
            if log.stat().st_size > bound:
                shutil.copyfile(log, log.with_name(f"{log.name}.1"))
                os.truncate(log, 0)


def main(folder: Path, bound: int) -> None:
    """Trim for ever, or until the folder is gone."""
    while folder.is_dir():
        trim(folder, bound)
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
