"""core.yaml and orderer.yaml of each node, so that nothing of Fabric is needed but its programs.

Written in JSON, which is a part of YAML. All listeners are on the organisation's host, by default the loopback
address; peers and orderers talk TLS, the orderers' admin listener demands a certificate of its own organisation, and
the operations listener (health, metrics) is plain. `vm.endpoint` is empty: a peer's health must not wait for Docker.
"""

import json
from typing import Any

from crypto.files import write_durably
from network.identities.places import CERTIFICATE, KEY
from network.layout import Kind, Layout, Node
from network.programs import Programs

MESSAGE_BYTES = 100 * 2**20


def write_settings(layout: Layout, programs: Programs) -> None:
    """Write the settings of every peer and orderer anew: programs may have moved since the last start."""
    for node in layout.nodes:
        if node.kind is Kind.CHAINCODE:
            continue
        folder = node.folder / "config"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if node.kind is Kind.ORDERER:
            write_durably(folder / "orderer.yaml", _encoded(orderer_settings(layout, node)))
        else:
            write_durably(folder / "core.yaml", _encoded(peer_settings(layout, node, programs)))


def _encoded(settings: dict[str, Any]) -> bytes:
    return json.dumps(settings, indent=1).encode()


def orderer_settings(layout: Layout, node: Node) -> dict[str, Any]:
    """orderer.yaml; what is absent has Fabric's default."""
    certificate, key = str(node.folder / "tls" / CERTIFICATE), str(node.folder / "tls" / KEY)
    roots = [str(layout.organisation(node.msp_id) / "tlsca" / CERTIFICATE)]
    tls = {"Enabled": True, "Certificate": certificate, "PrivateKey": key, "RootCAs": roots}
    ledger = node.folder / "ledger"
    return {
        "General": {
            "ListenAddress": node.host,
            "ListenPort": node.ports["serve"],
            "TLS": tls | {"ClientAuthRequired": False},
            "Cluster": {
                "SendBufferSize": 100,
                "ClientCertificate": certificate,
                "ClientPrivateKey": key,
            },
            "MaxRecvMsgSize": MESSAGE_BYTES,
            "MaxSendMsgSize": MESSAGE_BYTES,
            "BootstrapMethod": "none",
            "LocalMSPDir": str(node.folder / "msp"),
            "LocalMSPID": node.msp_id,
            "BCCSP": {"Default": "SW", "SW": {"Hash": "SHA2", "Security": 256}},
            "Authentication": {"TimeWindow": "15m"},
        },
        "FileLedger": {"Location": str(ledger)},
        "Consensus": {"WALDir": str(ledger / "consensus" / "wal"), "SnapDir": str(ledger / "consensus" / "snapshot")},
        "ChannelParticipation": {"Enabled": True, "MaxRequestBodySize": "1 MB"},
        "Admin": {
            "ListenAddress": node.address_of("admin"),
            "TLS": tls | {"ClientAuthRequired": True, "ClientRootCAs": roots},
        },
        "Operations": {"ListenAddress": node.address_of("operations"), "TLS": {"Enabled": False}},
        "Metrics": {"Provider": "prometheus"},
    }


def peer_settings(layout: Layout, node: Node, programs: Programs) -> dict[str, Any]:
    """core.yaml; what is absent has Fabric's default."""
    return {
        "peer": _peer(layout, node),
        "vm": {"endpoint": ""},
        "chaincode": {
            "externalBuilders": [{"name": "ccaas", "path": programs.builder, "propagateEnvironment": []}],
            "installTimeout": "60s",
            "startuptimeout": "60s",
            "executetimeout": "30s",
            "mode": "net",
            "keepalive": 0,
            "system": {"_lifecycle": "enable", "cscc": "enable", "lscc": "enable", "qscc": "enable"},
            "logging": {"level": "info", "shim": "warning"},
            "runtimeParams": {"useWriteBatch": False, "useGetMultipleKeys": False},
        },
        "ledger": {
            "state": {"stateDatabase": "goleveldb", "totalQueryLimit": 100_000},
            "history": {"enableHistoryDatabase": True},
            "pvtdataStore": {
                "collElgProcMaxDbBatchSize": 5000,
                "collElgProcDbBatchesInterval": 1000,
                "deprioritizedDataReconcilerInterval": "60m",
                "purgeInterval": 100,
            },
            "snapshots": {"rootDir": str(node.folder / "ledger" / "snapshots")},
        },
        "operations": {"listenAddress": node.address_of("operations"), "tls": {"enabled": False}},
        "metrics": {"provider": "prometheus"},
    }


def _peer(layout: Layout, node: Node) -> dict[str, Any]:
    tls_ca = str(layout.organisation(node.msp_id) / "tlsca" / CERTIFICATE)
    return {
        "id": node.name,
        "networkId": layout.topology.channel,
        "listenAddress": node.address,
        "address": node.address,
        "chaincodeListenAddress": node.address_of("chaincode"),
        "addressAutoDetect": False,
        # A partner's peer that is silent is given up for another partner's within the client's own deadline of 15 s.
        "gateway": {"enabled": True, "endorsementTimeout": "5s", "broadcastTimeout": "10s", "dialTimeout": "3s"},
        "keepalive": _keepalive(),
        "gossip": _gossip(node, layout.peers_of(node.msp_id)),
        "tls": {
            "enabled": True,
            "clientAuthRequired": False,
            "cert": {"file": str(node.folder / "tls" / CERTIFICATE)},
            "key": {"file": str(node.folder / "tls" / KEY)},
            "rootcert": {"file": tls_ca},
            "clientRootCAs": {"files": [tls_ca]},
        },
        "authentication": {"timewindow": "15m"},
        "fileSystemPath": str(node.folder / "ledger"),
        "BCCSP": {"Default": "SW", "SW": {"Hash": "SHA2", "Security": 256}},
        "mspConfigPath": str(node.folder / "msp"),
        "localMspId": node.msp_id,
        "localMspType": "bccsp",
        "handlers": {
            "authFilters": [{"name": "DefaultAuth"}, {"name": "ExpirationCheck"}, {"name": "TimeWindowCheck"}],
            "decorators": [{"name": "DefaultDecorator"}],
            "endorsers": {"escc": {"name": "DefaultEndorsement"}},
            "validators": {"vscc": {"name": "DefaultValidation"}},
        },
        "discovery": {
            "enabled": True,
            "authCacheEnabled": True,
            "authCacheMaxSize": 1000,
            "authCachePurgeRetentionRatio": 0.75,
        },
        "limits": {"concurrency": {"endorserService": 2500, "deliverService": 2500, "gatewayService": 500}},
        "maxRecvMsgSize": MESSAGE_BYTES,
        "maxSendMsgSize": MESSAGE_BYTES,
    }


def _keepalive() -> dict[str, Any]:
    client = {"interval": "60s", "timeout": "20s"}
    return {"interval": "7200s", "timeout": "20s", "minInterval": "60s", "client": client, "deliveryClient": client}


def _gossip(node: Node, siblings: list[Node]) -> dict[str, Any]:
    """Each peer takes blocks from the orderers itself. Short intervals, so that a network is whole in seconds."""
    others = [sibling.address for sibling in siblings if sibling is not node]
    return {
        "bootstrap": " ".join(others or [node.address]),
        "endpoint": node.address,
        "externalEndpoint": node.address,
        "useLeaderElection": False,
        "orgLeader": True,
        "membershipTrackerInterval": "500ms",
        "publishStateInfoInterval": "1s",
        "requestStateInfoInterval": "1s",
        "aliveTimeInterval": "2s",
        "aliveExpirationTimeout": "10s",
        "reconnectInterval": "1s",
        "dialTimeout": "1s",
        "pvtData": {
            "pullRetryThreshold": "60s",
            "transientstoreMaxBlockRetention": 20_000,
            "pushAckTimeout": "3s",
            "btlPullMargin": 10,
            "reconcileBatchSize": 10,
            "reconcileSleepInterval": "1m",
            "reconciliationEnabled": True,
            "implicitCollectionDisseminationPolicy": {"requiredPeerCount": 0, "maxPeerCount": 1},
        },
        "state": {"enabled": False},
    }
