"""Both stores of ciphertexts: a folder, and a bucket of a real S3 server (moto, run as a process where it is there)."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import obstore
import pytest

from gateway.config import BucketConfig
from gateway.objects.catalogue import StoredObject
from gateway.objects.errors import AlteredObjectError, ObjectError, UnknownObjectError
from gateway.objects.keeper import whole
from gateway.objects.s3 import S3Store
from gateway.objects.store import FolderStore, Store

LARGE = os.urandom(11 * 2**20)  # several parts of a multipart upload
START_WITHIN_S = 60.0


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server with the bucket `objects`."""
    beside = Path(sys.executable).parent
    program = shutil.which("moto_server", path=f"{beside}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("moto_server is not installed (pip install 'moto[s3]' flask flask-cors)")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
    )  # fmt: skip
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_WITHIN_S
    try:
        while True:
            try:
                httpx.put(f"{url}/objects", timeout=10).raise_for_status()
                break
            except httpx.HTTPError:
                assert process.poll() is None, "the S3 server ended"
                assert time.monotonic() < deadline, "the S3 server did not start"
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def bucket(folder: Path, url: str, name: str = "objects") -> BucketConfig:
    for file in ("access", "secret"):
        (folder / file).write_text("testing\n")
        (folder / file).chmod(0o600)
    return BucketConfig(
        name=name, endpoint=url, prefix="sealed", access_key_file=folder / "access", secret_key_file=folder / "secret"
    )  # type: ignore[call-arg]


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return FolderStore(tmp_path / "objects")
    return S3Store(bucket(tmp_path, request.getfixturevalue("s3")))


def put(store: Store, folder: Path, content: bytes) -> bytes:
    file = folder / "incoming"
    file.write_bytes(content)
    digest = sha256(content).digest()
    (folder / "objects").mkdir(exist_ok=True)
    store.put(digest, file)
    return digest


@pytest.mark.parametrize("content", [b"x", os.urandom(100_000), LARGE], ids=len)
def test_what_is_put_comes_back_whole_and_in_parts(store: Store, tmp_path: Path, content: bytes) -> None:
    digest = put(store, tmp_path, content)
    assert put(store, tmp_path, content) == digest  # once more
    assert b"".join(store.read(digest, 0, len(content))) == content
    middle = len(content) // 3, len(content) // 2
    assert b"".join(store.read(digest, *middle)) == content[slice(*middle)]


def test_what_is_not_there_is_said_to_be_unknown(store: Store) -> None:
    with pytest.raises(UnknownObjectError):
        b"".join(store.read(bytes(32), 0, 10))


def test_a_bucket_that_gives_other_bytes_is_found_out(s3: str, tmp_path: Path) -> None:
    store, content = S3Store(bucket(tmp_path, s3)), os.urandom(50_000)
    digest = put(store, tmp_path, content)
    stored = StoredObject(bytes(32), digest, len(content), (), 0, 0)
    assert b"".join(whole(store.read(digest, 0, stored.size), stored)) == content
    obstore.put(store._bucket, digest.hex(), content[:-1] + b"\0")
    with pytest.raises(AlteredObjectError):
        b"".join(whole(store.read(digest, 0, stored.size), stored))
    obstore.delete(store._bucket, digest.hex())
    with pytest.raises(UnknownObjectError):
        b"".join(store.read(digest, 0, stored.size))


def test_a_bucket_or_a_server_that_is_not_there(s3: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with pytest.raises(ObjectError, match="did not take"):
        S3Store(bucket(tmp_path, s3, "no-such-bucket")).put(bytes(32), tmp_path / "file")
    assert (tmp_path / "file").exists()
