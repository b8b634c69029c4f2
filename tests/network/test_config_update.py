"""The update between two configurations: the same as Fabric's configtxlator computes, and with its versions right."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fabric_protos", reason="needs sealtrail[fabric]")


from network.channel import messages
from network.channel.config_update import compute_update
from network.channel.configuration import Configuration
from network.channel.messages import encode
from network.errors import UpdateError
from network.programs import run_program
from tests.network.channels import changed, channel, definition_of, identities_of, joiner

Change = Callable[[Any], object]


def _add(config: Any, folder: Path) -> None:
    layout = identities_of(joiner(folder))
    config.channel_group.groups["Application"].groups["ClinicMSP"].CopyFrom(definition_of(layout, "ClinicMSP"))


def _delete(some: Any, key: str) -> None:
    del some[key]


def _application(config: Any) -> Any:
    return config.channel_group.groups["Application"]


CHANGES: dict[str, Change] = {
    "organisation leaves": lambda config: _delete(_application(config).groups, "CarrierMSP"),
    "value": lambda config: setattr(config.channel_group.groups["Orderer"].values["BatchTimeout"], "value", b"x"),
    "value's modification policy": lambda config: setattr(
        config.channel_group.groups["Orderer"].values["BatchTimeout"], "mod_policy", "Writers"
    ),
    "policy leaves": lambda config: _delete(_application(config).groups["PlantMSP"].policies, "Endorsement"),
    "policy": lambda config: setattr(_application(config).policies["Admins"].policy, "value", b""),
    "new value": lambda config: _application(config).values["ACLs"].CopyFrom(
        messages.configtx.ConfigValue(mod_policy="Admins", value=b"x")
    ),
    "group's modification policy": lambda config: setattr(_application(config), "mod_policy", "Writers"),
    "all at once": lambda config: [change(config) for name, change in CHANGES.items() if name != "all at once"],
}  # fmt: skip


def _by_fabric(folder: Path, channel_id: str, original: Any, updated: Any) -> Any:
    """What configtxlator computes."""
    program = shutil.which("configtxlator")
    if program is None:
        pytest.skip("configtxlator is not on PATH")
    files = {name: str(folder / name) for name in ("original", "updated", "output")}
    Path(files["original"]).write_bytes(encode(original))
    Path(files["updated"]).write_bytes(encode(updated))
    command = [program, "compute_update", "--channel_id", channel_id]
    run_program([*command, *(f"--{name}={file}" for name, file in files.items())], {})
    return messages.configtx.ConfigUpdate.FromString(Path(files["output"]).read_bytes())


def _check_as_fabric(folder: Path, before: Configuration, after: Any) -> None:
    computed = compute_update(before.channel, before.config, after)
    assert computed == _by_fabric(folder, before.channel, before.config, after)


@pytest.mark.fabric
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_computed_as_by_fabric(tmp_path: Path, name: str) -> None:
    before, _ = channel(tmp_path)
    after = changed(before)
    CHANGES[name](after)
    _check_as_fabric(tmp_path, before, after)


@pytest.mark.fabric
def test_a_new_organisation_is_computed_as_by_fabric(tmp_path: Path) -> None:
    before, _ = channel(tmp_path)
    after = changed(before)
    _add(after, tmp_path)
    _check_as_fabric(tmp_path, before, after)


def test_a_new_organisation_raises_the_version_of_its_group_and_of_nothing_else(tmp_path: Path) -> None:
    before, _ = channel(tmp_path)
    after = changed(before)
    _add(after, tmp_path)
    update = compute_update(before.channel, before.config, after)
    assert (update.channel_id, update.read_set.version, update.write_set.version) == ("sealtrail", 4, 4)
    assert set(update.write_set.groups) == {"Application"}
    read, write = update.read_set.groups["Application"], update.write_set.groups["Application"]
    assert (read.version, write.version, write.mod_policy) == (7, 8, "Admins")
    assert set(write.groups) - set(read.groups) == {"ClinicMSP"}
    assert len(write.groups["ClinicMSP"].policies) == 4
    assert all(not group.values and not group.policies for group in read.groups.values())


def test_a_joiners_own_versions_do_not_count(tmp_path: Path) -> None:
    """An element that is new must have version 0, or the orderers refuse the whole update."""
    before, _ = channel(tmp_path)
    after = changed(before)
    _add(after, tmp_path)
    joined = _application(after).groups["ClinicMSP"]
    joined.version = joined.values["MSP"].version = joined.policies["Admins"].version = 5
    update = compute_update(before.channel, before.config, after)
    written = update.write_set.groups["Application"].groups["ClinicMSP"]
    assert (written.version, written.values["MSP"].version, written.policies["Admins"].version) == (0, 0, 0)


def test_no_change_is_no_update(tmp_path: Path) -> None:
    before, _ = channel(tmp_path, partners=1)
    with pytest.raises(UpdateError, match="nothing would change on sealtrail"):
        compute_update(before.channel, before.config, changed(before))
