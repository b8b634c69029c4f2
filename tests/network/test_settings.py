"""Where programs are found, and settings that keep a node on this machine and behind TLS."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from network.errors import ProgramError
from network.layout import Kind, lay_out
from network.nodes.settings import orderer_settings, peer_settings
from network.programs import Programs, clean_environment, find_programs, run_program
from tests.network.networks import topology


def _program(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#!/bin/sh\necho on the way; echo it went wrong >&2; exit 3\n")
    file.chmod(0o755)


def _listeners(settings: dict[str, Any]) -> Iterator[str]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _listeners(value)
        elif "address" in name.lower() or name == "externalEndpoint":
            yield str(value)


def test_programs_come_from_fabric_bin_with_the_builder_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("peer", "orderer", "configtxgen"):
        _program(tmp_path / "bin" / name)
    _program(tmp_path / "builders" / "ccaas" / "bin" / "detect")
    monkeypatch.setenv("FABRIC_BIN", str(tmp_path / "bin"))
    monkeypatch.delenv("FABRIC_CCAAS_BUILDER", raising=False)
    found = find_programs()
    assert (found.peer, found.builder) == (str(tmp_path / "bin" / "peer"), str(tmp_path / "builders" / "ccaas"))


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    _program(tmp_path / "peer")
    with pytest.raises(ProgramError, match=r"peer channel join failed \(3\):\n  it went wrong"):
        run_program([str(tmp_path / "peer"), "channel", "join"], {})
    with pytest.raises(ProgramError, match="cannot run"):
        run_program([str(tmp_path / "not-there")], {})


def test_settings_for_other_nodes_do_not_reach_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORE_PEER_TLS_ENABLED", "false")
    monkeypatch.setenv("ORDERER_GENERAL_TLS_ENABLED", "false")
    monkeypatch.setenv("FABRIC_CFG_PATH", "/elsewhere")
    monkeypatch.setenv("HARMLESS", "kept")
    environment = clean_environment()
    assert not [name for name in environment if name.startswith(("CORE_", "ORDERER_", "FABRIC_CFG"))]
    assert environment["HARMLESS"] == "kept"


def test_nodes_listen_on_this_machine_and_talk_tls(tmp_path: Path) -> None:
    layout = lay_out(topology(tmp_path))
    programs = Programs("peer", "orderer", "configtxgen", "/builder")
    peer = peer_settings(layout, layout.of_kind(Kind.PEER)[0], programs)
    orderer = orderer_settings(layout, layout.of_kind(Kind.ORDERER)[0])
    listeners = [where for where in [*_listeners(peer), *_listeners(orderer)] if where not in ("True", "False")]
    assert len(listeners) == 8
    assert all(where.startswith("127.0.0.1") for where in listeners)
    assert (peer["peer"]["tls"]["enabled"], orderer["General"]["TLS"]["Enabled"]) == (True, True)
    assert orderer["Admin"]["TLS"]["ClientAuthRequired"] is True
    assert peer["vm"]["endpoint"] == ""
