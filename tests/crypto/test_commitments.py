"""Salted commitments: they open to one value, at one place, of one event, and say nothing without their salt."""

import hmac
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.log.proofs import inclusion_path
from crypto import cbor
from crypto.commitments import EventId, commit, field_leaf, field_leaves, fields_root, salt_for
from crypto.errors import CommitmentError, ProofError
from crypto.merkle import leaf_hash, node_hash, verify_inclusion

EVENT = EventId("fridge-7", 1, 42)
SEED = bytes(range(32))
FIELDS = (("lot", "A1"), ("gtin", "04012345678901"), ("count", 3), ("score", 0.5), ("note", None))

seeds = st.binary(min_size=32, max_size=32)
values = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text() | st.binary()
fields = st.lists(st.tuples(st.text(max_size=20), values), min_size=1, max_size=12)


def test_the_bytes_of_the_format_page() -> None:
    """docs/formats/record.md, written out by hand."""
    salt = hmac.digest(SEED, bytes.fromhex("85") + _text("sealtrail/salt/v1") + _text("fridge-7")
                       + bytes.fromhex("01182a") + _text("lot"), "sha256")  # fmt: skip
    assert salt_for(SEED, EVENT, "lot") == salt
    message = bytes.fromhex("86") + _text("sealtrail/commitment/v1") + _text("fridge-7") + bytes.fromhex("01182a")
    commitment = hmac.digest(salt, message + _text("lot") + _text("A1"), "sha256")
    assert commit(salt, EVENT, "lot", "A1") == commitment
    assert field_leaf(salt, EVENT, "lot", "A1") == sha256(b"\x00" + commitment).digest()


def _text(text: str) -> bytes:
    assert len(text) < 24
    return bytes([0x60 + len(text)]) + text.encode()


def test_the_root_is_the_tree_over_the_fields_in_order() -> None:
    a, b, c = field_leaves(SEED, EVENT, FIELDS[:3])
    assert fields_root(SEED, EVENT, FIELDS[:3]) == node_hash(node_hash(a, b), c)
    assert fields_root(SEED, EVENT, FIELDS[:1]) == a


@given(seeds, fields)
def test_every_field_proves_itself_alone(seed: bytes, given_fields: list[tuple[str, cbor.CborValue]]) -> None:
    leaves, root = field_leaves(seed, EVENT, given_fields), fields_root(seed, EVENT, given_fields)
    for position, (path, value) in enumerate(given_fields):
        leaf = field_leaf(salt_for(seed, EVENT, path), EVENT, path, value)
        verify_inclusion(leaf, position, len(leaves), inclusion_path(leaves, position), root)


@given(values, values)
def test_two_values_never_share_a_commitment(one: cbor.CborValue, other: cbor.CborValue) -> None:
    salt = salt_for(SEED, EVENT, "x")
    same = cbor.encode(one) == cbor.encode(other)
    assert (commit(salt, EVENT, "x", one) == commit(salt, EVENT, "x", other)) is same


@pytest.mark.parametrize(
    ("salt", "event", "path", "value"),
    [
        (salt_for(SEED, EVENT, "lot"), EVENT, "lot", "A2"),
        (salt_for(SEED, EVENT, "lot"), EVENT, "gtin", "A1"),
        (salt_for(SEED, EVENT, "gtin"), EVENT, "lot", "A1"),
        (salt_for(SEED, EVENT, "lot"), EventId("fridge-7", 1, 43), "lot", "A1"),
        (salt_for(SEED, EVENT, "lot"), EventId("fridge-7", 2, 42), "lot", "A1"),
        (salt_for(SEED, EVENT, "lot"), EventId("fridge-8", 1, 42), "lot", "A1"),
        (bytes(32), EVENT, "lot", "A1"),
    ],
    ids=["other value", "other path", "other salt", "other number", "other boot", "other source", "no salt"],
)
def test_nothing_else_opens_a_commitment(salt: bytes, event: EventId, path: str, value: str) -> None:
    leaves, root = field_leaves(SEED, EVENT, FIELDS), fields_root(SEED, EVENT, FIELDS)
    proof = inclusion_path(leaves, 0)
    verify_inclusion(field_leaf(salt_for(SEED, EVENT, "lot"), EVENT, "lot", "A1"), 0, 5, proof, root)
    with pytest.raises(ProofError):
        verify_inclusion(field_leaf(salt, event, path, value), 0, 5, proof, root)


@pytest.mark.parametrize("position", range(1, 5))
def test_a_field_does_not_prove_itself_in_another_place(position: int) -> None:
    leaves, root = field_leaves(SEED, EVENT, FIELDS), fields_root(SEED, EVENT, FIELDS)
    with pytest.raises(ProofError):
        verify_inclusion(leaves[0], position, 5, inclusion_path(leaves, 0), root)


def test_one_salt_says_nothing_of_another() -> None:
    """With the salt of one field disclosed, a neighbour's value cannot be found by trying all it could be."""
    leaves = field_leaves(SEED, EVENT, (("passed", True), ("lot", "A1")))
    disclosed = salt_for(SEED, EVENT, "lot")
    guesses = {field_leaf(disclosed, EVENT, "passed", guess) for guess in (True, False, None)}
    derived = {leaf_hash(commit(salt_for(disclosed, EVENT, "passed"), EVENT, "passed", g)) for g in (True, False)}
    assert leaves[0] not in guesses | derived
    assert salt_for(SEED, EVENT, "passed") != disclosed


def test_the_same_content_twice_does_not_show() -> None:
    """Two events of equal content, and one event under two seeds, have nothing in common."""
    roots = {fields_root(SEED, EVENT, FIELDS), fields_root(SEED, EventId("fridge-7", 1, 43), FIELDS),
             fields_root(bytes(32), EVENT, FIELDS)}  # fmt: skip
    assert len(roots) == 3


def test_without_the_seed_no_value_can_be_confirmed() -> None:
    """Erasure: whoever has the leaf but lost the seed cannot tell the true value from a false one."""
    leaf = field_leaves(SEED, EVENT, (("passed", True),))[0]
    tries = {field_leaf(salt_for(bytes([n]) * 32, EVENT, "passed"), EVENT, "passed", True) for n in range(256)}
    assert leaf not in tries


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_salts_of_another_length_are_refused(length: int) -> None:
    """HMAC pads short keys with zeros, so salts of several lengths could mean the same."""
    with pytest.raises(CommitmentError, match="salts are 32 bytes"):
        field_leaf(bytes(length), EVENT, "lot", "A1")


@given(
    st.text(max_size=40), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1),
    st.dictionaries(st.text(max_size=30), st.none() | st.text() | st.integers(-9, 2**63) | st.floats(), max_size=5),
)  # fmt: skip
def test_all_leaves_at_once_are_those_of_each_field(
    source: str, boot: int, seq: int, fields: dict[str, cbor.CborValue]
) -> None:
    event, seed = EventId(source, boot, seq), b"s" * 32
    one_by_one = [field_leaf(salt_for(seed, event, path), event, path, value) for path, value in fields.items()]
    assert field_leaves(seed, event, fields.items()) == one_by_one
