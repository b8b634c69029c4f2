"""Signed notes, verifier keys and checkpoints: the C2SP examples, tampering, and input from nowhere."""

import base64
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crypto.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from crypto.errors import FormatError, LimitError, SealtrailError, SignatureError
from crypto.keys import Algorithm, PrivateKey
from crypto.merkle import EMPTY_ROOT
from crypto.note import MAX_SIGNATURES, Note, NoteSigner, SignatureType, VerifierKey, open_note, parse_note

# The example of c2sp.org/signed-note.
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SIGNED = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsY"
    "jOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
SIGNER = NoteSigner("log.example/a", SignatureType.ED25519, PrivateKey.generate(Algorithm.ED25519))
COSIGNER = NoteSigner("w.example", SignatureType.ED25519_COSIGNATURE, PrivateKey.generate(Algorithm.ED25519))
QUANTUM = NoteSigner("log.example/a", SignatureType.ML_DSA_44_COSIGNATURE, PrivateKey.generate(Algorithm.ML_DSA_44))
CHECKPOINT = Checkpoint("log.example/a", 0, EMPTY_ROOT)


def test_the_example_of_the_specification_verifies() -> None:
    key = VerifierKey.parse(VKEY)
    assert (key.name, key.type, str(key)) == ("example.com/foo", SignatureType.ED25519, VKEY)
    note = parse_note(SIGNED)
    assert note.text == "This is an example message.\n"
    assert [verified.key for verified in open_note(note, [key])] == [key]
    assert note.marshal() == SIGNED


@pytest.mark.parametrize("position", range(0, len(SIGNED) - 1, 3))
def test_the_example_with_one_character_changed_does_not(position: int) -> None:
    changed = SIGNED[:position] + chr(ord(SIGNED[position]) ^ 1) + SIGNED[position + 1 :]
    with pytest.raises(SealtrailError):
        open_note(parse_note(changed), [VerifierKey.parse(VKEY)])


def test_a_vkey_whose_id_is_not_its_keys() -> None:
    with pytest.raises(FormatError, match="does not match"):
        VerifierKey.parse(VKEY.replace("530d903a", "530d903b"))


def test_signatures_of_unknown_keys_are_ignored_and_a_false_one_of_a_known_key_is_not() -> None:
    note = sign_checkpoint(CHECKPOINT, [SIGNER, COSIGNER, QUANTUM], 1_700_000_000)
    assert [v.key for v in open_note(note, [QUANTUM.vkey])] == [QUANTUM.vkey]
    body = bytearray(note.signatures[1].signature)
    body[20] ^= 1
    forged = Note(
        note.text, (note.signatures[0], type(note.signatures[1])("w.example", COSIGNER.vkey.key_id, bytes(body)))
    )
    assert open_note(forged, [SIGNER.vkey])
    with pytest.raises(SignatureError):
        open_note(forged, [SIGNER.vkey, COSIGNER.vkey])


def test_timestamps_of_cosignatures_are_signed() -> None:
    note = sign_checkpoint(CHECKPOINT, [COSIGNER, QUANTUM], 1_700_000_000)
    for signer, line in zip((COSIGNER, QUANTUM), note.signatures, strict=True):
        assert signer.vkey.verify(note.text, line.signature) == 1_700_000_000
        later = (1_700_000_001).to_bytes(8, "big") + line.signature[8:]
        with pytest.raises(SignatureError):
            signer.vkey.verify(note.text, later)


def test_every_key_of_the_log_must_have_signed() -> None:
    half = sign_checkpoint(CHECKPOINT, [SIGNER], 1).marshal()
    with pytest.raises(SignatureError, match="lacks"):
        open_checkpoint(half, [SIGNER.vkey, QUANTUM.vkey])
    whole = sign_checkpoint(CHECKPOINT, [SIGNER, QUANTUM], 1).marshal()
    assert open_checkpoint(whole, [SIGNER.vkey, QUANTUM.vkey]).checkpoint == CHECKPOINT


def test_too_many_signatures_are_refused() -> None:
    line = SIGNED.split("\n")[2] + "\n"
    with pytest.raises(LimitError):
        parse_note("text\n\n" + line * (MAX_SIGNATURES + 1))


def only_our_errors(parse: object, value: object) -> None:
    with suppress(SealtrailError):
        parse(value)  # type: ignore[operator]


WORDS = st.sampled_from(
    ["example.com/foo", " ", "+", "\n", "\n\n", "— ", "530d903a", "0", "12", "AAAA", "=", "é", "\x00"]
)
NEARLY = st.lists(st.one_of(WORDS, st.text(max_size=5)), max_size=20).map("".join)


@given(st.one_of(NEARLY, st.binary(max_size=200), st.binary(max_size=50).map(lambda b: SIGNED.encode() + b)))
@example(b"\n\n\n")
@example("text\n\n\n")
@example("text\n\n— a AAAAAA==\n")
def test_parse_note_raises_only_our_errors(data: bytes | str) -> None:
    only_our_errors(parse_note, data)


@given(st.one_of(NEARLY, st.binary(max_size=60).map(lambda b: "a+00000000+" + base64.b64encode(b).decode())))
@example("+00000000+")
@example("a+00000000+AQ==")
def test_verifier_key_parse_raises_only_our_errors(text: str) -> None:
    only_our_errors(VerifierKey.parse, text)


@given(st.one_of(NEARLY, st.tuples(st.text(max_size=3), st.text(max_size=3), st.text(max_size=5)).map("\n".join)))
@example("o\n١\nAAAA\n")
@example(f"o\n{2**63}\n{base64.b64encode(EMPTY_ROOT).decode()}\n")
@example(f"o\n{'9' * 5000}\n{base64.b64encode(EMPTY_ROOT).decode()}\n")
def test_checkpoint_parse_raises_only_our_errors(text: str) -> None:
    only_our_errors(Checkpoint.parse, text)


@given(st.binary(max_size=300))
def test_a_cosignature_over_any_text_raises_only_our_errors(data: bytes) -> None:
    text = data.decode(errors="replace")
    for signer in (COSIGNER, QUANTUM):
        only_our_errors(lambda signature, key=signer.vkey: key.verify(text, signature), data)


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_reads_back_as_it_was_written(size: int, root: bytes) -> None:
    checkpoint = Checkpoint("log.example/a", size, root)
    assert Checkpoint.parse(checkpoint.text()) == checkpoint
