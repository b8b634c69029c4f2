"""Ciphertexts in an S3-compatible store, by the library obstore (extra `s3`), which is loaded when used.

The store is not trusted: it sees ciphertexts and their digests, and what it gives back is compared with the digest. It
can withhold, or lose what it has.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from crypto.files import read_private
from gateway.config import BucketConfig
from gateway.objects.errors import ObjectError, UnknownObjectError
from gateway.objects.store import PIECE_BYTES

TIMEOUT = timedelta(seconds=60)


class S3Store:
    """gateway.objects.store.Store over one bucket. Large files go up in parts; none shows before all are there."""

    def __init__(self, settings: BucketConfig) -> None:
        try:
            import obstore
            from obstore.exceptions import BaseError, NotFoundError
            from obstore.store import S3Store as Bucket
        except ImportError as e:
            raise ObjectError("an S3 store needs the package obstore: pip install 'sealtrail[s3]'") from e
        # obstore has errors of its own, and for some of them the built-in ones.
        self._obstore, self._errors, self._missing = obstore, (BaseError, OSError), (FileNotFoundError, NotFoundError)
        keys = {
            "access_key_id": _secret(settings.access_key_file), "secret_access_key": _secret(settings.secret_key_file),
        }  # fmt: skip
        config: dict[str, Any] = {
            "region": settings.region, "endpoint": settings.endpoint, "virtual_hosted_style_request": False,
        }  # fmt: skip
        config |= {name: value for name, value in keys.items() if value is not None}
        plain = settings.endpoint.startswith("http://")
        self._bucket: Any = Bucket(
            settings.name, prefix=settings.prefix or None,
            config={name: value for name, value in config.items() if value != ""},  # type: ignore[arg-type]
            client_options={"allow_http": plain, "timeout": TIMEOUT},
            retry_config={"max_retries": 3, "retry_timeout": TIMEOUT},
        )  # fmt: skip

    def put(self, digest: bytes, file: Path) -> None:
        try:
            self._obstore.put(self._bucket, digest.hex(), file)
        except self._errors as e:
            raise ObjectError(f"the S3 store did not take {digest.hex()[:16]}…: {_short(e)}") from e

    def read(self, digest: bytes, start: int, stop: int) -> Iterator[bytes]:
        while start < stop:
            end = min(start + 8 * PIECE_BYTES, stop)
            piece = self._range(digest, start, end)
            if not piece:
                return
            yield piece
            start += len(piece)

    def _range(self, digest: bytes, start: int, end: int) -> bytes:
        try:
            return bytes(self._obstore.get_range(self._bucket, digest.hex(), start=start, end=end))
        except self._missing as e:
            raise UnknownObjectError(f"the S3 store has no {digest.hex()[:16]}…") from e
        except self._errors as e:
            raise ObjectError(f"the S3 store does not give {digest.hex()[:16]}…: {_short(e)}") from e


def _secret(path: Path | None) -> str | None:
    """None: the environment's credentials count."""
    return None if path is None else read_private(path).decode("ascii", "replace").strip()


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
