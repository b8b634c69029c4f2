"""The cache of hashes that no seal covers yet: what it gives is what was added, and its bound holds for any source."""

import tracemalloc
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.merkle import HASH_BYTES
from gateway.pipeline.hashes import MAX_HASHES, RecentHashes


def _hash(boot: int, seq: int) -> bytes:
    return sha256(b"%d %d" % (boot, seq)).digest()


ADDED = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 90), st.booleans()), max_size=30)


@given(ADDED, st.sampled_from((40, 300, MAX_HASHES)))
def test_it_gives_what_was_added_or_nothing(added: list[tuple[int, int, int, bool]], bound: int) -> None:
    """Each step leaves some numbers out, adds some, and may seal the boot up to there."""
    recent, ends = RecentHashes(bound), dict[int, int]()
    for boot, gap, count, sealed in added:
        first = ends.get(boot, 0) + gap
        ends[boot] = first + count
        recent.add("a", boot, first, b"".join(_hash(boot, n) for n in range(first, first + count)))
        if sealed:
            recent.sealed("a", boot, first + count)
        for known, end in ends.items():
            for seq in range(end):
                found = recent.hashes_between("a", known, seq, end)
                numbers = range(seq, seq + len(found) // HASH_BYTES)
                assert found == b"".join(_hash(known, n) for n in numbers)
        if not sealed and bound == MAX_HASHES:
            assert recent.hashes_between("a", boot, first, first + count)[:HASH_BYTES] == _hash(boot, first)


@pytest.mark.parametrize("numbers", ["a boot each", "every second one", "in order"])
def test_memory_is_bounded_whatever_numbers_come(numbers: str) -> None:
    recent, place = RecentHashes(8192), {"a boot each": (1, 0), "every second one": (0, 2), "in order": (0, 1)}[numbers]
    tracemalloc.start()
    for n in range(30_000):
        recent.add("a", place[0] * n, place[1] * n, _hash(n, n))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 2 * 8192 * HASH_BYTES
