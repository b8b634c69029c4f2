"""What native/src offers to Python. Optional: see docs/adr/0009."""

from collections.abc import Sequence

def leaf_hashes(entries: Sequence[bytes]) -> bytes: ...
def root(hashes: bytes) -> bytes: ...
def compress(plain: bytes) -> bytes: ...
def ed25519_holds(signed: Sequence[tuple[bytes, bytes, bytes]], label: bytes) -> list[bool]: ...
def burst(
    data: bytes, pos: int, topic: bytes, v5: bool, most: int, room: int, limit: int
) -> tuple[list[bytes], bytes, int, int]: ...

class UnitTable:
    def __new__(cls, rows: list[tuple[str, str | None, float, float]]) -> UnitTable: ...

class Opener:
    def __new__(
        cls,
        source: str,
        units: UnitTable,
        limits: list[tuple[str, float | None, float | None, str]],
        late_after_us: int,
    ) -> Opener: ...
    def open(
        self, payloads: list[bytes], start: int, received_us: list[int], authentication: int
    ) -> Stretch | None: ...

class Stretch:
    boot: int
    first: int
    count: int
    size: int
    messages: int
    seals: list[tuple[int, bytes, bytes, tuple[int, int, int, bytes, bytes, int, bytes] | None, bool]]
    hashes: bytes
    flags: bytes
    def authenticate(self, first: int, count: int, authentication: int) -> None: ...
    def leaves(self, seed: bytes, logged_us: int) -> list[bytes]: ...
    def stored(self) -> bytes: ...
