"""What a channel's configuration block says of trust: organisations, orderers, and how many must endorse.

Believed only after the caller pinned the block's hash. Organisations are X.509 MSPs (type 0). Identities are
checked as Fabric's MSP does: a chain to the organisation's roots, no revocation, and the role by NodeOU.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from chain.ledger.fabric import protos
from chain.ledger.fabric.transaction import Endorsement, Member
from crypto.errors import FormatError, LimitError, ProofError, SignatureError
from crypto.x509_ecdsa import Certificate, read_certificate, require_not_revoked, verify_chain

CONFIG = 1  # common.HeaderType
IMPLICIT_META = 3  # common.Policy.PolicyType
MAX_ORGANISATIONS, MAX_CONSENTERS, MAX_CERTIFICATES = 100, 100, 20
_ANY, _ALL, _MAJORITY = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Msp:
    """An organisation: its CA certificates, revocation lists, and the units that tell peers and orderers (empty:
    NodeOUs are off, and every member may act)."""

    msp_id: str
    roots: tuple[Certificate, ...]
    intermediates: tuple[Certificate, ...]
    revocation_lists: tuple[bytes, ...]
    units: dict[str, str] = field(default_factory=dict)

    def require(self, certificate: Certificate, role: str) -> None:
        """SignatureError unless the certificate is one of this organisation's members in `role`: client, peer or
        orderer. A client may also be a peer, orderer or admin, as Fabric's Writers policies take any member."""
        verify_chain(certificate, self.intermediates, self.roots)
        require_not_revoked(certificate, self.revocation_lists, (*self.roots, *self.intermediates))
        unit = self.units.get(role)
        if unit is not None and role != "client" and unit not in certificate.units:
            raise SignatureError(f"{certificate.subject} is no {role} of {self.msp_id}: the unit {unit!r} is missing")


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel as its configuration block `number` fixes it. `consenters` by id, for BFT only; `endorsers` is how
    many of the `applications` must endorse by the channel's own rule."""

    name: str
    number: int
    consensus: str
    consenters: dict[int, Member]
    orderers: dict[str, Msp]
    applications: dict[str, Msp]
    endorsers: int

    def member_of_application(self, member: Member, role: str) -> None:
        if member.msp_id not in self.applications:
            raise SignatureError(f"{member.msp_id} is no organisation of the channel {self.name}")
        self.applications[member.msp_id].require(member.certificate, role)

    def verify_endorsements(self, endorsements: Iterable[Endorsement]) -> frozenset[str]:
        """The organisations whose peers signed. Every signature must hold; SignatureError names the false one, or
        says that too few organisations endorsed."""
        for endorsement in endorsements:
            self.member_of_application(endorsement.endorser, "peer")
            endorsement.endorser.certificate.verify(endorsement.signature, endorsement.signed)
        organisations = frozenset(endorsement.endorser.msp_id for endorsement in endorsements)
        if len(organisations) < self.endorsers:
            names = ", ".join(sorted(organisations)) or "none"
            raise SignatureError(f"{self.endorsers} organisations must endorse on {self.name}, got {names}")
        return organisations

    @property
    def quorum(self) -> int:
        """How many consenters must sign a block: ⌈(n+f+1)/2⌉ with f = ⌊(n−1)/3⌋ (common/policies/bft.go); one under
        Raft, whose leader signs alone."""
        count = len(self.consenters)
        return (count + (count - 1) // 3 + 2) // 2 if self.consensus == "BFT" else 1


def read_channel(number: int, envelope: bytes) -> Channel:
    """The configuration in the one envelope of a config block; FormatError or LimitError where there is none."""
    message = protos.read(protos.common.Envelope, envelope, "a config envelope")
    payload = protos.read(protos.common.Payload, message.payload, "a config payload")
    header = protos.read(protos.common.ChannelHeader, payload.header.channel_header, "a channel header")
    if header.type != CONFIG:
        raise FormatError(f"expected a config block (type {CONFIG}), got a transaction of type {header.type}")
    config = protos.read(protos.configtx.ConfigEnvelope, payload.data, "a config").config
    orderer, application = config.channel_group.groups["Orderer"], config.channel_group.groups["Application"]
    organisations = _msps(application)
    consensus = protos.read(protos.orderer.ConsensusType, orderer.values["ConsensusType"].value, "a consensus type")
    if consensus.type not in ("BFT", "etcdraft"):
        raise FormatError(f"expected the consensus BFT or etcdraft, got {consensus.type!r}")
    return Channel(
        header.channel_id, number, consensus.type, _consenters(orderer) if consensus.type == "BFT" else {},
        _msps(orderer), organisations, _endorsers(application, len(organisations)),
    )  # fmt: skip


def _msps(group: Any) -> dict[str, Msp]:
    if len(group.groups) > MAX_ORGANISATIONS:
        raise LimitError(f"a channel has at most {MAX_ORGANISATIONS} organisations of a kind, got {len(group.groups)}")
    found = [_msp(one.values["MSP"].value) for one in group.groups.values()]
    return {msp.msp_id: msp for msp in found}


def _msp(data: bytes) -> Msp:
    outer = protos.read(protos.msp_config.MSPConfig, data, "an MSP")
    if outer.type != 0:
        raise FormatError(f"expected an organisation with X.509 certificates (MSP type 0), got type {outer.type}")
    config = protos.read(protos.msp_config.FabricMSPConfig, outer.config, "an MSP")
    if len(config.root_certs) + len(config.intermediate_certs) + len(config.revocation_list) > MAX_CERTIFICATES:
        raise LimitError(f"an organisation has at most {MAX_CERTIFICATES} CA certificates and revocation lists")
    ous = config.fabric_node_ous
    roles = {"peer": ous.peer_ou_identifier, "orderer": ous.orderer_ou_identifier}
    units = {role: unit.organizational_unit_identifier for role, unit in roles.items()} if ous.enable else {}
    return Msp(
        config.name, tuple(map(read_certificate, config.root_certs)),
        tuple(map(read_certificate, config.intermediate_certs)), tuple(config.revocation_list), units,
    )  # fmt: skip


def _consenters(orderer: Any) -> dict[int, Member]:
    data = orderer.values["Orderers"].value
    mapping = protos.read(protos.configuration.Orderers, data, "the orderers").consenter_mapping
    if not 1 <= len(mapping) <= MAX_CONSENTERS:
        raise LimitError(f"a channel has 1 to {MAX_CONSENTERS} consenters, got {len(mapping)}")
    found = {one.id: Member(one.msp_id, read_certificate(one.identity)) for one in mapping}
    if len(found) != len(mapping):
        raise ProofError("two consenters of the channel have the same id")
    return found


def _endorsers(application: Any, count: int) -> int:
    policy = application.policies["Endorsement"].policy
    if policy.type != IMPLICIT_META:
        raise FormatError(
            "expected the application's Endorsement policy to be ANY, ALL or MAJORITY of its organisations"
        )
    rule = protos.read(protos.policies.ImplicitMetaPolicy, policy.value, "a policy").rule
    return {_ANY: 1, _ALL: count, _MAJORITY: count // 2 + 1}[rule]
