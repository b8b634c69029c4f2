"""Objects that were altered in any way: refused by every key, whatever was altered."""

import io
from collections.abc import Callable

import pytest

from crypto import cbor
from crypto.envelope.header import MAGIC, MAX_HEADER_BYTES, START_BYTES, finder, make_header, read_header
from crypto.envelope.objects import open_object
from crypto.errors import DecryptionError, FormatError, LimitError, SealtrailError
from crypto.kem import KemSuite
from crypto.keys import Algorithm, PrivateKey
from tests.crypto.envelope.support import SEALED_CHUNK, content, joined, keys, opened, parts, sealed

ONE, TWO, STRANGER = keys(3)
SIGNER = PrivateKey.generate(Algorithm.ED25519)
TEXT = content(3 * 16384 + 100)
OBJECT = sealed(TEXT, [ONE, TWO])
OTHER = sealed(TEXT, [ONE, TWO])


def _refused(whole: bytes, match: str | None = None, error: type[SealtrailError] = SealtrailError) -> None:
    for key in (ONE, TWO):
        with pytest.raises(error, match=match):
            opened(whole, key)


def _with_chunks(change: Callable[[list[bytes]], list[bytes]], whole: bytes = OBJECT) -> bytes:
    header, salt, commitment, chunks, signature = parts(whole)
    return joined(header, salt, commitment, change(chunks), signature)


def _with_header(change: Callable[[list[object]], object]) -> bytes:
    header, salt, commitment, chunks, signature = parts(OBJECT)
    item = cbor.decode(header[START_BYTES:], MAX_HEADER_BYTES)
    change(item)
    body = cbor.encode(item)
    return joined(MAGIC + len(body).to_bytes(4, "big") + body, salt, commitment, chunks, signature)


def test_it_opens_unaltered() -> None:
    for key in (ONE, TWO):
        assert opened(OBJECT, key)[0] == TEXT
    assert _with_chunks(lambda chunks: chunks) == OBJECT == _with_header(lambda item: None)


def test_a_header_altered_at_any_byte_is_refused_for_everybody() -> None:
    """Also within the stanza of another recipient: the commitment binds the whole header."""
    small = sealed(b"x", [ONE, TWO], SIGNER)
    end = len(parts(small)[0]) + 24 + 32
    for place in range(end):
        for flip in (0x01, 0x80):
            altered = small[:place] + bytes((small[place] ^ flip,)) + small[place + 1 :]
            _refused(altered)


def test_every_cut_is_refused() -> None:
    small = sealed(b"content", [ONE, TWO], SIGNER)
    for length in range(len(small)):
        _refused(small[:length])


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, SEALED_CHUNK - 1, SEALED_CHUNK, SEALED_CHUNK + 16])
def test_an_end_that_was_cut_off(length: int) -> None:
    """Whole chunks, part of one, and so that what is left looks like a short last one."""
    start = len(OBJECT) - sum(map(len, parts(OBJECT)[3]))
    _refused(OBJECT[: start + length], "cut off", SealtrailError)


def test_chunks_that_were_moved() -> None:
    for change in (
        lambda c: [c[1], c[0], *c[2:]],  # reordered
        lambda c: [c[0], c[0], *c[1:]],  # one twice
        lambda c: [*c, c[-1]],  # the last twice
        lambda c: [*c[:-1], c[0], c[-1]],  # one twice, far away
        lambda c: c[1:],  # without the first
        lambda c: [c[0], *c[2:]],  # without one in the middle
        lambda c: c[:-1],  # without the last
        lambda c: [*c[:-2], c[-1]],  # the last a place too early
        lambda c: [*c, bytes(16)],  # something behind it
        lambda c: [*c, bytes(SEALED_CHUNK)],
    ):
        _refused(_with_chunks(change), "does not open|cut off")


def test_chunks_of_another_object() -> None:
    others = parts(OTHER)[3]
    for n in range(4):
        _refused(_with_chunks(lambda c, n=n: [*c[:n], others[n], *c[n + 1 :]]), f"chunk {n} does not open")  # type: ignore[misc]
    _refused(_with_chunks(lambda c: others), "chunk 0 does not open")


def test_a_chunk_altered_anywhere() -> None:
    for n in range(4):
        for place in (0, 50, 99, -1):
            change = lambda c, n=n, place=place: [*c[:n], _flipped(c[n], place), *c[n + 1 :]]  # noqa: E731
            _refused(_with_chunks(change), f"chunk {n} does not open", DecryptionError)  # type: ignore[arg-type]


def test_what_stood_before_the_fault_is_true_and_nothing_behind_it_comes() -> None:
    target, text = io.BytesIO(), content(130 * 16384)
    whole = _with_chunks(lambda c: [*c[:100], _flipped(c[100], 0), *c[101:]], sealed(text, [ONE]))
    with pytest.raises(DecryptionError, match="chunk 100"):
        open_object(io.BytesIO(whole), target, finder([ONE]))
    assert len(target.getvalue()) == 64 * 16384
    assert text.startswith(target.getvalue())


def _flipped(data: bytes, place: int) -> bytes:
    place %= len(data)
    return data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :]


def test_a_recipient_that_was_removed_or_added() -> None:
    stranger = [str(STRANGER.suite), STRANGER.public.kid, bytes(1120 + 48)]
    for n in (0, 1):
        whole = _with_header(lambda item, n=n: item[3].pop(n))  # type: ignore[misc]
        _refused(whole, "none of the keys|does not open under")
    whole = _with_header(lambda item: item.__setitem__(3, sorted([*item[3], stranger], key=lambda s: s[1])))  # type: ignore[misc]
    _refused(whole, "does not open under")
    with pytest.raises(DecryptionError):
        opened(whole, STRANGER)


def test_a_recipient_whom_a_recipient_added() -> None:
    """Whoever has the content key can make stanzas for others, but not with this commitment: only by a grant."""
    header = read_header(io.BytesIO(OBJECT))
    content_key = header.content_key(finder([ONE]))
    to = [key.public for key in (ONE, TWO, STRANGER)]
    more = make_header(header.object_id, content_key, header.salt, to, None)
    _, salt, commitment, chunks, signature = parts(OBJECT)
    whole = joined(more.raw, salt, commitment, chunks, signature)
    _refused(whole, "commitment")
    with pytest.raises(DecryptionError, match="commitment"):
        opened(whole, STRANGER)


def test_a_stanza_of_another_object() -> None:
    others = read_header(io.BytesIO(OTHER)).stanzas
    for n in (0, 1):
        whole = _with_header(lambda item, n=n: item[3][n].__setitem__(2, others[n].sealed))  # type: ignore[misc]
        owner = next(key for key in (ONE, TWO) if key.public.kid == others[n].kid)
        neighbour = TWO if owner is ONE else ONE
        with pytest.raises(DecryptionError, match="does not open under"):
            opened(whole, owner)
        with pytest.raises(DecryptionError, match="commitment"):
            opened(whole, neighbour)


def test_a_header_put_on_another_object() -> None:
    header, salt, commitment, _, signature = parts(OBJECT)
    _refused(joined(header, salt, commitment, parts(OTHER)[3], signature), "chunk 0")
    _refused(joined(header, *parts(OTHER)[1:]), "commitment")


def test_a_sender_that_was_added_or_removed() -> None:
    _refused(_with_header(lambda item: item.__setitem__(4, [SIGNER.public.kid, 64])), "commitment")  # type: ignore[attr-defined]
    signed = sealed(TEXT, [ONE, TWO], SIGNER)
    header, salt, commitment, chunks, _ = parts(signed)
    item = cbor.decode(header[START_BYTES:], MAX_HEADER_BYTES)
    item[4] = None
    body = cbor.encode(item)
    _refused(joined(MAGIC + len(body).to_bytes(4, "big") + body, salt, commitment, chunks, b""), "commitment")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda item: item.__setitem__(0, 2), "version"),
        (lambda item: item.__setitem__(0, True), "version"),
        (lambda item: item.append(None), "version 1 with 6"),
        (lambda item: item.__setitem__(1, bytes(31)), "object id must be 32 bytes, got 31"),
        (lambda item: item.__setitem__(2, "aes-128-ctr"), "content algorithm"),
        (lambda item: item.__setitem__(3, []), "1 to 256 recipients"),
        (lambda item: item.__setitem__(3, item[3] * 129), "1 to 256 recipients"),
        (lambda item: item[3].reverse(), "sorted by kid"),
        (lambda item: item[3].append(item[3][1]), "sorted by kid"),
        (lambda item: item[3][0].__setitem__(0, "x25519"), "suite must be one of x-wing"),
        (lambda item: item[3][0].__setitem__(0, KemSuite.ML_KEM_768), "1136 bytes, got 1168"),
        (lambda item: item[3][0].__setitem__(2, item[3][0][2] + bytes(16)), "1168 bytes, got 1184"),
        (lambda item: item[3][0].__setitem__(1, "kid"), "kid must be 32 bytes, got str"),
        (lambda item: item[3].__setitem__(0, {}), "list of suite"),
        (lambda item: item.__setitem__(4, [bytes(32), 0]), "1 to 16384 bytes"),
        (lambda item: item.__setitem__(4, [bytes(32), 2**63]), "1 to 16384 bytes"),
        (lambda item: item.__setitem__(4, {"a": 1}), "sender must be"),
    ],
)
def test_a_header_that_says_what_it_must_not(change: Callable[[list[object]], object], why: str) -> None:
    _refused(_with_header(change), why, FormatError)


def test_limits_stand_before_everything() -> None:
    start = MAGIC + (MAX_HEADER_BYTES + 1).to_bytes(4, "big")
    _refused(start, "over the bound", LimitError)
    _refused(b"age-encryption.org/v1\n" + OBJECT, "not a sealed object", FormatError)
    _refused(OBJECT[:START_BYTES] + b"\xff" + OBJECT[START_BYTES + 1 :], "CBOR", FormatError)
