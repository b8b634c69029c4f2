"""A device changes its own key: the old one and the new one sign it, the gateway brings it to the ledger.

Trust boundary: the gateway's answers steer only when the change counts from; the ledger checks both signatures.
Nothing else may run the device meanwhile. What is asked for is on disk before it is asked, so that after a lost
answer the same is asked again. The chain of seals goes on under the new key.
"""

import base64
import os
from pathlib import Path
from typing import Annotated

import msgspec

from chaincode.identities import rotation
from crypto import labels
from crypto.files import private_key_at, read_private_key, sync_folder, write_durably, write_secret
from crypto.keys import Algorithm, PublicKey
from crypto.merkle import MAX_TREE_SIZE
from gateway.device.device import lock_folder, status_of
from gateway.device.enrolment import ask, detail_of
from gateway.device.errors import DeviceError, EnrolmentError
from gateway.device.identity import KEY_FILE, NEXT_FILE, NEXT_KEY_FILE, DeviceIdentity, load_identity


class _Status(msgspec.Struct, frozen=True):
    """What is needed of the gateway's status."""

    origin: str
    log_size: Annotated[int, msgspec.Meta(ge=0, le=MAX_TREE_SIZE)]


def rotate(url: str, folder: Path, algorithm: Algorithm) -> PublicKey:
    """Change the key of the device in this folder, which no other process may use; returns the new key.

    Raises:
        DeviceError: events or seals still wait for the gateway; send them first.
        EnrolmentError: the gateway refuses, and the old key stays; or it cannot be reached, then ask again.
    """
    identity, lock = load_identity(folder), lock_folder(folder)
    try:
        if not (folder / NEXT_FILE).exists():
            _prepare(url, folder, identity, algorithm)
        code, content = ask(url, f"/v1/sources/{identity.source}/rotate", _request(folder), folder)
        if code == 204:
            return _take(folder)
        if 400 <= code < 500 and code != 429:
            (folder / NEXT_FILE).unlink()
        raise EnrolmentError(f"the gateway refused ({code}): {detail_of(content)}")
    finally:
        os.close(lock)


def _prepare(url: str, folder: Path, identity: DeviceIdentity, algorithm: Algorithm) -> None:
    """The new key counts from the log's present size on: all that this device sealed before stands in front of it."""
    # 1. Nothing is on its way that the present key signed or would have to sign.
    status = status_of(folder)
    if status.buffered or status.waiting_seals:
        raise DeviceError(
            f"{status.buffered} events and {status.waiting_seals} seals wait for the gateway under the present key;"
            " send them first, then rotate"
        )
    # 2. Where the log is.
    size = _log_size(url, folder, identity.origin)
    # 3. Both keys sign; the request is on disk last. A next key that was refused, as it seemed, is asked for again:
    #    something on the way may have said so, and the ledger have it.
    new = private_key_at(folder / NEXT_KEY_FILE, algorithm)
    said = rotation(identity.source, identity.key.public, new.public, size)
    old_signature, new_signature = (key.sign(said, labels.KEY_ROTATION) for key in (identity.key, new))
    request = {
        "algorithm": str(algorithm), "public_key": _base64(new.public.raw), "from_index": size,
        "old_signature": _base64(old_signature), "new_signature": _base64(new_signature),
    }  # fmt: skip
    write_durably(folder / NEXT_FILE, msgspec.json.encode(request))


def _log_size(url: str, folder: Path, origin: str) -> int:
    code, content = ask(url, "/v1/status", None, folder)
    try:
        status = msgspec.json.decode(content, type=_Status)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise EnrolmentError(f"the gateway's status ({code}) cannot be understood: {e}") from e
    if status.origin != origin:
        raise EnrolmentError(f"{url} is the gateway of {status.origin!r:.80}, this device belongs to {origin}")
    return status.log_size


def _request(folder: Path) -> dict[str, object]:
    try:
        found = msgspec.json.decode((folder / NEXT_FILE).read_bytes(), type=dict[str, object])
    except msgspec.DecodeError as e:
        raise DeviceError(f"{folder / NEXT_FILE} is damaged: {e}; ask the gateway's operator which key counts") from e
    return found


def _take(folder: Path) -> PublicKey:
    """The gateway has it: the new key takes the old one's place. After a crash the request is asked and taken again."""
    if (folder / NEXT_KEY_FILE).exists():
        # Written, not moved: private files may be locked under their names.
        write_secret(folder / KEY_FILE, read_private_key(folder / NEXT_KEY_FILE).to_pem())
        (folder / NEXT_KEY_FILE).unlink()
    (folder / NEXT_FILE).unlink()
    sync_folder(folder)
    return read_private_key(folder / KEY_FILE).public


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
