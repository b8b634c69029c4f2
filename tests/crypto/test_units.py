"""Unit ids: the known answer, and secrets that are none."""

import hashlib
import hmac

import pytest

from crypto import labels
from crypto.errors import KeyMaterialError
from crypto.units import new_unit_secret, unit_id, unit_ids

PACK = "https://id.gs1.org/01/09520002000019/21/1000"


def test_a_unit_id_is_the_hmac_of_label_and_uri() -> None:
    secret = bytes(range(32))
    wanted = hmac.new(secret, b"sealtrail/unit/v1" + PACK.encode(), hashlib.sha256).digest()
    assert unit_id(secret, PACK) == wanted == next(unit_ids(secret, [PACK]))
    assert labels.UNIT == b"sealtrail/unit/v1"


def test_another_secret_makes_another_id() -> None:
    first, second = new_unit_secret(), new_unit_secret()
    assert first != second
    assert unit_id(first, PACK) != unit_id(second, PACK)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_secret_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(KeyMaterialError, match="32 random bytes"):
        unit_id(bytes(length), PACK)
    with pytest.raises(KeyMaterialError, match="32 random bytes"):
        list(unit_ids(bytes(length), []))
