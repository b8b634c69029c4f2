"""Every parser of untrusted bytes, fuzzed from good examples on: a value or an error of ours, never another one."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from chain.disclosure import FORMAT, Header, Line, encode_disclosure
from chain.erasure import Erasure
from chain.follow import KeyChangeFile
from chain.handover import encode_all, hand_over
from chain.log.bundle import pack
from chain.receipt import parse_receipt
from chaincode.exchange import To
from chaincode.exchange_records import DeliveryRecord, DeliveryStatement, GrantRecord, ObjectRecord, Revocation, Verdict
from chaincode.kem_records import KemKey, KemKeys
from crypto import cbor
from crypto.errors import SealtrailError
from crypto.kem import KemPrivateKey, KemSuite
from crypto.keys import Algorithm, PrivateKey
from crypto.session import messages as session_messages
from crypto.session.frames import Direction, FrameSealer, FrameType
from crypto.session.handshake import DeviceHandshake, GatewayHandshake
from crypto.session.messages import Hello, Terms
from crypto.session.static import StaticKey
from crypto.session.suites import Suite
from tests.contract_suite.actors import MemoryLog, log_signers
from tests.gateway.ingest.mqtt_support import connect, publish, subscribe, unsubscribe
from tests.support.source import INFERENCE, PRODUCTION, Source, message, payload_bytes
from tests.torture.parsers import TARGETS
from tests.torture.scale import LONG, scaled

HOME = Path(__file__).parents[2]
GOLDEN = HOME / "tests" / "golden" / "v1"
CORPUS = Path(__file__).with_name("corpus.zip")
SEALED = HOME / "docs" / "formats" / "vectors" / "sealed.json"
KEYS = HOME / "docs" / "formats" / "vectors" / "keys.json"
RUNS = scaled(1_000, 150_000)  # of each, a million together
SLOW_RUNS = scaled(150, 20_000)  # a receipt has signatures
HANGS_S = 25
needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris is not there: it has no wheel for this Python or system",
)


def _packets() -> Iterator[bytes]:
    for v5 in (True, False):
        yield bytes((v5,)) + b"".join((
            connect("dev", v5=v5, password=b"secret"), subscribe("st/1/dev/receipts", v5=v5),
            publish("st/1/dev/events", b"payload", 7, v5=v5), unsubscribe("st/1/dev/receipts", v5=v5), b"\xc0\0\xe0\0",
        ))  # fmt: skip


def _messages() -> Iterator[bytes]:
    source = Source("dev")
    yield message(source.batch(3), source.seal())
    yield message([source.event({"gtin": "x"}, kind=PRODUCTION), source.event({"model": "x"}, kind=INFERENCE)])


def _payloads() -> Iterator[bytes]:
    yield b"\1" + payload_bytes(None)
    yield b'\1[{"bn":"urn:dev:ops:a:","bt":1795611664.03,"bu":"Cel","v":4},{"n":"out","u":"degF","v":-40.25,"t":-5}]'
    yield b'\2{"gtin":"09506000134352","lot":"AB-1","serial":"1","line":"7","expiry":"2028-01-31"}'
    yield b"\7" + next(_documents())
    yield b'\3{"model":{"name":"m","digest":"sha256:00"},"input":"sha256:00","decision":"pass","score":0.5}'


def _documents() -> Iterator[bytes]:
    event = {
        "type": "ObjectEvent", "eventTime": "2026-11-18T12:00:00.000+01:00", "eventTimeZoneOffset": "+01:00",
        "action": "ADD", "epcList": ["urn:epc:id:sgtin:4012345.011111.9876"], "bizStep": "cbv:BizStep-packing",
        "quantityList": [{"epcClass": "https://id.gs1.org/01/09506000134352/10/A", "quantity": 2.5, "uom": "KGM"}],
        "sensorElementList": [{"sensorReport": [{"type": "Temperature", "value": 26, "uom": "CEL"}]}],
        "ilmd": {"ex:a": [{"ex:b": "1"}, "07"]}, "ex:c": True,
    }  # fmt: skip
    context = {"@context": ["https://ref.gs1.org/standards/epcis/epcis-context.jsonld", {"ex": "urn:ex:"}]}
    head = {"type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": "2026-11-18T12:00:00Z"}
    yield json.dumps(context | event).encode()
    yield json.dumps(context | head | {"epcisBody": {"eventList": [event, event]}}).encode()
    body = {"queryResults": {"queryName": "q", "resultsBody": {"eventList": [event]}}}
    yield json.dumps(context | {"type": "EPCISQueryDocument", "epcisBody": body}).encode()
    yield b"https://id.gs1.org/01/09506000134352/10/AB-1/21/1%2F2?17=280131"
    yield b"urn:epc:id:sgtin:4012345.011111.9876"
    yield b"]d201095060001343521728013110AB-1\x1d211"
    yield b"(01)09506000134352(10)AB-1"


def _notes() -> Iterator[bytes]:
    yield parse_receipt((GOLDEN / "reading.json").read_bytes()).checkpoint.encode()


def _leaves() -> Iterator[bytes]:
    yield b"\1" + pack([parse_receipt((GOLDEN / "reading.json").read_bytes()).record])


def _disclosures() -> Iterator[bytes]:
    key = PrivateKey.generate(Algorithm.ED25519)
    for file in ("reading.json", "disclosed.json"):
        r = parse_receipt((GOLDEN / file).read_bytes())
        assert r.identity
        assert r.seal
        line = Line(r.index, r.record, r.inclusion, r.field_count, r.fields, r.event, 0, 0, r.seal.range_proof)
        header = Header(FORMAT, "a", "b", "c", 1, 1, r.checkpoint, r.identity, r.anchor, (r.identity,), (r.seal,))
        yield encode_disclosure(header, [line], key)


def _erasures() -> Iterator[bytes]:
    yield Erasure(bytes(32), 1, "who", "why", ((0, 1), (5, 300))).encode()


def _handshakes() -> Iterator[bytes]:
    static, key = KemPrivateKey(KemSuite.X_WING, bytes(32)), PrivateKey.generate(Algorithm.ED25519)
    hello = Hello("dev", key.public.kid, 1)
    device = DeviceHandshake(static.public, key, hello)
    gateway = GatewayHandshake(static, device.hello)
    welcome = gateway.welcome(Terms())
    proof = device.answer(welcome)
    yield from (device.hello, welcome, proof, gateway.finish(proof, key.public)[0], hello.encode())
    yield StaticKey("example", 1, static.public).announce(key)
    yield session_messages.encode(session_messages.REFUSAL, {3: bytes(16)})


def _frames() -> Iterator[bytes]:
    sealer = FrameSealer(Suite.AES_256_GCM_SIV, bytes(16), Direction.UP, bytes(32), 1, 600)
    for _ in range(3):
        yield sealer.seal(FrameType.MESSAGE, "st/1/dev/frames/up", b"x", 0.0)[1]


def _sealed() -> Iterator[bytes]:
    yield bytes.fromhex(json.loads(SEALED.read_text())["object"])


def _grants() -> Iterator[bytes]:
    yield bytes.fromhex(json.loads(SEALED.read_text())["grant"])


def _exchange() -> Iterator[bytes]:
    """One of each record, behind the byte that chooses it (fuzzer.exchange)."""
    said = DeliveryStatement(bytes(32), bytes(32), "clinic", Verdict.REFUSED, "damaged", 7)
    key = KemPrivateKey(KemSuite.X_WING, bytes(32)).public
    made = (
        To("clinic", bytes(32), bytes(32)), said, DeliveryRecord(said.encode(), bytes(32), b"signature", 7, "ab"),
        GrantRecord(bytes(32), "clinic", bytes(32), "plant", None, 7, "ab", Revocation(9, "cd", "ended")),
        ObjectRecord(bytes(32), bytes(32), 7, "plant.example/gw1", 3, 5, 7, "ab"),
        KemKeys("clinic", (KemKey(key, 5, 7), KemKey(key, 7, 9, "lost"))),
    )  # fmt: skip
    for number, record in enumerate(made):
        yield bytes((number,)) + record.encode()


def _keys() -> Iterator[bytes]:
    made = json.loads(KEYS.read_text())
    file = bytes.fromhex(made["key_file"]["file"])
    yield b"\0" + file
    yield b"\1" + made["public_file"].encode()
    yield b"\2" + cbor.encode([1, [["operator.key", file]]])
    yield b"\3" + bytes.fromhex(made["locked_folder"]["passphrase.lock"])


def _key_changes() -> Iterator[bytes]:
    old, new = (PrivateKey.generate(Algorithm.ED25519) for _ in range(2))
    yield b"\0" + encode_all((hand_over("example", old, new, 7), hand_over("example", new, old, 9)))
    log = MemoryLog("example", log_signers("example"))
    yield b"\1" + log.rotation(3, log_signers("example"))[0]
    part = parse_receipt((GOLDEN / "reading.json").read_bytes()).anchor
    assert part is not None
    yield b"\2" + KeyChangeFile.of(part).to_json()


def _seeds(name: str) -> list[bytes]:
    made = {
        "packets": _packets, "messages": _messages, "payloads": _payloads, "documents": _documents,
        "notes": _notes, "leaves": _leaves,
        "sealed": _sealed, "grants": _grants, "keys": _keys, "disclosures": _disclosures, "erasures": _erasures,
        "handshakes": _handshakes, "frames": _frames, "exchange": _exchange, "key_changes": _key_changes,
    }  # fmt: skip
    if name in made:
        return list(made[name]())
    files = {"receipts": "*.json", "policies": "policy.txt"}.get(name, "no file")
    return [file.read_bytes() for file in sorted(GOLDEN.glob(files))]


def _kept(name: str) -> list[bytes]:
    """What earlier runs found on new branches, and `-merge=1` thought worth keeping."""
    with ZipFile(CORPUS) as kept:
        return [kept.read(entry) for entry in kept.namelist() if entry.startswith(f"{name}/")]


def _fuzz(folder: Path, name: str, runs: int) -> subprocess.CompletedProcess[str]:
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate([*_seeds(name), *_kept(name)]):
        (corpus / str(number)).write_bytes(seed)
    command = [sys.executable, "-m", "tests.torture.fuzzer", name, str(corpus), f"-runs={runs}", f"-timeout={HANGS_S}"]
    command += [f"-artifact_prefix={folder}/", "-rss_limit_mb=1024", "-max_len=65536", f"-seed={os.getpid()}"]
    return subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", TARGETS)
def test_what_fuzzers_found_gives_a_value_or_an_error_of_ours(name: str) -> None:
    """Examples, and whatever once led to a new branch."""
    inputs = [*_seeds(name), *_kept(name)]
    assert inputs
    for data in inputs:
        with contextlib.suppress(SealtrailError):
            TARGETS[name](data)


@needs_atheris
@pytest.mark.parametrize("name", TARGETS if LONG else ("packets",))
def test_a_parser_gives_a_value_or_an_error_of_ours(name: str, tmp_path: Path) -> None:
    runs = SLOW_RUNS if name in ("receipts", "disclosures") else RUNS
    done = _fuzz(tmp_path, name, runs)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert f"Done {runs} runs" in done.stderr + done.stdout


@needs_atheris
def test_a_planted_fault_is_found(tmp_path: Path) -> None:
    done = _fuzz(tmp_path, "planted", 100_000)
    assert done.returncode != 0
    assert "KeyError" in done.stdout + done.stderr
