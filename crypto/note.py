"""C2SP signed notes: text, a blank line, and signature lines of known and unknown keys.

A note is untrusted text until `open_note` has verified it against configured keys. As the specification
demands: signatures of unknown keys are ignored, one bad signature of a known key rejects the note.
Source: c2sp.org/signed-note, c2sp.org/tlog-cosignature.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from hashlib import sha256

from crypto.errors import FormatError, KeyMaterialError, LimitError, SignatureError
from crypto.keys import Algorithm, PrivateKey, PublicKey

MAX_NOTE_BYTES = 256 * 1024
MAX_SIGNATURES = 64
_DASH = "— "
_CONTROLS = bytes(set(range(0x20)) - {ord("\n")})  # as UTF-8, where no other character holds these bytes
_COSIGNED_LABEL = b"subtree/v1\n\x00"


class SignatureType(IntEnum):
    """Signature type identifiers of c2sp.org/signed-note that Sealtrail speaks."""

    ED25519 = 0x01
    ED25519_COSIGNATURE = 0x04
    ML_DSA_44_COSIGNATURE = 0x06


_ALGORITHM = {
    SignatureType.ED25519: Algorithm.ED25519,
    SignatureType.ED25519_COSIGNATURE: Algorithm.ED25519,
    SignatureType.ML_DSA_44_COSIGNATURE: Algorithm.ML_DSA_44,
}


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: key name, 4-byte key id (a hint), and the rest of its bytes."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed, not yet verified note. `text` ends with a newline."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def marshal(self) -> str:
        return self.text + "\n" + "".join(signature.line() for signature in self.signatures)


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A key that may sign notes: name, signature type, public key (a C2SP vkey)."""

    name: str
    type: SignatureType
    key: PublicKey
    key_id: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or any(c.isspace() for c in self.name):
            raise FormatError(f"key name {self.name!r} must be non-empty, without spaces and plus signs")
        material = _utf8(self.name) + b"\n" + bytes([self.type]) + self.key.raw
        object.__setattr__(self, "key_id", sha256(material).digest()[:4])

    def __str__(self) -> str:
        material = base64.b64encode(bytes([self.type]) + self.key.raw).decode()
        return f"{self.name}+{self.key_id.hex()}+{material}"

    @classmethod
    def parse(cls, vkey: str) -> "VerifierKey":
        """Read `name+hex key id+base64(type ‖ key)`; the key id must match the key."""
        parts = vkey.split("+", 2)
        if len(parts) != 3:
            raise FormatError(f"a vkey is name+keyid+base64, got {vkey[:60]!r}")
        material = decode_base64(parts[2], "vkey")
        try:
            kind = SignatureType(material[0])
        except (ValueError, IndexError) as e:
            raise FormatError(f"vkey of {parts[0]!r} has a signature type that is not supported") from e
        found = cls(parts[0], kind, PublicKey(_ALGORITHM[kind], material[1:]))
        if found.key_id.hex() != parts[1]:
            raise FormatError(f"vkey of {parts[0]!r}: key id {parts[1]} does not match, expected {found.key_id.hex()}")
        return found

    def verify(self, text: str, signature: bytes) -> int:
        """Verify one signature over a note's text. Returns its timestamp in seconds, 0 where it has none."""
        if self.type is SignatureType.ED25519:
            self.key.verify_raw(signature, text.encode())
            return 0
        if len(signature) < 8:
            raise SignatureError(f"cosignature of {self.name} has no timestamp")
        timestamp = int.from_bytes(signature[:8], "big")
        self.key.verify_raw(signature[8:], _cosigned(self.type, self.name, text, timestamp))
        return timestamp


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """Signs notes. The private key must serve no other purpose, since C2SP fixes an empty context."""

    name: str
    type: SignatureType
    private: PrivateKey

    def __post_init__(self) -> None:
        if self.private.public.algorithm is not _ALGORITHM[self.type]:
            raise KeyMaterialError(f"{self.type.name} signs with {_ALGORITHM[self.type]} keys")

    @property
    def vkey(self) -> VerifierKey:
        return VerifierKey(self.name, self.type, self.private.public)

    def sign(self, text: str, timestamp: int) -> NoteSignature:
        """Sign a note's text; `timestamp` (seconds) is used by cosignatures only."""
        if self.type is SignatureType.ED25519:
            return NoteSignature(self.name, self.vkey.key_id, self.private.sign_raw(text.encode()))
        body = self.private.sign_raw(_cosigned(self.type, self.name, text, timestamp))
        return NoteSignature(self.name, self.vkey.key_id, timestamp.to_bytes(8, "big") + body)


@dataclass(frozen=True, slots=True)
class Verified:
    """A key whose signature on a note was verified, and the signature's time in seconds (0: none)."""

    key: VerifierKey
    timestamp: int


def parse_note(data: bytes | str) -> Note:
    """Parse untrusted bytes into a note, verifying nothing.

    Raises:
        LimitError: over 256 KiB or over 64 signatures.
        FormatError: not a signed note.
    """
    raw = _utf8(data) if isinstance(data, str) else data
    if len(raw) > MAX_NOTE_BYTES:
        raise LimitError(f"a note has at most {MAX_NOTE_BYTES} bytes, got {len(raw)}")
    return _parsed(raw)


@lru_cache(maxsize=8)
def _parsed(raw: bytes) -> Note:
    """Kept for a moment: whoever opens a note mostly meets it again at once, in an anchor or in the next receipt."""
    try:
        whole = raw.decode()
    except UnicodeDecodeError as e:
        raise FormatError("a signed note must be UTF-8") from e
    if len(raw.translate(None, _CONTROLS)) != len(raw):
        raise FormatError("a signed note must not hold control characters")
    text, blank, lines = whole.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise FormatError("a signed note is text, a blank line, and signature lines that end in a newline")
    signatures = lines[:-1].split("\n")
    if len(signatures) > MAX_SIGNATURES:
        raise LimitError(f"a note has at most {MAX_SIGNATURES} signatures, got {len(signatures)}")
    return Note(text + "\n", tuple(parse_signature_line(line) for line in signatures))


def parse_signature_line(line: str) -> NoteSignature:
    """Parse `— name base64(key id ‖ signature)`, without its newline."""
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    body = decode_base64(encoded, "note signature")
    if not line.startswith(_DASH) or not name or "+" in name or len(body) < 5:
        raise FormatError(f"expected '— name base64', got {line[:60]!r}")
    return NoteSignature(name, body[:4], body[4:])


def open_note(note: Note, keys: Sequence[VerifierKey]) -> list[Verified]:
    """Verify every signature of a known key. Returns the keys that signed, each once.

    Raises:
        SignatureError: a known key's signature is bad, or no known key signed at all.
    """
    known = {(key.name, key.key_id): key for key in keys}
    verified: dict[tuple[str, bytes], Verified] = {}
    for signature in note.signatures:
        place = (signature.name, signature.key_id)
        if place in known and place not in verified:
            verified[place] = Verified(known[place], known[place].verify(note.text, signature.signature))
    if not verified:
        raise SignatureError("the note carries no signature of a known key")
    return list(verified.values())


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as e:
        raise FormatError("expected text that UTF-8 can hold, got a lone surrogate") from e


def decode_base64(text: str, what: str) -> bytes:
    """Strict RFC 4648 section 4 base64: padded, no other characters, no stray bits."""
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as e:
        raise FormatError(f"{what}: not base64: {text[:40]!r}") from e
    if binascii.b2a_base64(data, newline=False).decode() != text:
        raise FormatError(f"{what}: base64 is not in its canonical form")
    return data


def _cosigned(kind: SignatureType, name: str, text: str, timestamp: int) -> bytes:
    """The message of a timestamped cosignature over a checkpoint's text (c2sp.org/tlog-cosignature)."""
    if timestamp >= 2**63:
        raise SignatureError(f"cosignature timestamp {timestamp} is over 2^63-1")
    if kind is SignatureType.ED25519_COSIGNATURE:
        return f"cosignature/v1\ntime {timestamp}\n{text}".encode()
    lines = text.split("\n", 3)
    if len(lines) < 4 or not lines[1].isascii() or not lines[1].isdigit():
        raise FormatError("an ML-DSA-44 cosignature can only be made over a checkpoint")
    origin, size, root = lines[0].encode(), int(lines[1]), decode_base64(lines[2], "checkpoint root")
    signer = name.encode()
    if len(origin) > 255 or len(signer) > 255 or size >= 2**64 or len(root) != 32:
        raise FormatError("checkpoint does not fit a cosignature: names ≤ 255 bytes, size < 2^64, 32-byte root")
    start = (0).to_bytes(8, "big")  # a whole tree starts at leaf 0
    return b"".join((
        _COSIGNED_LABEL, bytes([len(signer)]), signer, timestamp.to_bytes(8, "big"),
        bytes([len(origin)]), origin, start, size.to_bytes(8, "big"), root,
    ))  # fmt: skip
