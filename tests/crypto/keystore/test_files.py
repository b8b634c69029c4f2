"""Key files and public key files: round trips, wrong passphrases, altered bytes, absurd costs."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import cbor
from crypto.errors import DecryptionError, FormatError, KeyMaterialError, LimitError, SealtrailError
from crypto.kem import KemPrivateKey, KemSuite
from crypto.keys import Algorithm, PrivateKey
from crypto.keystore.file import KeyFile, new_header
from crypto.keystore.locked import Cost
from crypto.keystore.public import SUITES, NamedKey, suite_named
from crypto.keystore.store import secret_of

CHEAP = Cost(memory_kib=64, passes=1, lanes=1)
PASSPHRASE = b"a long sentence"
SEALING = KemPrivateKey.generate(KemSuite.X_WING)


def _file(key: KemPrivateKey | PrivateKey, name: str = "partner-a") -> KeyFile:
    header = new_header(NamedKey(name, key.public), 1, 1_795_413_600_000_000, CHEAP)
    return KeyFile.lock(header, secret_of(key), PASSPHRASE)


FILE = _file(SEALING).encode()


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_survives_its_files(suite: KemSuite | Algorithm) -> None:
    key = KemPrivateKey.generate(suite) if isinstance(suite, KemSuite) else PrivateKey.generate(suite)
    again = KeyFile.decode(_file(key).encode())
    assert again.header.named.suite is suite
    assert secret_of(again.open(PASSPHRASE)) == secret_of(key)
    public = NamedKey("partner-a", key.public)
    assert NamedKey.parse(public.to_json()) == public


def test_another_passphrase_opens_nothing() -> None:
    for wrong in (b"", b"A long sentence", b"a long sentence "):
        with pytest.raises(DecryptionError, match="the passphrase is another one, or the file was altered"):
            KeyFile.decode(FILE).open(wrong)


@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_an_altered_file_never_opens(place: int, difference: int) -> None:
    altered = bytearray(FILE)
    altered[place] ^= difference
    with pytest.raises(SealtrailError):
        KeyFile.decode(bytes(altered)).open(PASSPHRASE)


def test_a_cut_file_is_refused() -> None:
    for length in range(0, len(FILE), 61):
        with pytest.raises(SealtrailError):
            KeyFile.decode(FILE[:length]).open(PASSPHRASE)


def test_a_cheaper_cost_in_the_file_opens_nothing() -> None:
    """The attack: a file that claims a cost under which passphrases are tried quickly, and waits to be opened."""
    dear = dataclasses.replace(_file(SEALING).header, cost=Cost(memory_kib=128, passes=2, lanes=1))
    true = KeyFile.lock(dear, SEALING.seed, PASSPHRASE)
    cheap = dataclasses.replace(dear, cost=CHEAP)
    forged = cbor.encode([cheap.encode(), true.sealed])
    with pytest.raises(DecryptionError):
        KeyFile.decode(forged).open(PASSPHRASE)


@pytest.mark.parametrize(
    "cost", [(2**21, 1, 1), (64, 0, 1), (64, 17, 1), (64, 1, 0), (1024, 1, 17), (7, 1, 1), (31, 1, 4)]
)
def test_absurd_costs_are_refused_before_any_work(cost: tuple[int, int, int]) -> None:
    item = cbor.decode(KeyFile.decode(FILE).clear, 8192)
    item[8] = list(cost)
    with pytest.raises(LimitError, match="are refused"):
        KeyFile.decode(cbor.encode([cbor.encode(item), bytes(48)]))


@pytest.mark.parametrize("history", [[2**63, ""], [-1, ""], [0, "\x1b[2J"], [0, "x" * 201], [0, 1], [0], "x"])
def test_what_is_shown_before_anything_was_opened_is_bounded(history: object) -> None:
    """`keys list` and `show` print it: no date beyond the calendar, nothing that a terminal obeys."""
    item = cbor.decode(KeyFile.decode(FILE).clear, 8192)
    item[7] = history
    with pytest.raises(FormatError, match=r"year 10000|printable|time and reason"):
        KeyFile.decode(cbor.encode([cbor.encode(item), bytes(48)]))


def test_a_public_key_that_was_swapped_shows_when_it_is_opened() -> None:
    """Before that nothing in a folder is proved; who exports a key from a folder that others write to must open it."""
    item = cbor.decode(KeyFile.decode(FILE).clear, 8192)
    item[4] = KemPrivateKey.generate(KemSuite.X_WING).public.raw
    forged = KeyFile.decode(cbor.encode([cbor.encode(item), KeyFile.decode(FILE).sealed]))
    with pytest.raises(DecryptionError):
        forged.open(PASSPHRASE)
    theirs = KeyFile.lock(forged.header, SEALING.seed, PASSPHRASE)
    with pytest.raises(KeyMaterialError, match="not that of its public key"):
        theirs.open(PASSPHRASE)


PUBLIC = json.loads(NamedKey("partner-a", SEALING.public).to_json())


@pytest.mark.parametrize(
    ("changed", "error", "match"),
    [
        ({"sealtrail_key": 2}, FormatError, "version"),
        ({"sealtrail_key": True}, FormatError, "members"),
        ({"name": "../a"}, KeyMaterialError, "a key name is"),
        ({"suite": "ml-kem-768"}, KeyMaterialError, "1184 bytes"),
        ({"suite": "rsa"}, KeyMaterialError, "expected one of x-wing"),
        ({"public": "!"}, FormatError, "base64"),
        ({"public": "AAAA"}, KeyMaterialError, "1216 bytes"),
        ({"kid": "00" * 32}, KeyMaterialError, "kid"),
        ({"more": 1}, FormatError, "members"),
    ],
)
def test_public_files_that_are_none(changed: dict[str, object], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        NamedKey.parse(json.dumps(PUBLIC | changed).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"a":1,"a":2}', b"[" * 4000, b"\xff", b" " * 9000])
def test_arbitrary_bytes_are_no_public_file(data: bytes) -> None:
    with pytest.raises(FormatError):
        NamedKey.parse(data)


def test_suites_have_names() -> None:
    for suite in SUITES:
        assert suite_named(str(suite)) is suite
