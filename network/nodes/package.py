"""The chaincode package of an organisation: where its peers find its chaincode server, and how they trust it.

A `ccaas` package is a tar.gz of metadata.json and code.tar.gz, which holds connection.json. Its id is the label and
the SHA-256 of the file (Fabric, core/chaincode/persistence/persistence.go PackageID). Peer and server know each
other by certificates of an authority that the organisation has for this alone; the peers' key is in the package, so
the package is as private as a key and is installed on the organisation's own peers only. That pair lasts as long as
its authority: another one would make another package, which every peer of the organisation had to install.
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from crypto.files import write_durably
from network.identities.authorities import peers_pair
from network.identities.places import CERTIFICATE, KEY, By
from network.layout import Layout, Node
from network.releases import numbered


def package_file(layout: Layout, server: Node) -> Path:
    """The organisation's package, made on first use."""
    file = package_place(layout, server.msp_id)
    if not file.exists():
        write_durably(file, build_package(label(layout), connection(layout, server)), mode=0o600)
    return file


def package_place(layout: Layout, msp_id: str) -> Path:
    """Where the package of an organisation and this release lies."""
    return layout.organisation(msp_id) / f"{numbered('package', layout.sequence)}.tar.gz"


def package_id(layout: Layout, file: Path) -> str:
    """The id that every peer computes for this file."""
    return f"{label(layout)}:{hashlib.sha256(file.read_bytes()).hexdigest()}"


def label(layout: Layout) -> str:
    """Name and version of the contract."""
    chaincode = layout.topology.chaincode
    return f"{chaincode.name}_{chaincode.version}"


def connection(layout: Layout, server: Node) -> dict[str, object]:
    """connection.json."""
    client = peers_pair(layout, server.msp_id)
    return {
        "address": server.address,
        "dial_timeout": "10s",
        "tls_required": True,
        "client_auth_required": True,
        "root_cert": (layout.organisation(server.msp_id) / By.LINK / CERTIFICATE).read_text(),
        "client_cert": (client / CERTIFICATE).read_text(),
        "client_key": (client / KEY).read_text(),
    }


def build_package(name: str, content: dict[str, object]) -> bytes:
    """The same bytes for the same content: no times, no owners."""
    code = _archive({"connection.json": json.dumps(content).encode()})
    metadata = json.dumps({"path": "", "type": "ccaas", "label": name}).encode()
    return _archive({"metadata.json": metadata, "code.tar.gz": code})


def _archive(files: Mapping[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with gzip.GzipFile(fileobj=whole, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o600
            archive.addfile(entry, io.BytesIO(content))
    return whole.getvalue()
