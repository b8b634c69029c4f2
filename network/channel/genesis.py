"""The channel's first block: who the partners and orderers are and by which majorities they decide.

The definition is written as configtx.yaml (in JSON, which is a part of YAML) and turned into a block by Fabric's own
configtxgen. Everybody who later checks a block or a receipt pins this block.
"""

import json
from typing import Any

from crypto.files import write_durably
from network.identities.places import CERTIFICATE
from network.layout import Kind, Layout, Node
from network.programs import Programs, run_program
from network.topology import Consensus

PROFILE = "Sealtrail"


def make_genesis(layout: Layout, programs: Programs) -> None:
    """Write configtx.yaml and the genesis block, once."""
    if layout.genesis.exists():
        return
    folder = layout.topology.folder
    write_durably(folder / "configtx.yaml", json.dumps({"Profiles": {PROFILE: definition(layout)}}, indent=1).encode())
    unfinished = layout.genesis.with_suffix(".unfinished")
    command = [programs.configtxgen, "-profile", PROFILE, "-channelID", layout.topology.channel]
    run_program([*command, "-outputBlock", str(unfinished), "-configPath", str(folder)], {})
    unfinished.replace(layout.genesis)


def definition(layout: Layout) -> dict[str, Any]:
    """The channel's definition, as a profile of configtx.yaml."""
    organisations = [_organisation(layout, msp_id) for msp_id in layout.topology.msp_ids]
    majority = _implicit("MAJORITY Endorsement")
    return {
        "Policies": _group_policies(),
        "Capabilities": {"V3_0": True},
        "Orderer": _orderer(layout, organisations),
        "Application": {
            "Organizations": organisations,
            "Policies": _group_policies() | {"LifecycleEndorsement": majority, "Endorsement": majority},
            "Capabilities": {"V2_5": True},
        },
    }


def _organisation(layout: Layout, msp_id: str) -> dict[str, Any]:
    anchor = layout.peers_of(msp_id)[0]
    orderers = [node.address for node in layout.of_kind(Kind.ORDERER) if node.msp_id == msp_id]
    return {
        "Name": msp_id,
        "ID": msp_id,
        "MSPDir": str(layout.organisation(msp_id) / "msp"),
        "Policies": {
            "Readers": _signature(f"OR('{msp_id}.member')"),
            "Writers": _signature(f"OR('{msp_id}.member')"),
            "Admins": _signature(f"OR('{msp_id}.admin')"),
            "Endorsement": _signature(f"OR('{msp_id}.peer')"),
        },
        "OrdererEndpoints": orderers,
        "AnchorPeers": [{"Host": anchor.host, "Port": anchor.ports["serve"]}],
    }


def _orderer(layout: Layout, organisations: list[dict[str, Any]]) -> dict[str, Any]:
    """The ordering service. Blocks are signed by orderers only; BFT replaces that policy by its own quorum."""
    ordering = layout.topology.ordering
    owners = {node.msp_id for node in layout.of_kind(Kind.ORDERER)}
    signers = ",".join(f"'{owner}.orderer'" for owner in sorted(owners))
    common: dict[str, Any] = {
        "BatchTimeout": f"{ordering.batch_timeout_ms}ms",
        "BatchSize": {
            "MaxMessageCount": ordering.batch_messages,
            "AbsoluteMaxBytes": "10 MB",
            "PreferredMaxBytes": "512 KB",
        },
        "Organizations": [organisation for organisation in organisations if organisation["ID"] in owners],
        "Policies": _group_policies() | {"BlockValidation": _signature(f"OR({signers})")},
        "Capabilities": {"V2_0": True},
    }
    return common | (_bft(layout) if ordering.consensus is Consensus.BFT else _raft(layout))


def _bft(layout: Layout) -> dict[str, Any]:
    """Timeouts decide what a leader's death costs: no block is cut until its heartbeats are missed for
    LeaderHeartbeatTimeout. 5 s is what Fabric's Raft waits too (10 ticks of 500 ms), and ten heartbeats; shorter, a
    slow disk or a busy machine looks like a death. A leader that lives but holds requests back, or that only some
    missed, is replaced after RequestForwardTimeout + RequestComplainTimeout: 10 s, since an overload, in which requests
    wait that long, would cost every leader its place."""
    nodes = enumerate(layout.of_kind(Kind.ORDERER), start=1)
    return {
        "OrdererType": "BFT",
        "SmartBFT": {
            "RequestBatchMaxInterval": f"{layout.topology.ordering.batch_timeout_ms}ms",
            "RequestForwardTimeout": "2s",
            "RequestComplainTimeout": "8s",
            "RequestAutoRemoveTimeout": "3m0s",
            "ViewChangeResendInterval": "2s",
            "ViewChangeTimeout": "10s",
            "LeaderHeartbeatTimeout": "5s",
            "CollectTimeout": "1s",
            "IncomingMessageBufferSize": 200,
            "RequestPoolSize": 10_000,
            "LeaderHeartbeatCount": 10,
        },
        "ConsenterMapping": [_consenter(node) | _bft_identity(node, number) for number, node in nodes],
    }


def _raft(layout: Layout) -> dict[str, Any]:
    options = {
        "TickInterval": "500ms",
        "ElectionTick": 10,
        "HeartbeatTick": 1,
        "MaxInflightBlocks": 5,
        "SnapshotIntervalSize": "16 MB",
    }
    consenters = [_consenter(node) for node in layout.of_kind(Kind.ORDERER)]
    return {"OrdererType": "etcdraft", "EtcdRaft": {"Consenters": consenters, "Options": options}}


def _consenter(node: Node) -> dict[str, Any]:
    certificate = str(node.folder / "tls" / CERTIFICATE)
    address = {"Host": node.host, "Port": node.ports["serve"]}
    return address | {"ClientTLSCert": certificate, "ServerTLSCert": certificate}


def _bft_identity(node: Node, number: int) -> dict[str, Any]:
    """What BFT needs to know beside the address: the signer's number and certificate."""
    return {"ID": number, "MSPID": node.msp_id, "Identity": str(node.folder / "msp" / "signcerts" / CERTIFICATE)}


def _group_policies() -> dict[str, Any]:
    return {
        "Readers": _implicit("ANY Readers"),
        "Writers": _implicit("ANY Writers"),
        "Admins": _implicit("MAJORITY Admins"),
    }


def _implicit(rule: str) -> dict[str, str]:
    return {"Type": "ImplicitMeta", "Rule": rule}


def _signature(rule: str) -> dict[str, str]:
    return {"Type": "Signature", "Rule": rule}
