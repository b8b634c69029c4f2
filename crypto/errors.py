"""The root of every error that Sealtrail raises, and the errors of the crypto room.

Each type names the stage that failed; each message says what was expected, what came, and how to mend it.
Nothing here touches data, so nothing here is trusted or distrusted.
"""


class SealtrailError(Exception):
    """Root of all errors of this program. Callers at an outer boundary catch this one type."""


class FormatError(SealtrailError):
    """Bytes or text do not have the form that their specification demands."""


class LimitError(FormatError):
    """Input is larger, deeper or longer than the fixed bound, refused before any cryptography."""


class FileError(SealtrailError):
    """A file cannot be written where it should be."""


class KeyMaterialError(SealtrailError):
    """A key is missing, unreadable, of the wrong algorithm, or of the wrong length."""


class SignatureError(SealtrailError):
    """A signature does not verify under the pinned key."""


class ProofError(SealtrailError):
    """A Merkle proof does not lead to the root it claims."""


class CommitmentError(SealtrailError):
    """A disclosed value does not open its salted commitment."""


class DecryptionError(SealtrailError):
    """A ciphertext at rest does not open: wrong key, altered bytes, or moved from its place."""


class TlsError(SealtrailError, ConnectionError):
    """A TLS endpoint cannot be set up, or a connection of it cannot be made. Also an OSError, as those of `ssl` are."""
