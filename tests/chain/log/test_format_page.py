"""The worked example of docs/formats/log.md is what the code produces, byte for byte."""

import base64
from pathlib import Path

from crypto.checkpoint import Checkpoint, sign_checkpoint
from crypto.keys import PrivateKey
from crypto.note import NoteSigner, SignatureType
from tests.chain.log.logs import open_log

PAGE = Path(__file__).resolve().parents[3] / "docs" / "formats" / "log.md"
# RFC 8032 section 7.1, test 1, as PKCS#8.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PEM = base64.b64encode(bytes.fromhex("302e020100300506032b657004220420") + SEED)


def test_the_worked_example(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log.db")
    with log.db.transaction() as tx:
        log.log.append(tx, [b"a", b"", b"ccc"])
    key = PrivateKey.from_pem(b"-----BEGIN PRIVATE KEY-----\n" + PEM + b"\n-----END PRIVATE KEY-----\n")
    signer = NoteSigner("log.example/line-1", SignatureType.ED25519, key)
    note = sign_checkpoint(Checkpoint(signer.name, 3, log.log.root()), [signer], 0)
    page = PAGE.read_text()
    hashes = log.reader.tile(0, 0, 3).hex()
    tile = "\n".join(hashes[at : at + 64] for at in range(0, len(hashes), 64))
    for shown in (log.reader.bundle(0, 3).hex(), tile, str(signer.vkey), note.marshal()):
        assert f"```\n{shown.strip()}\n```" in page, f"docs/formats/log.md must show:\n{shown}"
    log.db.close()
