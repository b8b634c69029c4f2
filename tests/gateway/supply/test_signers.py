"""Which signatures of a company's gateways count: one rule for all who ask."""

from dataclasses import dataclass, replace

import pytest

from chaincode.identity_records import Doubt, Identity, KeyRecord, Role
from crypto.keys import Algorithm, PrivateKey, PublicKey
from gateway.supply.signers import SignerError, require_signed

OLD, NEW, OTHER = (PrivateKey.generate(Algorithm.ED25519) for _ in range(3))
GATEWAY = Identity("a.example/gw", Role.GATEWAY, "AMSP", "a.example/gw", (
    KeyRecord(OLD.public, 0, 10), KeyRecord(NEW.public, 10),
))  # fmt: skip
DOUBTED = replace(GATEWAY, keys=(GATEWAY.keys[0].doubted(Doubt(3, "tx")), GATEWAY.keys[1]))
REVOKED = replace(GATEWAY, keys=(replace(GATEWAY.keys[0], reason="stolen"), GATEWAY.keys[1]))


@dataclass(frozen=True)
class Said:
    signer: PrivateKey
    claims: PublicKey

    @property
    def kid(self) -> bytes:
        return self.claims.kid

    def require_signed(self, key: PublicKey) -> None:
        key.verify(self.signer.sign(b"it", b"a label"), b"it", b"a label")


@pytest.mark.parametrize("key", [OLD, NEW])
def test_the_key_of_now_and_one_that_was_rotated_away_count(key: PrivateKey) -> None:
    require_signed(GATEWAY, "AMSP", GATEWAY.name, Said(key, key.public))


@pytest.mark.parametrize(
    ("identity", "organisation", "said", "words"),
    [
        (None, "AMSP", Said(NEW, NEW.public), "knows no gateway"),
        (GATEWAY, "BMSP", Said(NEW, NEW.public), "is no gateway of BMSP"),
        (replace(GATEWAY, role=Role.PARTNER), "AMSP", Said(NEW, NEW.public), "it is a partner of AMSP"),
        (GATEWAY, "AMSP", Said(OTHER, OTHER.public), "that counts"),
        (DOUBTED, "AMSP", Said(OLD, OLD.public), "that counts"),
        (REVOKED, "AMSP", Said(OLD, OLD.public), "that counts"),
        (GATEWAY, "AMSP", Said(OTHER, NEW.public), "is not what the gateway of AMSP signed"),
    ],
)
def test_nothing_else_counts(identity: Identity | None, organisation: str, said: Said, words: str) -> None:
    with pytest.raises(SignerError, match=words):
        require_signed(identity, organisation, GATEWAY.name, said)
