"""An update of a channel's configuration on its way from partner to partner, in Fabric's own file form.

The file is a `common.Envelope` of a `ConfigUpdateEnvelope`; `peer channel signconfigtx` reads and writes the same. Each
signature is an organisation's admin's, over signature header ‖ config update (Fabric, protoutil/signeddata.go). A
file is untrusted: who signed is known only when every signature was checked against the channel's configuration.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crypto.errors import FileError, SealtrailError
from crypto.files import write_durably
from crypto.x509_ecdsa import EcdsaSigner, read_certificate
from network.channel import messages
from network.channel.configuration import Configuration
from network.channel.messages import encode, read, shown
from network.errors import UpdateError
from network.identities.places import ADMIN, CERTIFICATE
from network.layout import Layout

CONFIG_UPDATE = 2  # common.HeaderType
NONCE_BYTES = 24
MAX_SIGNATURES = 100


@dataclass(frozen=True, slots=True)
class Signer:
    """An organisation's admin: what others see of it, and its signing of bytes."""

    msp_id: str
    creator: bytes
    sign: Callable[[bytes], bytes]

    def header(self) -> bytes:
        """A signature header with a nonce of its own."""
        return encode(messages.common.SignatureHeader(creator=self.creator, nonce=secrets.token_bytes(NONCE_BYTES)))


def admin_of(layout: Layout, msp_id: str) -> Signer:
    """The admin of one of the topology's organisations."""
    msp = layout.organisation(msp_id) / "users" / ADMIN / "msp"
    try:
        certificate = (msp / "signcerts" / CERTIFICATE).read_bytes()
        key = (msp / "keystore" / "priv_sk").read_bytes()
    except OSError as e:
        raise UpdateError(f"cannot read the admin of {msp_id}: {e.strerror}: {e.filename}") from e
    creator = messages.identities.SerializedIdentity(mspid=msp_id, id_bytes=certificate)
    return Signer(msp_id, encode(creator), EcdsaSigner.from_pem(key).sign)


@dataclass(frozen=True, slots=True)
class Update:
    """The update's bytes, which are what is signed, and the `common.ConfigSignature`s so far. `channel` is the one that
    the signed bytes name."""

    content: bytes
    signatures: tuple[Any, ...] = ()

    @property
    def message(self) -> Any:
        """The `common.ConfigUpdate`."""
        return read(messages.configtx.ConfigUpdate, self.content, "an update")

    @property
    def channel(self) -> str:
        return shown(self.message.channel_id)

    def signed_by(self, signer: Signer) -> "Update":
        """With one more signature."""
        header = signer.header()
        signature = signer.sign(header + self.content)
        one = messages.configtx.ConfigSignature(signature_header=header, signature=signature)
        return Update(self.content, (*self.signatures, one))

    def signers(self, configuration: Configuration) -> list[str]:
        """MSP ids of the organisations whose admins signed, sorted.

        Raises:
            UpdateError: a signature does not hold, or is no admin's of a member; names whose it claims to be.
        """
        return sorted({self._signer(one, configuration) for one in self.signatures})

    def _signer(self, one: Any, configuration: Configuration) -> str:
        header = read(messages.common.SignatureHeader, one.signature_header, "a signature header")
        creator = read(messages.identities.SerializedIdentity, header.creator, "a signer")
        msp_id = str(creator.mspid)
        try:
            certificate = read_certificate(creator.id_bytes)
            configuration.require_admin(msp_id, certificate)
            certificate.verify(one.signature, one.signature_header + self.content)
        except SealtrailError as e:
            raise UpdateError(
                f"the signature of {shown(msp_id)} does not count: {e}; the update was altered after it was signed, or "
                "somebody else signed it; propose it again"
            ) from e
        return msp_id

    def envelope(self, signer: Signer | None = None) -> Any:
        """The `common.Envelope`; for the orderers `signer` signs it as the sender."""
        body = messages.configtx.ConfigUpdateEnvelope(config_update=self.content, signatures=self.signatures)
        header = messages.common.ChannelHeader(type=CONFIG_UPDATE, channel_id=self.message.channel_id)
        header.timestamp.FromSeconds(int(time.time()))
        whole = messages.common.Header(
            channel_header=encode(header), signature_header=signer.header() if signer else b""
        )
        payload = encode(messages.common.Payload(header=whole, data=encode(body)))
        return messages.common.Envelope(payload=payload, signature=signer.sign(payload) if signer else b"")

    def write(self, file: Path) -> None:
        """Write the file anew."""
        try:
            write_durably(file, encode(self.envelope()))
        except FileError as e:
            raise UpdateError(f"cannot write the update: {e}") from e


def read_update(file: Path) -> Update:
    """The update in a file; UpdateError or ConfigurationError where it is none."""
    try:
        data = file.read_bytes()
    except OSError as e:
        raise UpdateError(f"cannot read the update {file}: {e.strerror}") from e
    envelope = read(messages.common.Envelope, data, "an update's envelope")
    payload = read(messages.common.Payload, envelope.payload, "an update's payload")
    header = read(messages.common.ChannelHeader, payload.header.channel_header, "a channel header")
    if header.type != CONFIG_UPDATE:
        raise UpdateError(f"{file}: expected an update of a configuration, got a message of type {header.type}")
    body = read(messages.configtx.ConfigUpdateEnvelope, payload.data, "an update")
    if len(body.signatures) > MAX_SIGNATURES:
        raise UpdateError(f"{file}: expected at most {MAX_SIGNATURES} signatures, got {len(body.signatures)}")
    return Update(body.config_update, tuple(body.signatures))
