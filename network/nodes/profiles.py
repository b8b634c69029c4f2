"""The connection profile: the one file by which a gateway meets the network (docs/formats/connection-profile.md)."""

import json
from pathlib import Path
from typing import Any

from crypto.files import write_durably
from network.channel.orderers import orderers
from network.identities.places import CERTIFICATE, GATEWAY
from network.layout import Kind, Layout, Node

VERSION = 1
FILE = "profile.json"


def write_profiles(layout: Layout) -> dict[str, Path]:
    """Write every organisation's profile; returns {msp id: file}."""
    written = {}
    for msp_id in layout.topology.msp_ids:
        file = layout.organisation(msp_id) / FILE
        write_durably(file, json.dumps(profile(layout, msp_id), indent=2).encode() + b"\n")
        written[msp_id] = file
    return written


def profile(layout: Layout, msp_id: str) -> dict[str, Any]:
    """One organisation's profile: its own peers come first."""
    user = layout.organisation(msp_id) / "users" / GATEWAY / "msp"
    peers = sorted(layout.of_kind(Kind.PEER), key=lambda node: node.msp_id != msp_id)
    return {
        "version": VERSION,
        "channel": layout.topology.channel,
        "chaincode": layout.topology.chaincode.name,
        "msp_id": msp_id,
        "certificate": str(user / "signcerts" / CERTIFICATE),
        "key": str(user / "keystore" / "priv_sk"),
        "peers": [_reach(layout, node) for node in peers],
        "orderers": orderers(layout),
    }


def _reach(layout: Layout, node: Node) -> dict[str, str]:
    """How to reach a node and to know that it is the one."""
    tls_ca = layout.organisation(node.msp_id) / "tlsca" / CERTIFICATE
    return {"msp_id": node.msp_id, "address": node.address, "tls_ca": str(tls_ca), "server_name": node.name}
