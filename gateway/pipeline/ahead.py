"""Signatures of the seals of a batch, verified by threads while the batch is still being put together.

Verifying does not hold the interpreter's lock. Trust boundary: untrusted signatures go in; a yes is final, and a no
says nothing: `Sealing` verifies again and tells why.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future

from crypto import bulk, labels
from crypto.keys import PublicKey

AT_ONCE = 32  # signatures that one thread verifies in one go


class Ahead:
    """The signatures of one batch, in the order in which they were added."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._next: list[tuple[PublicKey, bytes, bytes]] = []
        self._begun: list[Future[list[bool]]] = []

    def add(self, key: PublicKey, seals: Sequence[tuple[bytes, bytes]]) -> None:
        """Begin with seals and their signatures, all under this key."""
        self._next += [(key, seal, signature) for seal, signature in seals]
        while len(self._next) >= AT_ONCE:
            part, self._next = self._next[:AT_ONCE], self._next[AT_ONCE:]
            self._begun.append(self._pool.submit(bulk.which_hold, part, labels.SEAL))

    def answers(self) -> Iterator[bool]:
        """Whether each holds for certain. What fills no part is verified here, while the threads do the others."""
        rest = bulk.which_hold(self._next, labels.SEAL)
        for part in self._begun:
            yield from part.result()
        yield from rest
