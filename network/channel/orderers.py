"""The ordering service as an organisation reaches it: its own network's orderers, or those of a channel it joined.

In a channel of others the addresses and TLS authorities are those of the channel's configuration, written to the
data folder (`orderers.json`, `orderers/<msp id>.pem`) whenever the organisation joins or comes up. Trusted as that
configuration is.
"""

import json

from crypto.files import write_durably
from network.channel.configuration import Configuration
from network.errors import NetworkError
from network.identities.places import CERTIFICATE
from network.layout import Kind, Layout

Reach = dict[str, str]


def orderers(layout: Layout) -> list[Reach]:
    """How to reach each and to know that it is the one: msp_id, address, tls_ca, server_name.

    Raises:
        NetworkError: the organisation has no orderers and has joined no channel yet.
    """
    own = layout.of_kind(Kind.ORDERER)
    if own:
        roots = {node.msp_id: str(layout.organisation(node.msp_id) / "tlsca" / CERTIFICATE) for node in own}
        return [_reach(node.msp_id, node.address, roots[node.msp_id], node.name) for node in own]
    try:
        found: list[Reach] = json.loads(layout.orderers.read_bytes())
    except (OSError, ValueError) as e:
        raise NetworkError(f"no orderers are known for {layout.topology.channel}; join it first") from e
    return found


def learn_orderers(layout: Layout, configuration: Configuration) -> None:
    """Write down the orderers of a channel that others run."""
    folder, found = layout.orderers.with_suffix(""), []
    folder.mkdir(mode=0o700, exist_ok=True)
    for one in configuration.orderers():
        roots = folder / f"{one.msp_id}.pem"
        write_durably(roots, b"\n".join(one.tls_roots))
        found.append(_reach(one.msp_id, one.address, str(roots), one.address.rpartition(":")[0]))
    write_durably(layout.orderers, json.dumps(found, indent=1).encode())


def _reach(msp_id: str, address: str, tls_ca: str, server_name: str) -> Reach:
    return {"msp_id": msp_id, "address": address, "tls_ca": tls_ca, "server_name": server_name}
