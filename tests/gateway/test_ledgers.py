"""Which ledger a site is on, and the file by which a further gateway asks to be let onto it."""

import json
from pathlib import Path

import pytest

from chain.errors import LedgerError, StoreError
from chain.site import Folder
from crypto.keys import Algorithm, PrivateKey
from gateway.config import Config, ConfigError, load_config
from gateway.joining import FORMAT, MAX_BYTES, read_request, write_request
from gateway.ledgers import open_ledger
from tests.support.site import ORIGIN, Site


@pytest.mark.parametrize("text", ['ledger = "fabric"', '[fabric]\nprofile = "profile.json"', 'ledger = "oracle"'])
def test_ledger_and_its_section_belong_together(tmp_path: Path, text: str) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(f'origin = "{ORIGIN}"\ndata = "data"\n{text}\n')
    with pytest.raises(ConfigError, match="ledger"):
        load_config(file)


def test_a_site_keeps_to_its_ledger(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        key = site.folder.gateway_key()
    settings = {"origin": ORIGIN, "data": tmp_path, "ledger": "fabric", "fabric": {"profile": tmp_path / "none"}}
    with pytest.raises(StoreError, match="is anchored on the embedded ledger"):
        open_ledger(Config.model_validate(settings), site.folder, key)


def test_a_profile_of_another_chaincode_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")
    node = {"msp_id": "PlantMSP", "address": "127.0.0.1:1", "tls_ca": "/none"}
    profile = {"version": 1, "channel": "c", "chaincode": "other", "msp_id": "PlantMSP", "certificate": "/none",
               "key": "/none", "peers": [node]}  # fmt: skip
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    settings = {
        "origin": ORIGIN,
        "data": tmp_path,
        "ledger": "fabric",
        "fabric": {"profile": tmp_path / "profile.json"},
    }
    folder = Folder.create(tmp_path / "site", ORIGIN)
    key = folder.gateway_key(create=True)
    with pytest.raises(LedgerError, match="must be named sealtrail, got 'other'"):
        open_ledger(Config.model_validate(settings), folder, key)


def test_a_request_is_read_as_it_was_written(tmp_path: Path) -> None:
    key = PrivateKey.generate(Algorithm.ED25519)
    request = read_request(write_request(tmp_path, ORIGIN, key))
    assert (request.origin, request.algorithm, request.key) == (ORIGIN, "ed25519", key.public.raw)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no admission request"),
        (b'{"format": 1}', "is no admission request"),
        (b"\xff\xfe", "is no admission request"),
        (b" " * (MAX_BYTES + 1), "has at most"),
        (
            json.dumps({"format": "v9", "origin": "o", "algorithm": "a", "key": "", "possession": ""}).encode(),
            f"expected the format {FORMAT}",
        ),
    ],
)
def test_other_files_are_no_requests(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "request.json"
    file.write_bytes(content)
    with pytest.raises(LedgerError, match=said):
        read_request(file)
    with pytest.raises(LedgerError, match="cannot read"):
        read_request(tmp_path / "nowhere")
