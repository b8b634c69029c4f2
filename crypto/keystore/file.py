"""A key file (`NAME.key`): what everybody may know of a key in clear, its secret locked (docs/formats/keys.md).

Untrusted until it was opened with the passphrase: only then is the clear part known to be what it was.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from crypto import cbor, labels
from crypto.errors import FormatError, KeyMaterialError
from crypto.kem import KemPrivateKey, KemSuite
from crypto.keys import Algorithm, PrivateKey
from crypto.keystore.locked import SALT_BYTES, Cost, derive, new_salt, unlock
from crypto.keystore.public import NamedKey, key_name, public_key, suite_named

VERSION: Final = 1
MAX_FILE_BYTES: Final = 8192
MAX_REASON: Final = 200
MAX_TIME_US: Final = 253_402_300_800_000_000  # the end of the year 9999
_KEYS: Final = frozenset(range(1, 10))


class State(IntEnum):
    """What a key is still good for. A key that is not current opens and proves what was done with it."""

    CURRENT = 0
    RETIRED = 1  # rotated: another key has its name now
    REVOKED = 2  # not to be believed any more


@dataclass(frozen=True, slots=True)
class Header:
    """The clear part. `generation` is 1 for a name's first key; `reason` says why it was revoked, else it is empty;
    `made_us` in µs since 1970."""

    named: NamedKey
    generation: int
    state: State
    made_us: int
    reason: str
    cost: Cost
    salt: bytes

    def encode(self) -> bytes:
        cost = [self.cost.memory_kib, self.cost.passes, self.cost.lanes]
        values = (
            VERSION, self.named.name, str(self.named.suite), self.named.key.raw, self.generation, int(self.state),
            [self.made_us, self.reason], cost, self.salt,
        )  # fmt: skip
        return cbor.encode(dict(enumerate(values, 1)))

    @classmethod
    def decode(cls, data: bytes) -> "Header":
        item = cbor.decode(data, MAX_FILE_BYTES)
        cbor.exact_keys(item, _KEYS, "the header of a key file")
        if cbor.field(item, 1, int, "version") != VERSION:
            raise FormatError(f"key file version {item[1]} is not known; this program reads version {VERSION}")
        suite, raw = suite_named(cbor.field(item, 3, str, "suite")), cbor.field(item, 4, bytes, "public key")
        named = NamedKey(key_name(cbor.field(item, 2, str, "name")), public_key(suite, raw))
        made_us, reason = _history(item[7])
        memory, passes, lanes = _parts(item[8], (int, int, int), "cost")
        salt = cbor.field(item, 9, bytes, "salt")
        if len(salt) != SALT_BYTES:
            raise FormatError(f"the salt of a key file is {SALT_BYTES} bytes, got {len(salt)}")
        return cls(named, _generation(item), _state(item), made_us, reason, Cost(memory, passes, lanes), salt)


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A header and the secret that it stands beside, locked."""

    header: Header
    clear: bytes
    sealed: bytes

    @classmethod
    def lock(cls, header: Header, secret: bytes, passphrase: bytes) -> "KeyFile":
        clear = header.encode()
        return cls(header, clear, derive(passphrase, header.salt, header.cost).seal(secret, _place(clear)))

    def open(self, passphrase: bytes) -> KemPrivateKey | PrivateKey:
        """The private key.

        Raises:
            DecryptionError: another passphrase, or an altered file.
            KeyMaterialError: the secret is not that of the public key beside it.
        """
        named = self.header.named
        key = derive(passphrase, self.header.salt, self.header.cost)
        secret = unlock(key, self.sealed, _place(self.clear), f"the key {named.name}")
        opened = private_key(named.suite, secret)
        if opened.public != named.key:
            raise KeyMaterialError(f"the secret of {named.name} is not that of its public key; restore a backup")
        return opened

    def encode(self) -> bytes:
        return cbor.encode([self.clear, self.sealed])

    @classmethod
    def decode(cls, data: bytes) -> "KeyFile":
        """Strictly read a key file; FormatError, LimitError or KeyMaterialError says what is wrong."""
        item = cbor.decode(data, MAX_FILE_BYTES)
        clear, sealed = _parts(item, (bytes, bytes), "a key file")
        return cls(Header.decode(clear), clear, sealed)


def private_key(suite: KemSuite | Algorithm, secret: bytes) -> KemPrivateKey | PrivateKey:
    return KemPrivateKey(suite, secret) if isinstance(suite, KemSuite) else PrivateKey(suite, secret)


def new_header(named: NamedKey, generation: int, made_us: int, cost: Cost) -> Header:
    return Header(named, generation, State.CURRENT, made_us, "", cost, new_salt())


def _place(clear: bytes) -> bytes:
    return labels.KEY_FILE + b"\x00" + clear


def _parts(item: Any, kinds: tuple[type, ...], what: str) -> list[Any]:
    if type(item) is not list or tuple(map(type, item)) != kinds:
        raise FormatError(f"{what} must be a list of {', '.join(kind.__name__ for kind in kinds)}")
    return item


def _history(item: Any) -> list[Any]:
    """Time and reason; both are shown to people before anything was opened."""
    made_us, reason = _parts(item, (int, str), "time and reason")
    if not 0 <= made_us < MAX_TIME_US:
        raise FormatError(f"a key was made before the year 10000, in µs since 1970; got {made_us}")
    if len(reason) > MAX_REASON or not reason.isprintable() or not reason.isascii():
        raise FormatError(f"a reason has at most {MAX_REASON} printable ASCII characters")
    return [made_us, reason]


def _generation(item: dict[int, Any]) -> int:
    generation: int = cbor.field(item, 5, int, "generation")
    if not 1 <= generation <= 9999:
        raise FormatError(f"the generation of a key is from 1 to 9999, got {generation}")
    return generation


def _state(item: dict[int, Any]) -> State:
    try:
        return State(cbor.field(item, 6, int, "state"))
    except ValueError as e:
        raise FormatError("the state of a key is 0, 1 or 2") from e
