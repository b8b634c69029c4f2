"""An organisation's definition: what a channel must know of a partner, in a file that can be mailed.

The file is a `common.ConfigGroup`, the value that goes into the channel's group Application: the public MSP, four
policies and the anchor peers. Nothing in it is private. A definition that came from a partner is untrusted: it is
checked before it is proposed, and only the fingerprint of its CA, compared by telephone, says whose it is.
"""

import re
from typing import Any

from crypto.errors import SealtrailError
from crypto.x509_authority import require_authority
from network.channel import messages
from network.channel.configuration import ADMINS, X509, anchor_peers, certificate_fingerprint, read_msp
from network.channel.messages import encode, read, shown
from network.errors import ConfigurationError
from network.identities.authorities import bundle
from network.identities.msp_folders import NODE_OUS
from network.identities.places import By
from network.layout import Layout

SIGNATURE = 1  # common.Policy.PolicyType
# Of each policy, the roles that satisfy it in a definition that is made here.
POLICIES = {"Readers": "MEMBER", "Writers": "MEMBER", "Admins": "ADMIN", "Endorsement": "PEER"}
MSP_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
VALUES = {"MSP", "AnchorPeers", "Endpoints"}
NO_ENDORSEMENT = (
    "{}: its definition has no policy Endorsement; the organisation would count among those whose majority must "
    "endorse but could never endorse itself, and each such partner brings the contract nearer to a halt; add "
    "Endorsement: OR('{}.peer') (`sealtrail network org new` does)"
)


def make_definition(layout: Layout, msp_id: str) -> bytes:
    """The definition of an organisation whose identities are there."""
    group = messages.configtx.ConfigGroup(mod_policy=ADMINS)
    _put(group, "MSP", messages.msp_config.MSPConfig(type=X509, config=encode(_msp(layout, msp_id))))
    anchor = layout.peers_of(msp_id)[0]
    peer = messages.peer_configuration.AnchorPeer(host=anchor.host, port=anchor.ports["serve"])
    _put(group, "AnchorPeers", messages.peer_configuration.AnchorPeers(anchor_peers=[peer]))
    for name, role in POLICIES.items():
        policy = messages.policies.Policy(type=SIGNATURE, value=encode(_one_of(msp_id, role)))
        group.policies[name].CopyFrom(messages.configtx.ConfigPolicy(mod_policy=ADMINS, policy=policy))
    return encode(group)


def _put(group: Any, name: str, value: Any) -> None:
    group.values[name].CopyFrom(messages.configtx.ConfigValue(mod_policy=ADMINS, value=encode(value)))


def _msp(layout: Layout, msp_id: str) -> Any:
    kinds, ca, tls_ca = messages.msp_config, bundle(layout, msp_id, By.CA), bundle(layout, msp_id, By.TLS_CA)
    units = {
        f"{unit}_ou_identifier": kinds.FabricOUIdentifier(organizational_unit_identifier=unit) for unit in NODE_OUS
    }
    hashes = kinds.FabricCryptoConfig(signature_hash_family="SHA2", identity_identifier_hash_function="SHA256")
    return kinds.FabricMSPConfig(
        name=msp_id,
        root_certs=ca.roots,
        intermediate_certs=ca.intermediates,
        tls_root_certs=tls_ca.roots,
        tls_intermediate_certs=tls_ca.intermediates,
        crypto_config=hashes,
        fabric_node_ous=kinds.FabricNodeOUs(enable=True, **units),
    )


def _one_of(msp_id: str, role: str) -> Any:
    """A signature policy that one member in this role satisfies."""
    kinds, principals = messages.policies, messages.msp_principal
    number = principals.MSPRole.MSPRoleType.Value(role)
    who = principals.MSPRole(msp_identifier=msp_id, role=number)
    one = kinds.SignaturePolicy(signed_by=0)
    rule = kinds.SignaturePolicy(n_out_of=kinds.SignaturePolicy.NOutOf(n=1, rules=[one]))
    principal = principals.MSPPrincipal(principal_classification=principals.MSPPrincipal.ROLE, principal=encode(who))
    return kinds.SignaturePolicyEnvelope(version=0, rule=rule, identities=[principal])


def check_definition(data: bytes) -> tuple[str, Any]:
    """The MSP id and the group of a partner's definition.

    Raises:
        ConfigurationError: it is none, or the channel would be the worse for it; says why.
    """
    group = read(messages.configtx.ConfigGroup, data, "an organisation's definition")
    return check_group(group), group


def check_group(group: Any) -> str:
    """The MSP id of an organisation's group, once it was checked as in `check_definition`."""
    msp = read_msp(group, "the organisation")
    name = str(msp.name)
    if not MSP_ID.fullmatch(name):
        raise ConfigurationError(f"expected an MSP id of letters, digits, '.' and '-', got {shown(name)!r}")
    if group.groups or set(group.values) - VALUES or group.mod_policy != ADMINS:
        raise ConfigurationError(f"{name}: expected a group with MSP, anchor peers and policies that its Admins change")
    _check_msp(name, msp)
    for policy in POLICIES:
        if policy not in group.policies:
            told = NO_ENDORSEMENT if policy == "Endorsement" else "{}: its definition has no policy " + policy
            raise ConfigurationError(told.format(name, name))
        _check_policy(name, policy, group.policies[policy])
    return name


def _check_msp(name: str, msp: Any) -> None:
    units = msp.fabric_node_ous
    if not units.enable or not all(
        getattr(units, f"{unit}_ou_identifier").organizational_unit_identifier for unit in NODE_OUS
    ):
        raise ConfigurationError(f"{name}: NodeOUs must be on, with units for {', '.join(NODE_OUS)}")
    if msp.HasField("signing_identity"):
        raise ConfigurationError(f"{name}: its definition holds a signing identity, which may be a private key")
    if not msp.root_certs or not msp.tls_root_certs:
        raise ConfigurationError(f"{name}: expected at least one CA and one TLS CA")
    try:
        for pem in (*msp.root_certs, *msp.intermediate_certs, *msp.tls_root_certs, *msp.tls_intermediate_certs):
            require_authority(pem)
    except SealtrailError as e:
        raise ConfigurationError(f"{name}: a certificate of its authorities cannot be taken: {e}") from e


def _check_policy(name: str, policy: str, found: Any) -> None:
    """A policy of an organisation is a matter of its own members; one that names others would let them act for it."""
    if found.policy.type != SIGNATURE or found.mod_policy != ADMINS:
        raise ConfigurationError(f"{name}: its policy {policy} must be a signature policy that its Admins change")
    rule = read(messages.policies.SignaturePolicyEnvelope, found.policy.value, f"the policy {policy}")
    for principal in rule.identities:
        who = read(messages.msp_principal.MSPRole, principal.principal, "a principal")
        if principal.principal_classification != messages.msp_principal.MSPPrincipal.ROLE or who.msp_identifier != name:
            raise ConfigurationError(
                f"{name}: its policy {policy} names {shown(who.msp_identifier) or 'no role'}, not itself"
            )


def summary(msp_id: str, group: Any) -> list[str]:
    """An organisation in words, with what to compare by telephone."""
    msp = read_msp(group, msp_id)
    lines = [f"organisation {msp_id}"]
    lines += [f"  CA, SHA-256 fingerprint: {certificate_fingerprint(pem)}" for pem in msp.root_certs]
    lines += [f"  TLS CA, SHA-256 fingerprint: {certificate_fingerprint(pem)}" for pem in msp.tls_root_certs]
    lines.append(f"  anchor peers: {shown(', '.join(anchor_peers(group))) or 'none'}")
    return [*lines, f"  policies: {shown(', '.join(sorted(group.policies)))}"]
