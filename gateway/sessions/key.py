"""The gateway's static key for sessions, in its data directory. Made on first use; whoever has it can pose as it."""

import os
import time

from chain.site import Folder
from crypto.files import secret_at, write_secret
from crypto.kem import SEED_BYTES, KemPrivateKey, KemSuite

FILE = "session.key"  # u64 serial ‖ seed
_SERIAL = 8


def session_key(folder: Folder) -> tuple[KemPrivateKey, int]:
    """The key, and its serial number: when it was made, in microseconds since 1970. To change it, move the file away
    and start again: devices take the new one from an announcement that the gateway's receipt key signs."""
    path, seed_bytes = folder.keys / FILE, SEED_BYTES[KemSuite.X_WING]
    if not path.exists():
        serial = (time.time_ns() // 1000).to_bytes(_SERIAL, "big")
        write_secret(path, serial + os.urandom(seed_bytes))
    content = secret_at(path, _SERIAL + seed_bytes)
    return KemPrivateKey(KemSuite.X_WING, content[_SERIAL:]), int.from_bytes(content[:_SERIAL], "big")
