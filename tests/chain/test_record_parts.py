"""What is read quickly of a leaf is what the strict decoder reads, and damage is refused by its name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.record import SEAL_KIND, Authentication, Record, RecordFlag, content_hash_of, parts
from crypto.errors import FormatError
from crypto.flat import MAX_NUMBER

NUMBERS = st.integers(0, MAX_NUMBER)


@st.composite
def records(draw: st.DrawFn) -> Record:
    seal = draw(st.booleans())
    kind = SEAL_KIND if seal else draw(NUMBERS.filter(lambda code: code != SEAL_KIND))
    return Record(
        kind, draw(st.sampled_from(["a", "cold-1", "x" * 64])), draw(NUMBERS), draw(NUMBERS), draw(NUMBERS),
        draw(NUMBERS), draw(NUMBERS), draw(st.sampled_from(Authentication)), RecordFlag(draw(st.integers(0, 31))),
        draw(st.binary(min_size=32, max_size=32)), b"" if seal else bytes(32), draw(NUMBERS) if seal else 0,
    )  # fmt: skip


@given(records())
def test_the_parts_are_those_of_the_record(record: Record) -> None:
    leaf, r = record.encode(), Record.decode(record.encode())
    numbers = (r.kind, r.boot, r.seq, r.sensed_us, r.received_us, int(r.authentication), int(r.flags), r.count)
    assert parts(leaf) == (r.source, numbers)
    assert content_hash_of(leaf) == r.content_hash


@given(records(), st.data())
def test_a_cut_or_foreign_leaf_is_refused(record: Record, data: st.DataObject) -> None:
    cut = record.encode()[: data.draw(st.integers(0, 40))]
    for read in (parts, content_hash_of):
        with pytest.raises(FormatError):
            read(cut)


@pytest.mark.parametrize("leaf", [b"", b"\x00", b"\x80", b"\xf6", b"\xa0", b"\x81\x01", b"\xa1\x0b\x41\x00", b"\xff"])
def test_what_is_no_record_is_refused(leaf: bytes) -> None:
    for read in (parts, content_hash_of):
        with pytest.raises(FormatError):
            read(leaf)
