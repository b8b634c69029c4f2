"""A content key that is passed on: to whom, for which object, and for nothing else."""

import io

import pytest

from crypto.envelope.content import ContentCipher
from crypto.envelope.grants import Grant
from crypto.envelope.header import finder, read_header
from crypto.envelope.objects import make_grant
from crypto.errors import DecryptionError, SealtrailError
from crypto.kem import KemPrivateKey, KemSuite
from tests.crypto.envelope.support import content, joined, keys, opened, parts, sealed

FIRST, LATER = keys(2)
OBJECT = sealed(content(40_000), [FIRST])


def _grant(whole: bytes, to: KemPrivateKey, by: KemPrivateKey = FIRST, grant: Grant | None = None) -> Grant:
    return make_grant(io.BytesIO(whole), to.public, finder([by]), grant=grant)


@pytest.mark.parametrize("suite", KemSuite)
def test_a_later_partner_opens_the_same_bytes_by_a_grant(suite: KemSuite) -> None:
    later = KemPrivateKey.generate(suite)
    with pytest.raises(DecryptionError, match="none of the keys"):
        opened(OBJECT, later)
    grant = Grant.decode(_grant(OBJECT, later).encode())
    assert opened(OBJECT, later, grant)[0] == content(40_000)


def test_who_was_granted_it_can_pass_it_on() -> None:
    third = keys()[0]
    again = _grant(OBJECT, third, LATER, _grant(OBJECT, LATER))
    assert opened(OBJECT, third, again)[0] == content(40_000)


def test_who_cannot_open_it_cannot_grant_it() -> None:
    with pytest.raises(DecryptionError, match="none of the keys"):
        _grant(OBJECT, LATER, keys()[0])


def test_a_damaged_object_is_not_granted() -> None:
    with pytest.raises(DecryptionError, match="chunk 2"):
        _grant(OBJECT[:-1] + bytes((OBJECT[-1] ^ 1,)), LATER)


def test_a_grant_opens_for_its_recipient_only() -> None:
    with pytest.raises(DecryptionError, match="which is not here"):
        opened(OBJECT, FIRST, _grant(OBJECT, LATER))


def test_a_grant_for_one_object_opens_no_other() -> None:
    grant, other = _grant(OBJECT, LATER), sealed(content(40_000), [FIRST])
    with pytest.raises(DecryptionError, match="grant is for the object"):
        opened(other, LATER, grant)
    for_other = _grant(other, LATER)
    mixed = Grant(grant.object_id, grant.commitment, grant.digest, LATER.suite, LATER.public.kid, for_other.sealed)
    with pytest.raises(DecryptionError, match="does not open under"):
        opened(OBJECT, LATER, mixed)


def test_a_stanza_is_no_grant() -> None:
    """The same key, sealed for the same recipient, but for the place in the header."""
    whole = sealed(b"x", [FIRST, LATER])
    grant = _grant(whole, LATER)
    body = next(s.sealed for s in read_header(io.BytesIO(whole)).stanzas if s.kid == LATER.public.kid)
    fake = Grant(grant.object_id, grant.commitment, grant.digest, grant.suite, grant.kid, body)
    with pytest.raises(DecryptionError, match="does not open under"):
        opened(whole, LATER, fake)


def test_other_content_under_the_same_key_does_not_open_by_the_grant() -> None:
    """Whoever has the key can seal other chunks under it; the grant names the digest of those it was made for."""
    header = read_header(io.BytesIO(OBJECT))
    cipher = ContentCipher.derive(header.content_key(finder([FIRST])), header.salt, header.context)
    forged = bytearray(16 + 16)
    cipher.seal_into(0, memoryview(b"another contents"), memoryview(forged))
    raw, salt, commitment, _, signature = parts(OBJECT)
    other = joined(raw, salt, commitment, [bytes(forged)], signature)
    assert opened(other, FIRST)[0] == b"another contents"  # no signature, no digest: nothing else tells them apart
    with pytest.raises(DecryptionError, match="grant is for the bytes"):
        opened(other, LATER, _grant(OBJECT, LATER))


def test_a_grant_altered_at_any_byte_is_refused() -> None:
    good = _grant(OBJECT, LATER).encode()
    for place in range(len(good)):
        altered = good[:place] + bytes((good[place] ^ 1,)) + good[place + 1 :]
        with pytest.raises(SealtrailError):
            opened(OBJECT, LATER, Grant.decode(altered))
    for cut in (good[:-1], good + b"\0", b""):
        with pytest.raises(SealtrailError):
            Grant.decode(cut)
