"""The chaincode package: the same bytes each time, and the id that Fabric computes for it."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from network.identities.msp_folders import make_identities
from network.layout import Kind, Layout, lay_out
from network.nodes.package import build_package, connection, label, package_file, package_id
from network.nodes.settings import write_settings
from network.programs import find_programs, run_program
from tests.network.networks import need_fabric, topology


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = lay_out(topology(tmp_path, partners=1))
    make_identities(made)
    return made


def _files(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive))) as opened:
        return {one.name: content.read() for one in opened if (content := opened.extractfile(one))}


def test_it_says_where_the_server_is_and_whom_to_trust(layout: Layout) -> None:
    server = layout.of_kind(Kind.CHAINCODE)[0]
    file = package_file(layout, server)
    assert file.stat().st_mode & 0o777 == 0o600
    outer = _files(file.read_bytes())
    assert json.loads(outer["metadata.json"]) == {"path": "", "type": "ccaas", "label": "sealtrail_1"}
    inner = json.loads(_files(outer["code.tar.gz"])["connection.json"])
    assert (inner["address"], inner["tls_required"], inner["client_auth_required"]) == (server.address, True, True)
    assert inner["root_cert"] == (layout.organisation("PlantMSP") / "link" / "cert.pem").read_text()


def test_the_same_content_gives_the_same_bytes(layout: Layout) -> None:
    content = connection(layout, layout.of_kind(Kind.CHAINCODE)[0])
    assert build_package(label(layout), content) == build_package(label(layout), content)


@pytest.mark.fabric
def test_the_id_is_fabrics(layout: Layout) -> None:
    need_fabric()
    programs = find_programs()
    write_settings(layout, programs)
    file = package_file(layout, layout.of_kind(Kind.CHAINCODE)[0])
    peer = layout.of_kind(Kind.PEER)[0]
    command = [programs.peer, "lifecycle", "chaincode", "calculatepackageid", str(file)]
    answer = run_program(command, {"FABRIC_CFG_PATH": str(peer.folder / "config")})
    assert answer.strip() == package_id(layout, file)
