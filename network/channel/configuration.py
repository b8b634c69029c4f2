"""A channel's configuration as a peer or orderer hands it out: its block, organisations, orderers, and who decides.

Whoever handed the block out is believed: a member asks its own peer, which checked the orderers' signatures.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from crypto.errors import SealtrailError
from crypto.x509_ecdsa import Certificate, read_certificate, require_not_revoked, verify_chain
from network.channel import messages
from network.channel.messages import read
from network.errors import ConfigurationError

CONFIG = 1  # common.HeaderType
IMPLICIT_META = 3  # common.Policy.PolicyType
X509 = 0  # type of an MSPConfig
ORDERER, APPLICATION, ADMINS = "Orderer", "Application", "Admins"


@dataclass(frozen=True, slots=True)
class OrdererAddress:
    """Where an organisation's orderer is reached (host:port), and the TLS authorities (PEM) of that organisation."""

    msp_id: str
    address: str
    tls_roots: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Configuration:
    """One channel's `common.Config`, with number and hash of the block it stands in (None: it came without one)."""

    channel: str
    config: Any
    number: int | None = None
    block_hash: str = ""

    @property
    def application(self) -> Any:
        """The group whose subgroups are the member organisations."""
        return _group(self.config.channel_group, APPLICATION)

    @property
    def members(self) -> list[str]:
        """MSP ids of the organisations, sorted."""
        return sorted(self.application.groups)

    def orderers(self) -> list[OrdererAddress]:
        """Addresses of the ordering service, which each of its organisations gives. Under BFT in the order of the
        consenters: the first one leads until it fails, and who hands something to the leader is served at once."""
        ordering, found = _group(self.config.channel_group, ORDERER), []
        for msp_id, group in sorted(ordering.groups.items()):
            roots = tuple(read_msp(group, msp_id).tls_root_certs)
            found += [OrdererAddress(msp_id, address, roots) for address in _addresses(group, "Endpoints")]
        if not found:
            raise ConfigurationError(f"the configuration of {self.channel} names no addresses of orderers")
        places = {address: place for place, address in enumerate(_consenters(ordering))}
        return sorted(found, key=lambda one: places.get(one.address, len(places)))

    def admins_needed(self) -> int:
        """How many organisations' admins must sign a change of the members: by the Application's policy Admins."""
        policy = self.application.policies.get(ADMINS)
        if policy is None or policy.policy.type != IMPLICIT_META:
            raise ConfigurationError(
                f"the policy Admins of {self.channel} is no ANY, ALL or MAJORITY of its organisations; "
                "such a channel is changed with Fabric's own programs"
            )
        rule = read(messages.policies.ImplicitMetaPolicy, policy.policy.value, "a policy").rule
        count = len(self.members)
        return int({0: 1, 1: count, 2: count // 2 + 1}[rule])

    def require_admin(self, msp_id: str, certificate: Certificate) -> None:
        """SealtrailError unless this is an admin's certificate of a member organisation."""
        if msp_id not in self.application.groups:
            raise ConfigurationError(f"{msp_id} is no organisation of {self.channel}; there are: {self._names()}")
        msp = read_msp(self.application.groups[msp_id], msp_id)
        roots, between = (list(map(read_certificate, some)) for some in (msp.root_certs, msp.intermediate_certs))
        verify_chain(certificate, between, roots)
        require_not_revoked(certificate, list(msp.revocation_list), [*roots, *between])
        unit = msp.fabric_node_ous.admin_ou_identifier.organizational_unit_identifier
        if certificate not in map(read_certificate, msp.admins) and (not unit or unit not in certificate.units):
            raise ConfigurationError(f"{certificate.subject} is no admin of {msp_id}")

    def _names(self) -> str:
        return ", ".join(self.members)


def read_block(data: bytes) -> Configuration:
    """The configuration in a config block; ConfigurationError where it is none."""
    block = read(messages.common.Block, data, "a block")
    if len(block.data.data) != 1:
        raise ConfigurationError(f"expected a config block, got block {block.header.number} with other transactions")
    envelope = read(messages.common.Envelope, block.data.data[0], "an envelope")
    payload = read(messages.common.Payload, envelope.payload, "a payload")
    header = read(messages.common.ChannelHeader, payload.header.channel_header, "a channel header")
    if header.type != CONFIG:
        raise ConfigurationError(f"expected a config block, got a transaction of type {header.type}")
    if sha256(block.data.data[0]).digest() != block.header.data_hash:
        raise ConfigurationError(f"block {block.header.number} was altered: its content does not have its hash")
    config = read(messages.configtx.ConfigEnvelope, payload.data, "a configuration").config
    return Configuration(header.channel_id, config, block.header.number, header_hash(block.header))


def read_configuration(channel: str, data: bytes) -> Configuration:
    """A `common.Config` that came without its block."""
    return Configuration(channel, read(messages.configtx.Config, data, "a configuration"))


def header_hash(header: Any) -> str:
    """Hex of SHA-256 of the header's DER encoding (docs/formats/fabric-evidence.md): what auditors pin."""
    number = header.number.to_bytes(header.number.bit_length() // 8 + 1, "big")
    parts = [(0x02, number), (0x04, header.previous_hash), (0x04, header.data_hash)]
    body = b"".join(bytes([tag, len(value)]) + value for tag, value in parts)
    return sha256(bytes([0x30, len(body)]) + body).hexdigest()


def read_msp(group: Any, msp_id: str) -> Any:
    """The FabricMSPConfig of an organisation's group."""
    if "MSP" not in group.values:
        raise ConfigurationError(f"{msp_id} has no MSP in its definition")
    outer = read(messages.msp_config.MSPConfig, group.values["MSP"].value, f"the MSP of {msp_id}")
    if outer.type != X509:
        raise ConfigurationError(f"{msp_id} is no organisation with X.509 certificates (MSP type {outer.type})")
    return read(messages.msp_config.FabricMSPConfig, outer.config, f"the MSP of {msp_id}")


def anchor_peers(group: Any) -> list[str]:
    """host:port of an organisation's anchor peers."""
    if "AnchorPeers" not in group.values:
        return []
    data = group.values["AnchorPeers"].value
    anchors = read(messages.peer_configuration.AnchorPeers, data, "anchor peers").anchor_peers
    return [f"{one.host}:{one.port}" for one in anchors]


def certificate_fingerprint(pem: bytes) -> str:
    """SHA-256 of a certificate's DER bytes in hex, as OpenSSL and browsers show it, without colons."""
    try:
        return sha256(read_certificate(pem).der).hexdigest()
    except SealtrailError as e:
        raise ConfigurationError(f"a CA certificate cannot be read: {e}") from e


def _addresses(group: Any, name: str) -> list[str]:
    if name not in group.values:
        return []
    return list(read(messages.configuration.OrdererAddresses, group.values[name].value, "addresses").addresses)


def _consenters(ordering: Any) -> list[str]:
    """host:port of the BFT consenters, in their order."""
    if "Orderers" not in ordering.values:
        return []
    known = read(messages.configuration.Orderers, ordering.values["Orderers"].value, "the consenters")
    return [f"{one.host}:{one.port}" for one in known.consenter_mapping]


def _group(above: Any, name: str) -> Any:
    if name not in above.groups:
        raise ConfigurationError(f"the configuration has no group {name}")
    return above.groups[name]
