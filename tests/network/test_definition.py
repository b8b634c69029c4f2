"""An organisation's definition: as Fabric's own configtxgen makes it, without secrets, refused when it would hurt."""

import base64
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fabric_protos", reason="needs sealtrail[fabric]")

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from crypto.x509_authority import Authority
from network.channel import messages
from network.channel.committed import approval_flags, signature_words
from network.channel.configuration import APPLICATION, read_block
from network.channel.definition import check_definition, make_definition, summary
from network.channel.genesis import PROFILE, definition, make_genesis
from network.channel.messages import encode
from network.errors import ConfigurationError
from network.layout import Layout
from network.programs import find_programs, run_program
from tests.network.channels import definition_of, identities_of, joiner
from tests.network.networks import need_fabric, topology

CLINIC = "ClinicMSP"


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return identities_of(joiner(tmp_path_factory.mktemp("clinic")))


@pytest.mark.fabric
def test_it_is_what_configtxgen_makes(tmp_path: Path) -> None:
    need_fabric()
    layout = identities_of(topology(tmp_path))
    make_genesis(layout, find_programs())
    configuration = read_block(layout.genesis.read_bytes())
    groups = configuration.config.channel_group.groups[APPLICATION].groups
    for msp_id in layout.topology.msp_ids:
        assert definition_of(layout, msp_id) == groups[msp_id]
        check_definition(encode(groups[msp_id]))
    assert (configuration.number, configuration.channel, configuration.admins_needed()) == (0, "sealtrail", 2)
    orderers = layout.of_kind(layout.nodes[0].kind)
    assert [one.address for one in configuration.orderers()] == [node.address for node in orderers]


def test_it_holds_no_private_key_and_tells_whose_it_is(clinic: Layout) -> None:
    content = make_definition(clinic, CLINIC)
    assert b"PRIVATE" not in content
    msp_id, group = check_definition(content)
    ca = x509.load_pem_x509_certificate((clinic.organisation(CLINIC) / "ca" / "cert.pem").read_bytes())
    lines = summary(msp_id, group)
    assert lines[0] == "organisation ClinicMSP"
    assert ca.fingerprint(hashes.SHA256()).hex() in lines[1]
    assert clinic.peers_of(CLINIC)[0].address in lines[3]


def _msp(change: Callable[[Any], object]) -> Callable[[Any], None]:
    """A change of the MSP inside a group."""

    def apply(group: Any) -> None:
        outer = messages.msp_config.MSPConfig.FromString(group.values["MSP"].value)
        inner = messages.msp_config.FabricMSPConfig.FromString(outer.config)
        change(inner)
        outer.config = encode(inner)
        group.values["MSP"].value = encode(outer)

    return apply


def _delete(some: Any, key: str) -> None:
    del some[key]


def _ended(inner: Any) -> None:
    """The CA's certificate, in its own name, but ended yesterday."""
    authority = Authority.create(CLINIC, "ca.clinicmsp")
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(authority.certificate.subject)
        .issuer_name(authority.certificate.subject)
        .public_key(authority.key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=9))
        .not_valid_after(now - datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    inner.root_certs[0] = builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _leaf_as_ca(inner: Any) -> None:
    inner.root_certs[0] = Authority.create(CLINIC, "ca").issue("x", "admin", 9).certificate


def _others_rule(group: Any) -> None:
    """A policy of the joiner that another organisation's admin satisfies."""
    policy = group.policies["Admins"].policy
    policy.value = policy.value.replace(CLINIC.encode(), b"PlantOMSP")


REFUSED: dict[str, tuple[Callable[[Any], None], str]] = {
    "no Endorsement": (
        lambda group: _delete(group.policies, "Endorsement"),
        "no policy Endorsement; the organisation would count among those whose majority must endorse but could never",
    ),
    "no Readers": (lambda group: _delete(group.policies, "Readers"), "no policy Readers"),
    "no MSP": (lambda group: _delete(group.values, "MSP"), "no MSP"),
    "NodeOUs off": (_msp(lambda msp: setattr(msp.fabric_node_ous, "enable", False)), "NodeOUs must be on"),
    "a unit less": (_msp(lambda msp: msp.fabric_node_ous.ClearField("admin_ou_identifier")), "NodeOUs must be on"),
    "terminal control": (_msp(lambda msp: setattr(msp, "name", "a\x1b[2J")), r"letters, digits.*got 'a\?\[2J'"),
    "CA ended": (_msp(_ended), "which is not now"),
    "leaf as CA": (_msp(_leaf_as_ca), "is no CA"),
    "no CA": (_msp(lambda msp: msp.ClearField("root_certs")), "at least one CA"),
    "no certificate": (_msp(lambda msp: msp.tls_root_certs.append(b"x")), "cannot be taken"),
    "a private identity": (_msp(lambda msp: msp.signing_identity.SetInParent()), "may be a private key"),
    "others decide": (_others_rule, "its policy Admins names PlantOMSP, not itself"),
    "changed by others": (lambda group: setattr(group, "mod_policy", "Readers"), "that its Admins change"),
    "a group inside": (lambda group: group.groups["x"].SetInParent(), "expected a group with MSP"),
    "an unknown value": (lambda group: group.values["x"].SetInParent(), "expected a group with MSP"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_hurt_the_channel_is_refused(clinic: Layout, name: str) -> None:
    change, told = REFUSED[name]
    group = definition_of(clinic, CLINIC)
    change(group)
    with pytest.raises(ConfigurationError, match=told):
        check_definition(encode(group))


def test_other_files_are_no_definitions() -> None:
    with pytest.raises(ConfigurationError, match="expected an organisation's definition"):
        check_definition(b"<html>")
    with pytest.raises(ConfigurationError, match="at most 16,777,216 bytes"):
        check_definition(bytes(16 * 2**20 + 1))


@pytest.mark.fabric
def test_policies_in_words_become_the_same_policies_again(tmp_path: Path) -> None:
    """Fabric's own parser reads the words that are given back for an approval."""
    need_fabric()
    layout = identities_of(topology(tmp_path, partners=2))
    rule = "AND('PlantMSP.peer',OutOf(2,'CarrierMSP.admin','PlantMSP.peer','CarrierMSP.peer'),OR('CarrierMSP.member'))"
    policies = []
    for words in (rule, None):
        wanted = words or signature_words(policies[0])
        policies.append(_parsed_by_fabric(layout, wanted))
    assert policies[0] == policies[1]


def _parsed_by_fabric(layout: Layout, words: str) -> Any:
    """The policy that configtxgen makes of these words, as a channel-wide one."""
    wanted = definition(layout)
    wanted["Application"]["Policies"]["Readers"] = {"Type": "Signature", "Rule": words}
    folder = layout.topology.folder
    (folder / "configtx.yaml").write_text(json.dumps({"Profiles": {PROFILE: wanted}}))
    command = [find_programs().configtxgen, "-profile", PROFILE, "-channelID", "sealtrail"]
    run_program([*command, "-outputBlock", str(folder / "words.block"), "-configPath", str(folder)], {})
    group = read_block((folder / "words.block").read_bytes()).config.channel_group.groups[APPLICATION]
    return messages.policies.SignaturePolicyEnvelope.FromString(group.policies["Readers"].policy.value)


def test_an_approval_repeats_what_is_committed() -> None:
    reference = messages.peer_policy.ApplicationPolicy(
        channel_config_policy_reference="/Channel/Application/Endorsement"
    )
    committed = {
        "sequence": 3, "version": "2", "endorsement_plugin": "escc", "validation_plugin": "vscc",
        "validation_parameter": base64.b64encode(encode(reference)).decode(), "collections": {},
    }  # fmt: skip
    assert approval_flags("sealtrail", committed) == [
        "--name", "sealtrail", "--version", "2", "--sequence", "3", "--endorsement-plugin", "escc",
        "--validation-plugin", "vscc", "--channel-config-policy", "/Channel/Application/Endorsement",
    ]  # fmt: skip
    with pytest.raises(ConfigurationError, match="private collections"):
        approval_flags("sealtrail", committed | {"collections": {"config": [{}]}})
    with pytest.raises(ConfigurationError, match="cannot be read"):
        approval_flags("sealtrail", committed | {"validation_parameter": "?"})
