"""Who calls the contract: the organisation by the creator's certificate, the identity by its own signature."""

from hashlib import sha256

import pytest

pytest.importorskip("grpc", reason="needs sealtrail[fabric]")
pytest.importorskip("fabric_protos", reason="needs sealtrail[fabric]")

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from chaincode.errors import Code
from chaincode.log_records import AnchorAnswer
from chaincode.server.wire import ChaincodeInput
from crypto import cbor
from crypto.keys import Algorithm, PrivateKey
from tests.chaincode.scripted_peer import (
    Creator,
    ScriptedPeer,
    certificate,
    response_of,
    result,
    transaction,
)  # fmt: skip
from tests.chaincode.serving import (
    CREATOR,
    GATEWAY,
    LOG,
    ORIGIN,
    call,
    drive,
    failed,
    gateway_call,
    refused,
    start,
)
from tests.contract_suite.actors import Actor


def test_callers_are_who_signed_and_their_creators_organisation() -> None:
    async def check(peer: ScriptedPeer) -> None:
        await start(peer)
        anchor = LOG.anchor(0, 3)
        # 1. Without a signature the caller is the certificate's key, which nobody has enrolled.
        answer = await peer.call(call("logs.anchor", *anchor))
        refused(answer, Code.NOT_ENROLLED)
        public = x509.load_pem_x509_certificate(CREATOR.pem).public_key()
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        assert sha256(der).hexdigest()[:16] in response_of(answer).message
        # 2. The right key in another organisation's transaction.
        stranger = Creator("Org2MSP", certificate("stranger"))
        refused(await peer.call(call("logs.anchor", *anchor, key=GATEWAY.key, creator=stranger)), Code.FORBIDDEN)
        # 3. A key that nobody has enrolled.
        refused(await peer.call(call("logs.anchor", *anchor, key=Actor("x", ORIGIN).key)), Code.NOT_ENROLLED)
        assert AnchorAnswer.decode(result(await peer.call(gateway_call("logs.anchor", *anchor)))).size == 3

    drive(check)


def test_a_signed_call_cannot_be_reused_or_altered() -> None:
    async def check(peer: ScriptedPeer) -> None:
        await start(peer)
        signed = list(ChaincodeInput.FromString(gateway_call("logs.anchor", *LOG.anchor(0, 3)).payload).args)
        # 1. In another transaction.
        refused(await peer.call(transaction(CREATOR, signed)), Code.BAD_SIGNATURE)
        # 2. With another argument, function, key or form.
        for place in range(1, len(signed)):
            message = gateway_call("logs.anchor", *LOG.anchor(0, 3))
            args = list(ChaincodeInput.FromString(message.payload).args)
            args[place] = args[place][:-1] + bytes([args[place][-1] ^ 1])
            message.payload = ChaincodeInput(args=args).SerializeToString()
            refused(await peer.call(message), Code.BAD_SIGNATURE)
        for garbage in (b"", b"\xff", cbor.encode([1, 2]), cbor.encode([2, "ed25519", bytes(32), b""])):
            refused(await peer.call(transaction(CREATOR, [signed[0], garbage, *signed[2:]])), Code.MALFORMED)
        # 3. Cut short.
        failed(await peer.call(transaction(CREATOR, signed[:2])))

    drive(check)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_calls_are_signed_with_every_algorithm(algorithm: Algorithm) -> None:
    async def check(peer: ScriptedPeer) -> None:
        gateway = Actor("g", ORIGIN, PrivateKey.generate(algorithm))
        await peer.commit(call("identities.bootstrap", *gateway.bootstrap(), key=gateway.key))
        await peer.commit(call("logs.register", ORIGIN.encode(), *LOG.vkeys(), key=gateway.key))

    drive(check)
