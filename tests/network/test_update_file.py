"""An update on its way: what it says in words, whose signatures count, and what happens to one that was altered."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fabric_protos", reason="needs sealtrail[fabric]")


from crypto.x509_authority import Authority
from crypto.x509_ecdsa import EcdsaSigner
from network.channel import messages
from network.channel.config_update import compute_update
from network.channel.configuration import Configuration
from network.channel.messages import encode
from network.channel.update_file import Signer, Update, admin_of, read_update
from network.channel.update_words import describe, joining_and_leaving, require_current
from network.errors import ConfigurationError, UpdateError
from network.identities.authorities import authority
from network.identities.places import By
from network.layout import Layout
from tests.network.channels import changed, channel, definition_of, identities_of, joiner

Channel = tuple[Configuration, Layout]


@pytest.fixture(scope="module")
def partners(tmp_path_factory: pytest.TempPathFactory) -> Channel:
    return channel(tmp_path_factory.mktemp("channel"))


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return identities_of(joiner(tmp_path_factory.mktemp("clinic")))


def _update(configuration: Configuration, after: Any) -> Update:
    return Update(encode(compute_update(configuration.channel, configuration.config, after)))


@pytest.fixture
def update(partners: Channel, clinic: Layout) -> Update:
    """ClinicMSP joins."""
    after = changed(partners[0])
    after.channel_group.groups["Application"].groups["ClinicMSP"].CopyFrom(definition_of(clinic, "ClinicMSP"))
    return _update(partners[0], after)


def test_a_file_keeps_update_and_signatures(tmp_path: Path, partners: Channel, update: Update) -> None:
    configuration, layout = partners
    file = tmp_path / "update.pb"
    update.write(file)
    assert read_update(file) == update
    for msp_id in ("PlantMSP", "CarrierMSP"):
        read_update(file).signed_by(admin_of(layout, msp_id)).write(file)
    assert read_update(file).signers(configuration) == ["CarrierMSP", "PlantMSP"]
    assert read_update(file).content == update.content


def test_one_organisation_that_signs_twice_counts_once(partners: Channel, update: Update) -> None:
    configuration, layout = partners
    plant = admin_of(layout, "PlantMSP")
    assert update.signed_by(plant).signed_by(plant).signers(configuration) == ["PlantMSP"]
    assert configuration.admins_needed() == 2


def test_an_update_that_is_altered_after_signing_loses_its_signatures(partners: Channel, update: Update) -> None:
    """The attacker puts another organisation's key into what PlantMSP signed."""
    configuration, layout = partners
    signed = update.signed_by(admin_of(layout, "PlantMSP"))
    other = signed.message
    written = other.write_set.groups["Application"].groups["ClinicMSP"]
    written.policies["Admins"].CopyFrom(written.policies["Readers"])
    altered = Update(encode(other), signed.signatures)
    with pytest.raises(UpdateError, match=r"signature of PlantMSP does not count.*altered.*propose it again"):
        altered.signers(configuration)


def test_a_signature_header_that_is_exchanged_is_found(partners: Channel, update: Update) -> None:
    """PlantMSP's signature under CarrierMSP's name is nobody's."""
    configuration, layout = partners
    one = update.signed_by(admin_of(layout, "PlantMSP")).signatures[0]
    one.signature_header = admin_of(layout, "CarrierMSP").header()
    with pytest.raises(UpdateError, match="signature of CarrierMSP does not count"):
        Update(update.content, (one,)).signers(configuration)


def _signer(msp_id: str, authority: Authority, unit: str) -> Signer:
    credential = authority.issue("mallory", unit, 9)
    creator = messages.identities.SerializedIdentity(mspid=msp_id, id_bytes=credential.certificate)
    return Signer(msp_id, encode(creator), EcdsaSigner.from_pem(credential.key).sign)


def test_an_admin_of_another_authority_does_not_count(partners: Channel, update: Update) -> None:
    forged = _signer("PlantMSP", Authority.create("PlantMSP", "ca.plantmsp"), "admin")
    with pytest.raises(UpdateError, match="does not lead to a pinned root"):
        update.signed_by(forged).signers(partners[0])


def test_a_member_that_is_no_admin_does_not_count(partners: Channel, update: Update) -> None:
    configuration, layout = partners
    giver = authority(layout, "PlantMSP", By.CA)
    with pytest.raises(UpdateError, match="is no admin of PlantMSP"):
        update.signed_by(_signer("PlantMSP", giver, "client")).signers(configuration)


def test_the_joiner_itself_does_not_count(partners: Channel, clinic: Layout, update: Update) -> None:
    with pytest.raises(UpdateError, match="ClinicMSP is no organisation of sealtrail"):
        update.signed_by(admin_of(clinic, "ClinicMSP")).signers(partners[0])


def test_joining_and_leaving_are_told_in_words(partners: Channel, clinic: Layout, update: Update) -> None:
    configuration, _ = partners
    words = describe(update, configuration)
    assert words[0] == "adds the organisation ClinicMSP"
    assert "fingerprint" in words[1]
    assert joining_and_leaving(update, configuration) == ({"ClinicMSP"}, set())
    after = changed(configuration)
    del after.channel_group.groups["Application"].groups["CarrierMSP"]
    removal = _update(configuration, after)
    assert describe(removal, configuration) == ["removes the organisation CarrierMSP"]
    assert joining_and_leaving(removal, configuration) == (set(), {"CarrierMSP"})


def test_what_is_smuggled_in_beside_a_partner_is_told(partners: Channel, clinic: Layout) -> None:
    """The proposer says "a partner joins" and takes more: every change has its line."""
    configuration, _ = partners
    after = changed(configuration)
    application = after.channel_group.groups["Application"]
    application.groups["ClinicMSP"].CopyFrom(definition_of(clinic, "ClinicMSP"))
    application.groups["CarrierMSP"].values["MSP"].value = application.groups["PlantMSP"].values["MSP"].value
    application.policies["Admins"].policy.value = b""
    application.mod_policy = "Writers"
    del application.groups["PharmacyMSP"].policies["Endorsement"]
    after.channel_group.groups["Orderer"].values["BatchTimeout"].value = b"x"
    after.channel_group.groups["Orderer"].groups["x"].mod_policy = "Admins"
    words = [line for line in describe(_update(configuration, after), configuration) if not line.startswith(" ")]
    assert sorted(words) == [
        "adds the group x of Channel/Orderer",
        "adds the organisation ClinicMSP",
        "changes the policy Admins of Channel/Application",
        "changes the value BatchTimeout of Channel/Orderer",
        "changes the value MSP of Channel/Application/CarrierMSP",
        "changes who may change Channel/Application: Writers in place of Admins",
        "removes the policy Endorsement of Channel/Application/PharmacyMSP",
    ]


def test_an_empty_update_is_refused(partners: Channel) -> None:
    configuration, _ = partners
    empty = messages.configtx.ConfigUpdate(channel_id="sealtrail")
    for tree in (empty.read_set, empty.write_set):
        tree.version = configuration.config.channel_group.version
    with pytest.raises(UpdateError, match="would change nothing"):
        describe(Update(encode(empty)), configuration)


def test_a_stale_update_is_told(partners: Channel, update: Update) -> None:
    """Between proposal and signature another partner joined or left."""
    configuration, _ = partners
    require_current(update, configuration)
    now = changed(configuration)
    now.channel_group.groups["Application"].version += 1
    with pytest.raises(UpdateError, match=r"changed since this update was made.*propose it again"):
        require_current(update, Configuration("sealtrail", now, 10))
    gone = changed(configuration)
    del gone.channel_group.groups["Application"].groups["CarrierMSP"]
    with pytest.raises(UpdateError, match="propose it again"):
        require_current(update, Configuration("sealtrail", gone, 10))


def test_another_channels_update_is_told(partners: Channel, update: Update) -> None:
    with pytest.raises(UpdateError, match="for the channel sealtrail, this network is on other"):
        require_current(update, Configuration("other", partners[0].config, 9))


def test_other_files_are_no_updates(tmp_path: Path, partners: Channel, update: Update) -> None:
    file = tmp_path / "x"
    with pytest.raises(UpdateError, match="cannot read the update"):
        read_update(file)
    file.write_bytes(b"<html>")
    with pytest.raises(ConfigurationError, match="expected an update"):
        read_update(file)
    file.write_bytes(b"")
    with pytest.raises(UpdateError, match="expected an update of a configuration, got a message of type 0"):
        read_update(file)
    one = update.signed_by(admin_of(partners[1], "PlantMSP")).signatures[0]
    Update(update.content, (one,) * 101).write(file)
    with pytest.raises(UpdateError, match="at most 100 signatures"):
        read_update(file)
    with pytest.raises(UpdateError, match="cannot write the update"):
        update.write(tmp_path / "no" / "x")
