"""Who a device is and which gateway it believes: the files of its folder.

Trust boundary: the folder is the device's own. The gateway's key, pinned here at enrolment, is what every
acknowledgement is verified under. device.json is written last, so a folder with it is complete.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from chain.event import source_name
from crypto.errors import FormatError
from crypto.files import read_private_key, read_secret, write_durably, write_secret
from crypto.flat import MAX_NUMBER
from crypto.kem import KemPublicKey, KemSuite
from crypto.keys import PrivateKey, PublicKey, algorithm_named
from crypto.session.static import StaticKey
from gateway.device.errors import DeviceError

DEVICE_FILE: Final = "device.json"
KEY_FILE: Final = "key.pem"
NEXT_KEY_FILE: Final = "key.next.pem"
NEXT_FILE: Final = "key.next.json"  # a change of key that was asked for and not answered
PASSWORD_FILE: Final = "password"  # noqa: S105 - a file name
BUFFER_FILE: Final = "buffer.sqlite"
CA_FILE: Final = "ca.pem"  # put there by the operator where the gateway's TLS certificate is not publicly signed
MAX_TEXT: Final = 1024
MAX_VKEYS: Final = 64
_VERSION: Final = 1


class Endpoint(msgspec.Struct, frozen=True):
    """Where the gateway listens for MQTT."""

    host: str
    port: int
    tls: bool


class GatewayKey(msgspec.Struct, frozen=True):
    """The gateway's receipt key; in JSON the bytes are base64."""

    algorithm: str
    public_key: bytes

    def pinned(self) -> PublicKey:
        return PublicKey(algorithm_named(self.algorithm), self.public_key)


class SessionKey(msgspec.Struct, frozen=True):
    """The gateway's static key for sessions; in JSON the bytes are base64."""

    suite: str
    public_key: bytes
    serial: int

    def pinned(self, origin: str) -> StaticKey:
        if self.suite != KemSuite.X_WING or not 0 <= self.serial <= MAX_NUMBER:
            raise FormatError(f"expected a session key of suite {KemSuite.X_WING} with a serial from 0 to 2^63-1")
        return StaticKey(origin, self.serial, KemPublicKey(KemSuite.X_WING, self.public_key))


class Profile(msgspec.Struct, frozen=True):
    """What a device learns at enrolment and may show to anyone."""

    source: str
    origin: str
    mqtt: Endpoint
    gateway_key: GatewayKey
    log_vkeys: tuple[str, ...]
    session_key: SessionKey | None = None  # of a gateway that offers sessions

    def checked(self) -> "Profile":
        """Itself, once every field is within its bounds; FormatError or KeyMaterialError otherwise."""
        source_name(self.source)
        self.gateway_key.pinned()
        if self.session_key is not None:
            self.session_key.pinned(self.origin)
        texts = (self.origin, self.mqtt.host)
        if any(not 0 < len(text) <= MAX_TEXT for text in texts) or not 0 < self.mqtt.port < 65_536:
            raise FormatError("expected an origin, an MQTT host, and a port from 1 to 65535")
        if len(self.log_vkeys) > MAX_VKEYS:
            raise FormatError(f"expected at most {MAX_VKEYS} log vkeys, got {len(self.log_vkeys)}")
        return self


class _Document(Profile, frozen=True, kw_only=True):
    version: int = _VERSION


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """A device's profile with its secrets. The password is 256 bits from the gateway, in its text form."""

    profile: Profile
    key: PrivateKey = field(repr=False)
    password: str = field(repr=False)
    ca_file: Path | None = None
    folder: Path | None = None

    @property
    def source(self) -> str:
        return self.profile.source

    @property
    def origin(self) -> str:
        return self.profile.origin

    @property
    def gateway_key(self) -> PublicKey:
        return self.profile.gateway_key.pinned()

    @property
    def session_key(self) -> StaticKey | None:
        """The gateway's static key for sessions, as it is pinned; None before one is."""
        key = self.profile.session_key
        return key.pinned(self.origin) if key else None


def ca_of(folder: Path) -> Path | None:
    """The operator's own trust anchor for TLS, if one lies in the folder; else the system's are used."""
    path = folder / CA_FILE
    return path if path.is_file() else None


def is_enrolled(folder: Path) -> bool:
    return (folder / DEVICE_FILE).exists()


def save_profile(folder: Path, profile: Profile, password: str) -> None:
    """Write the password (private), then device.json, each durably."""
    write_secret(folder / PASSWORD_FILE, password.encode())
    _write(folder, profile)


def pin(folder: Path, key: PublicKey) -> None:
    """Believe this key of the gateway from now on, durably; whoever calls has verified the change to it."""
    gateway_key = GatewayKey(str(key.algorithm), key.raw)
    _write(folder, msgspec.structs.replace(_read(folder), gateway_key=gateway_key))


def _write(folder: Path, profile: Profile) -> None:
    fields = {name: getattr(profile, name) for name in Profile.__struct_fields__}
    document = msgspec.json.format(msgspec.json.encode(_Document(**fields)), indent=2)
    write_durably(folder / DEVICE_FILE, document + b"\n")


def pin_session_key(folder: Path, key: StaticKey) -> None:
    """Keep a later static key of the gateway, whose announcement was verified."""
    session_key = SessionKey(str(key.key.suite), key.key.raw, key.serial)
    _write(folder, msgspec.structs.replace(_read(folder), session_key=session_key))


def _read(folder: Path) -> Profile:
    """As it is on the disk: one of its keys may have changed since the device was opened."""
    try:
        return msgspec.json.decode((folder / DEVICE_FILE).read_bytes(), type=_Document)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as e:
        raise DeviceError(f"cannot read the device in {folder}: {e}") from e


def load_identity(folder: Path) -> DeviceIdentity:
    """Read an enrolled device's folder.

    Raises:
        DeviceError: not enrolled, or a file that cannot be read or understood.
        KeyMaterialError: the private key or the password is missing, may be read by others, or stays locked.
    """
    if not is_enrolled(folder):
        raise DeviceError(f"{folder} holds no enrolled device; enrol it first with a code from the gateway")
    try:
        document = msgspec.json.decode((folder / DEVICE_FILE).read_bytes(), type=_Document)
        password = read_secret(folder / PASSWORD_FILE).decode()
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as e:
        raise DeviceError(f"cannot read the device in {folder}: {e}") from e
    if document.version != _VERSION:
        raise DeviceError(f"{DEVICE_FILE} has version {document.version}, this program reads version {_VERSION}")
    key = read_private_key(folder / KEY_FILE)
    return DeviceIdentity(document.checked(), key, password, ca_of(folder), folder)
