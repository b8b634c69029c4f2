"""Signed calls: their bytes as the format page gives them, and nothing else is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaincode.contract import FUNCTIONS
from chaincode.errors import Code, ContractError
from chaincode.signed_call import MAX_AUTHORISATION_BYTES, SIGNED, open_call, sign_call, unwrap
from crypto import cbor
from crypto.keys import Algorithm, PrivateKey, PublicKey

KEY = PrivateKey.generate(Algorithm.ED25519)
CALL = ("channel", "ab" * 32, "logs.anchor", (b"note", b"", b"hash"))


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_the_form_is_the_documented_one(algorithm: Algorithm) -> None:
    key = PrivateKey.generate(algorithm)
    given_args = sign_call(key, *CALL)
    assert (given_args[0], given_args[2:]) == (b"sealtrail.signed", (b"logs.anchor", b"note", b"", b"hash"))
    version, name, raw, signature = cbor.decode(given_args[1], MAX_AUTHORISATION_BYTES)
    assert (version, name, raw) == (1, algorithm.value, key.public.raw)
    signed = cbor.encode([1, "channel", "ab" * 32, "logs.anchor", [b"note", b"", b"hash"]])
    PublicKey(Algorithm(name), raw).verify(signature, signed, b"sealtrail/ledger-transaction/v1")
    assert unwrap(given_args) == (given_args[1], given_args[2:])
    assert open_call(given_args[1], *CALL) == key.public


def test_plain_calls_stay_plain() -> None:
    assert SIGNED.decode() not in FUNCTIONS
    for args in ((), (SIGNED,), (b"logs.head", b"origin")):
        assert unwrap(args) == (None, args)


@pytest.mark.parametrize("place", range(4))
def test_another_channel_transaction_function_or_argument_is_refused(place: int) -> None:
    _, authorisation, *_ = sign_call(KEY, *CALL)
    other = list(CALL)
    other[place] = (b"note", b"hash", b"") if place == 3 else f"{CALL[place]}x"
    with pytest.raises(ContractError) as caught:
        open_call(authorisation, *other)  # type: ignore[arg-type]
    assert caught.value.code is Code.BAD_SIGNATURE


@given(place=st.integers(0, 200), change=st.binary(max_size=40))
def test_altered_authorisations_are_refused_with_a_code(place: int, change: bytes) -> None:
    authorisation = sign_call(KEY, *CALL)[1]
    altered = authorisation[:place] + change + authorisation[place + len(change) :]
    if altered != authorisation:
        with pytest.raises(ContractError) as caught:
            open_call(altered, *CALL)
        assert caught.value.code in (Code.MALFORMED, Code.BAD_SIGNATURE)
