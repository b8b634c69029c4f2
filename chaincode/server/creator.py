"""Who signed a proposal: the creator's MSP id and the kid of its certificate's public key.

The peer has checked the certificate against its MSP and the signature over the proposal before the contract
sees either; here they are only read.
"""

from chaincode.server.errors import ProposalError
from chaincode.server.wire import DecodeError, SerializedIdentity
from chaincode.transaction import Caller
from crypto.errors import SealtrailError
from crypto.x509_ecdsa import read_certificate


def caller_of(creator: bytes) -> Caller:
    """The caller that a serialised msp.SerializedIdentity names; its kid is SHA-256 of the certificate's DER
    SubjectPublicKeyInfo, so it outlives a renewal that keeps the key. ProposalError where it is no such identity."""
    try:
        identity = SerializedIdentity.FromString(creator)
        kid = read_certificate(identity.id_bytes).kid
    except (DecodeError, SealtrailError) as e:
        raise ProposalError(f"the creator must be an MSP id with an X.509 certificate: {e}") from e
    if not identity.mspid:
        raise ProposalError("the creator has no MSP id")
    return Caller(kid, identity.mspid)
