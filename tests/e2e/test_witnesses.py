"""A gateway that demands witnesses: nothing is published or anchored without them, receipts carry them."""

import json
import shutil
from contextlib import ExitStack
from pathlib import Path

from chain.site import Folder
from crypto.keys import Algorithm, PrivateKey
from crypto.note import NoteSigner, SignatureType
from tests.e2e.programs import run, until, up, write_config
from tests.simulator.witness import SimulatedWitness, serving

ORIGIN = "plant.example/line-1"


def test_receipts_carry_the_quorum_and_without_it_nothing_is_anchored(tmp_path: Path) -> None:
    log_keys = [signer.vkey for signer in _made(tmp_path / "data").log_signers(create=True)]
    witnesses = [_witness(tmp_path / name, name, log_keys) for name in ("w1", "w2")]
    with ExitStack() as stack:
        urls = [stack.enter_context(serving(witness)) for witness in witnesses]
        lines = [f"witness {w.signers[0].name} {w.signers[0].vkey} {u}" for w, u in zip(witnesses, urls, strict=True)]
        (tmp_path / "witnesses.policy").write_text("\n".join([*lines, "group both all w1 w2", "quorum both", ""]))
        config = write_config(tmp_path)
        config.write_text(config.read_text() + f'witness_policy = "{tmp_path / "witnesses.policy"}"\n')
        with up(config) as gateway:
            password = json.loads(run("source", "plain", "t1", "--data", gateway.data, "--json").stdout)["password"]
            _publish(gateway.where["mqtt_port"], password)
            until(lambda: _newest(gateway.data, 1)[0]["anchored"])
            receipt, policy = tmp_path / "receipt.json", tmp_path / "policy.txt"
            run("receipt", "0", "-o", receipt, "--data", gateway.data)
            run("policy", "export", "-o", policy, "--data", gateway.data)
            report = json.loads(run("verify", receipt, "--policy", policy, "--json", check=5).stdout)  # a plain source
            assert report["steps"][1]["state"] == "holds"
            assert "2 cosignatures" in report["steps"][1]["text"]
            # One of the two stops answering: the log goes on, its publication waits.
            witnesses[0].misbehave = lambda answer: (503, "text/plain", b"out of order\n")
            _publish(gateway.where["mqtt_port"], password)
            until(lambda: len(_newest(gateway.data, 5)) == 2)
            assert not _newest(gateway.data, 1)[0]["anchored"]
            witnesses[0].misbehave = lambda answer: answer
            until(lambda: _newest(gateway.data, 1)[0]["anchored"])


def _made(root: Path) -> Folder:
    shutil.rmtree(root, ignore_errors=True)
    return Folder.create(root, ORIGIN)


def _witness(folder: Path, name: str, log_keys: list[object]) -> SimulatedWitness:
    folder.mkdir()
    key = PrivateKey.generate(Algorithm.ML_DSA_44)
    return SimulatedWitness(folder, [NoteSigner(name, SignatureType.ML_DSA_44_COSIGNATURE, key)], log_keys)


def _newest(data: Path, limit: int) -> list[dict[str, object]]:
    listed = run("records", "--data", data, "--limit", str(limit), "--json").stdout
    found: list[dict[str, object]] = json.loads(listed)["records"]
    return found


def _publish(port: int, password: str) -> None:
    import paho.mqtt.publish as publish

    topic, payload = "st/1/t1/plain/reading", b'[{"n":"t","u":"Cel","v":3}]'
    publish.single(
        topic, payload, qos=1, hostname="127.0.0.1", port=port, auth={"username": "t1", "password": password}
    )
