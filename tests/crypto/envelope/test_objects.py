"""Sealed objects from end to end: what goes in comes out for every recipient, and for nobody else."""

import hashlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.envelope.content import BLOCK, CHUNK_BYTES
from crypto.envelope.header import finder
from crypto.envelope.objects import inspect, open_object, seal
from crypto.errors import DecryptionError, FileError, KeyMaterialError, SignatureError
from crypto.kem import KemPrivateKey, KemSuite
from crypto.keys import SIGNATURE_BYTES, Algorithm, PrivateKey
from tests.crypto.envelope.support import content, keys, opened, sealed, sealed_with

KEY = KemPrivateKey.generate(KemSuite.X_WING)
BORDERS = [0, 1, CHUNK_BYTES, 2 * CHUNK_BYTES, BLOCK * CHUNK_BYTES, (BLOCK + 1) * CHUNK_BYTES, 2 * BLOCK * CHUNK_BYTES]


class Drip(io.BytesIO):
    """A source that gives a little at a time, as pipes do."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        return super().readinto(buffer[: self._most])


@settings(max_examples=40)
@given(
    border=st.sampled_from(BORDERS), beside=st.integers(-20, 20), most=st.sampled_from([999, 16400, 70_000, 2**21]),
    signed=st.booleans(),
)  # fmt: skip
def test_what_goes_in_comes_out_around_the_borders_of_chunks(border: int, beside: int, most: int, signed: bool) -> None:
    plaintext = content(max(0, border + beside))
    signer = PrivateKey.generate(Algorithm.ED25519) if signed else None
    target, again = io.BytesIO(), io.BytesIO()
    made = seal(Drip(plaintext, most), target, [KEY.public], signer)
    whole = target.getvalue()
    sender = signer.public if signer else None
    found = open_object(Drip(whole, most), again, finder([KEY]), sender=sender, digest=True)
    assert again.getvalue() == plaintext
    assert (made.size, made.length, made.digest) == (len(plaintext), len(whole), hashlib.sha256(whole).digest())
    assert made.chunks == len(plaintext) // CHUNK_BYTES + 1
    assert found == made == inspect(Drip(whole, most))


def test_recipients_of_every_suite_open_the_same_object() -> None:
    mixed = [KemPrivateKey.generate(suite) for suite in KemSuite]
    whole = sealed(content(40_000), mixed)
    for key in mixed:
        assert opened(whole, key)[0] == content(40_000)
    with pytest.raises(DecryptionError, match="none of the keys here is a recipient"):
        opened(whole, keys()[0])


def test_two_objects_of_one_content_have_nothing_in_common() -> None:
    one, other = (sealed_with(content(100), [KEY])[1] for _ in range(2))
    assert one.object_id != other.object_id
    assert one.commitment != other.commitment
    assert one.header.salt != other.header.salt


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_sender_signs_all_of_it(algorithm: Algorithm) -> None:
    signer, stranger = PrivateKey.generate(algorithm), PrivateKey.generate(algorithm)
    whole, made = sealed_with(content(40_000), [KEY], signer)
    assert len(made.signature) == SIGNATURE_BYTES[algorithm]
    inspect(io.BytesIO(whole)).verify(signer.public)
    assert opened(whole, KEY, sender=signer.public)[0] == content(40_000)
    with pytest.raises(SignatureError, match="as its sender, expected"):
        opened(whole, KEY, sender=stranger.public)
    for place in (len(made.header.raw) + 100, len(whole) - 1):  # a chunk, and the signature itself
        altered = whole[:place] + bytes((whole[place] ^ 1,)) + whole[place + 1 :]
        with pytest.raises(SignatureError, match="does not verify"):
            inspect(io.BytesIO(altered)).verify(signer.public)


def test_an_unsigned_object_is_not_taken_for_a_signed_one() -> None:
    signer = PrivateKey.generate(Algorithm.ED25519)
    with pytest.raises(SignatureError, match="not signed"):
        opened(sealed(b"x", [KEY]), KEY, sender=signer.public)


def test_what_was_opened_without_a_digest_verifies_nothing() -> None:
    signer = PrivateKey.generate(Algorithm.ED25519)
    found = open_object(io.BytesIO(sealed(b"x", [KEY], signer)), io.BytesIO(), finder([KEY]), digest=False)
    assert found.digest == b""
    with pytest.raises(ValueError, match="no digest was wanted"):
        found.verify(signer.public)


def test_a_recipient_who_signs_anothers_object_is_not_its_sender() -> None:
    """The sender's name is in what the commitment binds, so it cannot be changed without the content key."""
    signer, thief = PrivateKey.generate(Algorithm.ED25519), PrivateKey.generate(Algorithm.ED25519)
    whole = sealed(b"x", [KEY], signer)
    stolen = whole.replace(signer.public.kid, thief.public.kid)
    assert stolen != whole
    with pytest.raises(DecryptionError, match="commitment"):
        opened(stolen, KEY)


def test_who_can_be_a_recipient() -> None:
    for to, why in (([], "1 to 256"), ([KEY] * 257, "1 to 256"), ([KEY, *keys(), KEY], "named twice")):
        with pytest.raises(KeyMaterialError, match=why):
            sealed(b"x", to)


def test_many_recipients() -> None:
    many = keys(256, KemSuite.ML_KEM_1024)
    whole = sealed(b"x", many)
    assert opened(whole, many[255])[0] == b"x"


def test_a_source_that_does_not_wait_is_refused_and_not_taken_for_empty() -> None:
    class Empty(io.BytesIO):
        def readinto(self, buffer: memoryview, /) -> None:  # type: ignore[override]
            return None

    with pytest.raises(FileError, match="does not wait"):
        seal(Empty(), io.BytesIO(), [KEY.public])
