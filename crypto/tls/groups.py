"""Key exchange groups: which ones withstand a quantum computer, and how often each was taken.

Names are OpenSSL's, as `Connection.get_group_name` gives them. Nothing here is trusted by anyone but the operator
who reads the counts.
"""

from typing import Final

# Hybrids, in our order: secret as long as one of their two halves is (draft-ietf-tls-ecdhe-mlkem).
POST_QUANTUM: Final = ("X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024")
CLASSIC: Final = ("x25519", "secp256r1", "x448", "secp384r1", "secp521r1")
OTHER: Final = "other"  # any name beyond these: a peer must not choose labels of our metrics
UNKNOWN: Final = "unknown"  # the OpenSSL in use cannot tell


def is_post_quantum(group: str) -> bool:
    """Whether what was agreed in this group stays secret from a quantum computer, as far as is known."""
    return group in POST_QUANTUM


class TlsCounters:
    """Handshakes since the start, by group. Bounded by the names above. Event loop's thread only."""

    def __init__(self) -> None:
        self.failures = 0
        self.by_group: dict[str, int] = {}

    def count(self, group: str) -> None:
        """One more handshake that is done."""
        self.by_group[group] = self.by_group.get(group, 0) + 1


def known(name: str | None) -> str:
    """OpenSSL's name of a group as a label that is bounded."""
    if name is None:
        return UNKNOWN
    return name if name in POST_QUANTUM or name in CLASSIC else OTHER
