"""A small real Fabric network for the tests of the client: four BFT orderers (or one Raft orderer), two
organisations with a peer each, and tests' own chaincode. Native processes on 127.0.0.1 in one temporary folder."""

import asyncio
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from chain.ledger.fabric.ledger import FabricLedger
    from chain.ledger.fabric.profile import Profile

PROGRAMS = ("peer", "orderer", "osnadmin", "configtxgen", "cryptogen")
CHANNEL, CHAINCODE = "sealtrail", "small"
ORGS = ("Org1", "Org2")
RAFT_KEYS = ("Host", "Port", "ClientTLSCert", "ServerTLSCert")
DEADLINE_S = 60.0


def _program(name: str) -> Path | None:
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("FABRIC_BIN", ""), os.environ["PATH"]]))
    return Path(found).resolve() if found else None


def _beside(*names: str) -> Path | None:
    """The first of these folders beside the programs."""
    peer = _program("peer")
    homes = [peer.parent.parent, peer.parent.parent / "lib" / "fabric"] if peer else []
    return next((home / name for home in homes for name in names if (home / name).exists()), None)


def require_programs() -> None:
    """Skip where Fabric's programs or packages are absent."""
    pytest.importorskip("grpc", reason="needs the extra 'fabric'")
    pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")
    if missing := [name for name in PROGRAMS if _program(name) is None]:
        pytest.skip(f"Fabric's programs are not on PATH nor in FABRIC_BIN: {', '.join(missing)}")
    if not _beside("sampleconfig", "config") or not _beside("builders/ccaas"):
        pytest.skip("Fabric's config folder or its ccaas builder is not beside its programs")


def is_query(function: str) -> bool:
    """Which functions of small_chaincode.py are never submitted."""
    return function == "get"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@dataclass
class SmallNetwork:
    home: Path
    consensus: str
    orderers: list[int]
    peers: dict[str, int]
    stack: ExitStack
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def _orderer_home(self, n: int) -> Path:
        return self.home / f"crypto/ordererOrganizations/orderer.test/orderers/o{n}.orderer.test"

    def org_home(self, org: str) -> Path:
        return self.home / f"crypto/peerOrganizations/{org.lower()}.test"

    def peer_home(self, org: str) -> Path:
        return self.org_home(org) / f"peers/peer0.{org.lower()}.test"

    def profile(self, org: str, peers: tuple[str, ...] = ()) -> dict[str, Any]:
        """The connection profile of an organisation's user; its gateway peers are of `peers`, else its own."""
        msp = self.org_home(org) / f"users/User1@{org.lower()}.test/msp"
        return {
            "version": 1, "channel": CHANNEL, "chaincode": CHAINCODE, "msp_id": f"{org}MSP",
            "certificate": str(next((msp / "signcerts").iterdir())), "key": str(next((msp / "keystore").iterdir())),
            "peers": [
                {"msp_id": f"{name}MSP", "address": f"127.0.0.1:{self.peers[name]}",
                 "tls_ca": str(self.peer_home(name) / "tls/ca.crt"), "server_name": f"peer0.{name.lower()}.test"}
                for name in peers or (org,)
            ],
            "orderers": [],
        }  # fmt: skip

    def start(self, name: str, command: list[str], env: dict[str, str]) -> None:
        log = (self.home / f"{name}.log").open("ab")
        process = subprocess.Popen(command, env=os.environ | env, stdout=log, stderr=log, cwd=self.home)
        log.close()
        self.processes[name] = process
        self.stack.callback(_end, process)

    def run(self, *command: str, env: dict[str, str] | None = None, retry: bool = False) -> str:
        """One of Fabric's programs; `retry` until it succeeds, while the nodes come up."""
        deadline = time.monotonic() + (DEADLINE_S if retry else 0)
        while True:
            done = subprocess.run(
                command, env=os.environ | {"FABRIC_CFG_PATH": str(self.home)} | (env or {}), cwd=self.home,
                capture_output=True, text=True, timeout=DEADLINE_S, check=False,
            )  # fmt: skip
            if done.returncode == 0:
                return done.stdout + done.stderr
            if time.monotonic() > deadline:
                raise AssertionError(f"{command} failed:\n{done.stdout}{done.stderr}")
            time.sleep(0.2)

    def admin(self, org: str) -> dict[str, str]:
        home = self.peer_home(org)
        return {
            "CORE_PEER_LOCALMSPID": f"{org}MSP", "CORE_PEER_ADDRESS": f"127.0.0.1:{self.peers[org]}",
            "CORE_PEER_TLS_ENABLED": "true", "CORE_PEER_TLS_ROOTCERT_FILE": str(home / "tls/ca.crt"),
            "CORE_PEER_MSPCONFIGPATH": str(self.org_home(org) / f"users/Admin@{org.lower()}.test/msp"),
        }  # fmt: skip

    def start_peer(self, org: str) -> None:
        home, port, data = self.peer_home(org), self.peers[org], self.home / f"data-{org}"
        self.start(org, [str(_program("peer")), "node", "start"], {
            "FABRIC_CFG_PATH": str(self.home), "FABRIC_LOGGING_SPEC": "warning", "CORE_PEER_ID": f"peer0.{org}",
            "CORE_PEER_ADDRESS": f"127.0.0.1:{port}", "CORE_PEER_LISTENADDRESS": f"127.0.0.1:{port}",
            "CORE_PEER_CHAINCODELISTENADDRESS": f"127.0.0.1:{free_port()}",
            "CORE_PEER_GOSSIP_EXTERNALENDPOINT": f"127.0.0.1:{port}",
            "CORE_PEER_GOSSIP_BOOTSTRAP": f"127.0.0.1:{port}", "CORE_PEER_LOCALMSPID": f"{org}MSP",
            "CORE_PEER_MSPCONFIGPATH": str(home / "msp"), "CORE_PEER_FILESYSTEMPATH": str(data),
            "CORE_LEDGER_SNAPSHOTS_ROOTDIR": str(data / "snapshots"), "CORE_PEER_TLS_ENABLED": "true",
            "CORE_PEER_TLS_CERT_FILE": str(home / "tls/server.crt"),
            "CORE_PEER_TLS_KEY_FILE": str(home / "tls/server.key"),
            "CORE_PEER_TLS_ROOTCERT_FILE": str(home / "tls/ca.crt"),
            "CORE_OPERATIONS_LISTENADDRESS": "127.0.0.1:0", "CORE_PEER_GOSSIP_RECONNECTINTERVAL": "1s",
        })  # fmt: skip

    def start_orderer(self, n: int, admin_port: int) -> None:
        home, data = self._orderer_home(n), self.home / f"data-o{n}"
        self.start(f"o{n}", [str(_program("orderer"))], {
            "FABRIC_CFG_PATH": str(self.home), "FABRIC_LOGGING_SPEC": "warning",
            "ORDERER_GENERAL_LISTENPORT": str(self.orderers[n]), "ORDERER_GENERAL_LOCALMSPID": "OrdererMSP",
            "ORDERER_GENERAL_LOCALMSPDIR": str(home / "msp"), "ORDERER_GENERAL_TLS_ENABLED": "true",
            "ORDERER_GENERAL_TLS_PRIVATEKEY": str(home / "tls/server.key"),
            "ORDERER_GENERAL_TLS_CERTIFICATE": str(home / "tls/server.crt"),
            "ORDERER_GENERAL_TLS_ROOTCAS": f"[{home / 'tls/ca.crt'}]",
            "ORDERER_GENERAL_CLUSTER_CLIENTCERTIFICATE": str(home / "tls/server.crt"),
            "ORDERER_GENERAL_CLUSTER_CLIENTPRIVATEKEY": str(home / "tls/server.key"),
            "ORDERER_GENERAL_CLUSTER_ROOTCAS": f"[{home / 'tls/ca.crt'}]",
            "ORDERER_FILELEDGER_LOCATION": str(data), "ORDERER_CONSENSUS_WALDIR": str(data / "wal"),
            "ORDERER_CONSENSUS_SNAPDIR": str(data / "snap"), "ORDERER_ADMIN_LISTENADDRESS": f"127.0.0.1:{admin_port}",
            "ORDERER_OPERATIONS_LISTENADDRESS": "127.0.0.1:0",
        })  # fmt: skip

    def deploy(self, package: str, port: int) -> None:
        """Approve and commit the installed package, and run its server."""
        self.start("chaincode", [
            sys.executable, "-m", "tests.chain.ledger.fabric.small_chaincode", str(port), package,
        ], {"PYTHONPATH": str(Path(__file__).resolve().parents[4])})  # fmt: skip
        common = [
            "-o", f"127.0.0.1:{self.orderers[0]}", "--ordererTLSHostnameOverride", "o0.orderer.test", "--tls",
            "--cafile", str(self._orderer_home(0) / "tls/ca.crt"), "--channelID", CHANNEL, "--name", CHAINCODE,
            "--version", "1", "--sequence", "1",
        ]  # fmt: skip
        lifecycle = [str(_program("peer")), "lifecycle", "chaincode"]
        for org in ORGS:
            self.run(*lifecycle, "approveformyorg", *common, "--package-id", package, env=self.admin(org), retry=True)
        targets = [
            part for org in ORGS
            for part in ("--peerAddresses", f"127.0.0.1:{self.peers[org]}", "--tlsRootCertFiles",
                         str(self.peer_home(org) / "tls/ca.crt"))
        ]  # fmt: skip
        self.run(*lifecycle, "commit", *common, *targets, env=self.admin(ORGS[0]), retry=True)

    def twin_peers(self, folder: Path) -> Path:
        """Fresh CAs and members under the very names of this network."""
        program, config = str(_program("cryptogen")), str(self.home / "crypto.yaml")
        self.run(program, "generate", "--config", config, "--output", str(folder / "twin"))
        return folder / "twin"

    def open(self, org: str = "Org1", peers: tuple[str, ...] = (), **more: Any) -> "FabricLedger":
        """The ledger as the organisation's user sees it."""
        from chain.ledger.fabric.ledger import FabricLedger

        return FabricLedger(self.write_profile(org, peers), is_query=is_query, **more)

    def write_profile(self, org: str = "Org1", peers: tuple[str, ...] = ()) -> "Profile":
        from chain.ledger.fabric.profile import read_profile

        path = self.home / f"{org}-{'-'.join(peers)}.json"
        path.write_text(json.dumps(self.profile(org, peers)))
        return read_profile(path)

    async def ready(self, org: str) -> None:
        """Wait until the organisation's peer knows the other organisation's peer through gossip."""
        from chain.ledger.fabric.errors import EndorseError

        deadline = time.monotonic() + DEADLINE_S
        async with self.open(org) as ledger:
            while True:
                try:
                    await ledger.submit("count", b"ready")
                    return
                except EndorseError:
                    if time.monotonic() > deadline:
                        raise
                    await asyncio.sleep(0.1)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


@contextmanager
def small_network(home: Path, consensus: str) -> Iterator[SmallNetwork]:
    """Bring up a network with the chaincode committed; end every process afterwards."""
    count = 4 if consensus == "BFT" else 1
    with ExitStack() as stack:
        net = SmallNetwork(home, consensus, [free_port() for _ in range(count)], {o: free_port() for o in ORGS}, stack)
        _write_config(net)
        net.run(str(_program("cryptogen")), "generate", "--config", "crypto.yaml", "--output", "crypto")
        net.run(str(_program("configtxgen")), "-profile", "P", "-channelID", CHANNEL, "-outputBlock", "genesis.block")
        admin_ports = [free_port() for _ in range(count)]
        for n, port in enumerate(admin_ports):
            net.start_orderer(n, port)
        for org in ORGS:
            net.start_peer(org)
        for port in admin_ports:
            net.run(str(_program("osnadmin")), "channel", "join", "--channelID", CHANNEL, "--config-block",
                    "genesis.block", "-o", f"127.0.0.1:{port}", retry=True)  # fmt: skip
        port = free_port()
        package = _package(home, port)
        for org in ORGS:
            peer, env = str(_program("peer")), net.admin(org)
            net.run(peer, "channel", "join", "-b", "genesis.block", env=env, retry=True)
            net.run(peer, "lifecycle", "chaincode", "install", "package.tar.gz", env=env, retry=True)
        net.deploy(package, port)
        for org in ORGS:
            asyncio.run(net.ready(org))
        yield net


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _package(home: Path, port: int) -> str:
    connection = {"address": f"127.0.0.1:{port}", "dial_timeout": "10s", "tls_required": False}
    code = _tar({"connection.json": json.dumps(connection).encode()})
    package = _tar({"metadata.json": b'{"type":"ccaas","label":"small_1"}', "code.tar.gz": code})
    (home / "package.tar.gz").write_bytes(package)
    return f"small_1:{sha256(package).hexdigest()}"


def _rule(kind: str, rule: str) -> dict[str, str]:
    return {"Type": kind, "Rule": rule}


def _org(net: SmallNetwork, name: str, msp: Path, endpoints: dict[str, Any], member: str) -> dict[str, Any]:
    rules = {"Readers": "member", "Writers": "member", "Admins": "admin", "Endorsement": member}
    policies = {key: _rule("Signature", f"OR('{name}MSP.{role}')") for key, role in rules.items()}
    return {"Name": f"{name}MSP", "ID": f"{name}MSP", "MSPDir": str(msp), "Policies": policies, **endpoints}


def _metas(**more: str) -> dict[str, dict[str, str]]:
    rules = {"Readers": "ANY Readers", "Writers": "ANY Writers", "Admins": "MAJORITY Admins", **more}
    return {name: _rule("ImplicitMeta", rule) for name, rule in rules.items()}


def _configtx(net: SmallNetwork) -> dict[str, Any]:
    ends = [f"127.0.0.1:{port}" for port in net.orderers]
    orderer_msp = net.home / "crypto/ordererOrganizations/orderer.test/msp"
    orgs = [
        _org(net, org, net.org_home(org) / "msp", {"AnchorPeers": [{"Host": "127.0.0.1", "Port": port}]}, "peer")
        for org, port in net.peers.items()
    ]
    consenters: list[dict[str, Any]] = []
    for n, port in enumerate(net.orderers):
        home = net._orderer_home(n)
        tls = str(home / "tls/server.crt")
        consenters.append({
            "ID": n + 1, "Host": "127.0.0.1", "Port": port, "MSPID": "OrdererMSP", "ClientTLSCert": tls,
            "ServerTLSCert": tls, "Identity": str(home / f"msp/signcerts/o{n}.orderer.test-cert.pem"),
        })  # fmt: skip
    raft = {"TickInterval": "100ms", "ElectionTick": 10, "HeartbeatTick": 1, "MaxInflightBlocks": 5,
            "SnapshotIntervalSize": "16 MB"}  # fmt: skip
    smart = {
        "RequestBatchMaxInterval": "100ms", "RequestForwardTimeout": "5s", "RequestComplainTimeout": "20s",
        "RequestAutoRemoveTimeout": "3m0s", "ViewChangeResendInterval": "5s", "ViewChangeTimeout": "20s",
        "LeaderHeartbeatTimeout": "1m0s", "CollectTimeout": "1s", "IncomingMessageBufferSize": 200,
        "RequestPoolSize": 1000, "LeaderHeartbeatCount": 10,
    }  # fmt: skip
    orderer = {
        "OrdererType": net.consensus, "BatchTimeout": "100ms", "SmartBFT": smart, "ConsenterMapping": consenters,
        "EtcdRaft": {"Consenters": [{key: one[key] for key in RAFT_KEYS} for one in consenters], "Options": raft},
        "BatchSize": {"MaxMessageCount": 10, "AbsoluteMaxBytes": "10 MB", "PreferredMaxBytes": "2 MB"},
        "Organizations": [_org(net, "Orderer", orderer_msp, {"OrdererEndpoints": ends}, "member")],
        "Policies": _metas(BlockValidation="ANY Writers"), "Capabilities": {"V2_0": True},
    }  # fmt: skip
    majority = {"Endorsement": "MAJORITY Endorsement", "LifecycleEndorsement": "MAJORITY Endorsement"}
    application = {"Organizations": orgs, "Policies": _metas(**majority), "Capabilities": {"V2_5": True}}
    profile = {"Policies": _metas(), "Capabilities": {"V3_0": True}, "Orderer": orderer, "Application": application}
    return {"Profiles": {"P": profile}}


def _write_config(net: SmallNetwork) -> None:
    """YAML reads JSON, so every file of configuration is JSON."""
    orderers = [{"Hostname": f"o{n}", "SANS": ["127.0.0.1"]} for n in range(len(net.orderers))]
    crypto = {
        "OrdererOrgs": [{"Name": "Orderer", "Domain": "orderer.test", "EnableNodeOUs": True, "Specs": orderers}],
        "PeerOrgs": [
            {"Name": org, "Domain": f"{org.lower()}.test", "EnableNodeOUs": True, "Users": {"Count": 1},
             "Template": {"Count": 1, "SANS": ["127.0.0.1"]}}
            for org in ORGS
        ],
    }  # fmt: skip
    (net.home / "crypto.yaml").write_text(json.dumps(crypto))
    (net.home / "configtx.yaml").write_text(json.dumps(_configtx(net)))
    sample, builder = _beside("sampleconfig", "config"), _beside("builders/ccaas")
    assert sample
    core = (sample / "core.yaml").read_text()
    core = core.replace("endpoint: unix:///var/run/docker.sock", "endpoint:")
    (net.home / "core.yaml").write_text(core.replace("/opt/hyperledger/ccaas_builder", str(builder)))
    shutil.copy(sample / "orderer.yaml", net.home)
