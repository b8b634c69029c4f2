"""C2SP tlog checkpoints: origin, tree size and root hash, as the text of a signed note.

A checkpoint is believed only after `open_checkpoint` verified its note. Source: c2sp.org/tlog-checkpoint.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from crypto.errors import FormatError, SignatureError
from crypto.merkle import HASH_BYTES, MAX_TREE_SIZE
from crypto.note import Note, NoteSigner, Verified, VerifierKey, decode_base64, open_note, parse_note


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's head: its origin (name), its size in leaves, its 32-byte root hash."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read a note's text. Extension lines are refused: no signature type covers them in common."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not lines[0]:
            raise FormatError("a checkpoint is three lines: origin, size, base64 root; extensions are not accepted")
        size, root = lines[1], decode_base64(lines[2], "checkpoint root")
        if not size.isascii() or not size.isdigit() or (size[0] == "0" and size != "0"):
            raise FormatError(f"checkpoint size must be a decimal number without leading zeros, got {size[:30]!r}")
        if len(size) > 19 or int(size) > MAX_TREE_SIZE or len(root) != HASH_BYTES:
            raise FormatError("checkpoint size must be below 2^63 and its root 32 bytes")
        return cls(lines[0], int(size), root)


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint whose signatures were verified, with the note it stood in and the keys that signed it."""

    checkpoint: Checkpoint
    note: Note
    signers: tuple[Verified, ...]


def sign_checkpoint(checkpoint: Checkpoint, signers: Sequence[NoteSigner], timestamp: int) -> Note:
    """A note over the checkpoint with one signature of each signer; `timestamp` in seconds."""
    text = checkpoint.text()
    return Note(text, tuple(signer.sign(text, timestamp) for signer in signers))


def open_checkpoint(
    data: bytes | str | Note, log_keys: Sequence[VerifierKey], witness_keys: Sequence[VerifierKey] = ()
) -> SignedCheckpoint:
    """Verify a checkpoint note, parsed already or not. Every one of `log_keys` must have signed it: a log that holds
    an Ed25519 and an ML-DSA key is believed only where both agree. Witness signatures are verified where present.

    Raises:
        FormatError, LimitError: not a checkpoint note.
        SignatureError: a log key did not sign, or a known key's signature is bad.
    """
    # 1. Form and limits.
    note = data if isinstance(data, Note) else parse_note(data)
    checkpoint = Checkpoint.parse(note.text)
    # 2. Only keys named after this origin speak for it.
    own = [key for key in log_keys if key.name == checkpoint.origin]
    if not own:
        raise SignatureError(f"no key is known for the log {checkpoint.origin!r}")
    # 3. Every signature of a known key.
    verified = open_note(note, [*own, *witness_keys])
    missing = set(own) - {v.key for v in verified}
    if missing:
        names = ", ".join(sorted(str(key)[:40] for key in missing))
        raise SignatureError(f"the checkpoint of {checkpoint.origin} lacks the log's own signature by {names}…")
    return SignedCheckpoint(checkpoint, note, tuple(verified))
