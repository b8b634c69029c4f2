"""A folder of key files: the current key of each name in NAME.key, the ones before it in NAME~GENERATION.key.

Files are replaced as a whole and synced. A key that was rotated or revoked stays: it still opens what was sealed to it.
"""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from crypto.errors import FormatError, KeyMaterialError
from crypto.files import read_private, write_durably
from crypto.kem import KemPrivateKey, KemSuite
from crypto.keys import Algorithm, PrivateKey
from crypto.keystore.file import Header, KeyFile, State, new_header
from crypto.keystore.locked import Cost
from crypto.keystore.passphrase import Passphrase
from crypto.keystore.public import NamedKey, key_name

MAX_FILES = 4096
SUFFIX = ".key"


class KeyStore:
    """The keys in one folder, all under one passphrase, which is asked for when it is needed."""

    def __init__(self, folder: Path, passphrase: Passphrase, *, cost: Cost | None = None) -> None:
        self.folder = folder
        self._passphrase = passphrase
        self._cost = cost or Cost()

    def new(self, name: str, suite: KemSuite | Algorithm, made_us: int) -> NamedKey:
        """Make a key, at `made_us` in µs since 1970.

        Raises:
            KeyMaterialError: the name has one.
            DecryptionError: the folder's keys are under another passphrase.
        """
        if (path := self._path(name)).exists():
            raise KeyMaterialError(f"{path} is there; rotate that key, or choose another name")
        for file in self._files():
            self._opened(file)  # a slip while typing must not make a key that nobody opens again
            break
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as e:
            raise KeyMaterialError(f"cannot make the key folder {self.folder}: {e.strerror}") from e
        return self._make(name, suite, 1, made_us)[0]

    def rotate(self, name: str, made_us: int) -> tuple[KemPrivateKey | PrivateKey, KemPrivateKey | PrivateKey]:
        """A new key of the same suite under the name; the old one is kept as retired. Returns old and new."""
        file = self._current(name)
        old = self._opened(file)
        self._write(file, old, state=State.RETIRED)
        return old, self._make(name, file.header.named.suite, file.header.generation + 1, made_us)[1]

    def rotated(self, name: str) -> tuple[KemPrivateKey | PrivateKey, KemPrivateKey | PrivateKey]:
        """The old and the new key of the last rotation, to sign its statement again."""
        file = self._current(name)
        if file.header.generation == 1:
            raise KeyMaterialError(f"{name} was never rotated")
        return self._opened(_read(self._path(name, file.header.generation - 1))), self._opened(file)

    def revoke(self, name: str, reason: str) -> KemPrivateKey | PrivateKey:
        """Mark the current key as revoked: nothing signs with it or seals to it again. Returns it."""
        file = self._current(name)
        key = self._opened(file)
        self._write(file, key, state=State.REVOKED, reason=reason)
        write_durably(self._path(name), self._path(name, file.header.generation).read_bytes(), mode=0o600)
        return key

    def headers(self) -> list[Header]:
        """Of every key, sorted by name and generation. What they say is proved by opening only."""
        found = {file.header.named.key.kid: file.header for file in self._files()}
        return sorted(found.values(), key=lambda header: (header.named.name, header.generation))

    def public(self, name: str) -> NamedKey:
        """The current public key of a name, to give to others; a revoked one is refused."""
        return self._current(name).header.named

    def signing_key(self, name: str) -> PrivateKey:
        """The current signature key of a name; a revoked one signs nothing more."""
        key = self._opened(self._current(name))
        if not isinstance(key, PrivateKey):
            raise KeyMaterialError(f"{name} is a {key.suite} key: it opens, it does not sign")
        return key

    def decapsulation_key(self, kid: bytes) -> KemPrivateKey | None:
        """The key with this kid, of any generation and state; None where it is not here."""
        for file in self._files():
            if file.header.named.key.kid == kid and isinstance(file.header.named.suite, KemSuite):
                key = self._opened(file)
                return key if isinstance(key, KemPrivateKey) else None
        return None

    def private(self, name: str) -> KemPrivateKey | PrivateKey:
        """The current private key of a name, to export it."""
        return self._opened(self._current(name))

    def open_each(self, told: Callable[[str], None]) -> None:
        """Open every key, so that a wrong passphrase or an altered file shows before it matters."""
        for file in self._files():
            self._opened(file)
            told(file.header.named.name)

    def _make(
        self, name: str, suite: KemSuite | Algorithm, generation: int, made_us: int
    ) -> tuple[NamedKey, KemPrivateKey | PrivateKey]:
        key = KemPrivateKey.generate(suite) if isinstance(suite, KemSuite) else PrivateKey.generate(suite)
        named = NamedKey(key_name(name), key.public)
        header = new_header(named, generation, made_us, self._cost)
        file = KeyFile.lock(header, secret_of(key), self._passphrase.get(new=not any(self._paths())))
        write_durably(self._path(name), file.encode(), mode=0o600)
        return named, key

    def _write(self, file: KeyFile, key: KemPrivateKey | PrivateKey, *, state: State, reason: str = "") -> None:
        """The key beside the current one, under its generation, in another state."""
        header = dataclasses.replace(file.header, state=state, reason=reason)
        path = self._path(header.named.name, header.generation)
        write_durably(path, KeyFile.lock(header, secret_of(key), self._passphrase.get()).encode(), mode=0o600)

    def _current(self, name: str) -> KeyFile:
        path = self._path(name)
        if not path.exists():
            known = ", ".join(sorted({header.named.name for header in self.headers()})) or "none"
            raise KeyMaterialError(f"{self.folder} holds no key {name!r}; it holds {known}")
        file = _read(path)
        if file.header.named.name != name:
            raise KeyMaterialError(f"{path.name} holds the key {file.header.named.name}; give it its own name back")
        if file.header.state is State.REVOKED:
            raise KeyMaterialError(f"{name} was revoked ({file.header.reason}); make a key under another name")
        return file

    def _files(self) -> Iterator[KeyFile]:
        """Current files first."""
        for number, path in enumerate(sorted(self._paths(), key=lambda path: ("~" in path.name, path.name))):
            if number >= MAX_FILES:
                raise KeyMaterialError(f"{self.folder} holds more than {MAX_FILES} keys")
            yield _read(path)

    def _paths(self) -> Iterator[Path]:
        return self.folder.glob(f"*{SUFFIX}")

    def _opened(self, file: KeyFile) -> KemPrivateKey | PrivateKey:
        return file.open(self._passphrase.get())

    def _path(self, name: str, generation: int | None = None) -> Path:
        return self.folder / f"{key_name(name)}{'' if generation is None else f'~{generation}'}{SUFFIX}"


def secret_of(key: KemPrivateKey | PrivateKey) -> bytes:
    return key.seed if isinstance(key, KemPrivateKey) else key.secret


def _read(path: Path) -> KeyFile:
    try:
        return KeyFile.decode(read_private(path))
    except (FormatError, KeyMaterialError) as e:
        raise KeyMaterialError(f"{path.name}: {e}") from e
