"""The gateway's clock jumps an hour back and a year ahead: nothing is lost and nothing stops, records say where the
clocks of source and gateway disagree, and what expires does so by a clock that is right."""

import base64
import random
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from chain.policies import site_policy
from chain.record import SEAL_KIND, RecordFlag
from chain.site import Folder
from chain.verify import verify_receipt
from chaincode.identities import enrolment
from crypto import labels
from crypto.keys import Algorithm, PrivateKey
from crypto.note import NoteSigner, SignatureType
from tests.e2e.programs import Up, write_config
from tests.simulator.witness import SimulatedWitness, serving
from tests.support.site import receipts
from tests.support.source import Source
from tests.torture.load import Load, Logger, invited, require_anchored, require_exactly_once, status
from tests.torture.scale import long_only, scaled
from tests.torture.world import Health, Shim, require_each_told_once

ORIGIN = "plant.example/line-1"
HOUR, YEAR = 3600, 365 * 86_400
JUMPS = scaled(1, 15)


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    """A gateway with a witness that has a clock of its own, which is right."""
    log_keys = [signer.vkey for signer in Folder.create(tmp_path / "data", ORIGIN).log_signers(create=True)]
    signer = NoteSigner("w1", SignatureType.ML_DSA_44_COSIGNATURE, PrivateKey.generate(Algorithm.ML_DSA_44))
    witness = SimulatedWitness(tmp_path, [signer], log_keys)
    with closing(witness), serving(witness) as url:
        (tmp_path / "witnesses.policy").write_text(f"witness w1 {signer.vkey} {url}\nquorum w1\n")
        made = write_config(tmp_path)
        made.write_text(made.read_text() + f'witness_policy = "{tmp_path / "witnesses.policy"}"\n')
        yield made


def test_the_clock_jumps_back_and_ahead_while_sources_send(tmp_path: Path, config: Path) -> None:
    shim, seen = Shim(tmp_path), list[tuple[int, int, int]]()
    gateway = Up(config, shim.before)
    try:
        with (
            Health(gateway) as health,
            Load(gateway, "alpha") as load,
            Logger(gateway, tmp_path / "logger") as logger,
        ):
            for _ in range(JUMPS):
                back = HOUR if JUMPS == 1 else random.randrange(120, 3 * HOUR)
                for off in (-back, 0, YEAR, 0):
                    shim.set(clock_s=off)
                    seen.append((off, *_phase(gateway, load)))
            load.finish()
            logger.finish()
            assert load.connections == 1  # no connection ended by the clock
            records = require_exactly_once(gateway.data, load, logger)
        health.require_always_well()
        for off, first, end in seen:
            flags = {
                r.flags & (RecordFlag.SUSPECT | RecordFlag.LATE) for r in records[first:end] if r.kind != SEAL_KIND
            }
            assert flags == {RecordFlag.SUSPECT if off < 0 else RecordFlag.LATE if off else RecordFlag.NONE}
            if off:
                _require_proved(gateway, next(n for n in range(first, end) if records[n].source == "logger"))
    finally:
        code = gateway.end()
    assert code == 0
    require_each_told_once(gateway, 1)


def _phase(gateway: Up, load: Load) -> tuple[int, int]:
    """Events of both sources are logged and anchored under the present clock; returns the stretch of the log that
    surely came under it."""
    for _ in range(3):  # what was under way is stored
        load.progress()
    first = status(gateway)["log_size"]
    time.sleep(0.5 if JUMPS == 1 else random.uniform(0.5, 5.0))
    load.progress()
    end = status(gateway)["log_size"]
    require_anchored(gateway)
    return first, end


def _require_proved(gateway: Up, record: int) -> None:
    folder = Folder.existing(gateway.data)
    with receipts(folder) as builder:
        report = verify_receipt(builder.build(record), site_policy(folder))
    assert report.outcome == "valid", report.steps


@long_only
def test_a_start_under_a_wrong_clock(tmp_path: Path, config: Path) -> None:
    """What is stored, signed and witnessed was made at other times than the clock shows; that stops no start."""
    shim = Shim(tmp_path)
    shim.set(clock_s=YEAR)
    gateway = Up(config, shim.before)
    load = Load(gateway, "alpha")
    try:
        with load:
            require_anchored(gateway)
        for off in (-HOUR, *(0, YEAR, -HOUR) * (JUMPS - 1)):
            assert gateway.end() == 0
            shim.set(clock_s=off)
            gateway = Up(config, shim.before)
            load.port = int(gateway.where["mqtt_port"])
            with Health(gateway) as health, load:
                require_anchored(gateway)
            health.require_always_well()
        with load:
            load.finish()
    finally:
        code = gateway.end()
    assert code == 0
    require_exactly_once(gateway.data, load)
    require_each_told_once(gateway, 1)


def test_codes_and_tokens_under_a_wrong_clock(tmp_path: Path) -> None:
    """A code of today counts an hour before it was made, not in a year, and again when the clock is right; one that was
    made in a year does not count now. Tokens do not expire."""
    shim = Shim(tmp_path)
    gateway = Up(write_config(tmp_path), shim.before)
    try:
        codes = {name: invited(gateway, name) for name in ("early", "today")}
        shim.set(clock_s=-HOUR)
        assert _enrol(gateway, "early", codes["early"]) == 200
        shim.set(clock_s=YEAR)
        assert _enrol(gateway, "today", codes["today"]) == 403
        future = invited(gateway, "future")
        assert _enrol(gateway, "sooner", invited(gateway, "sooner")) == 200
        shim.set()
        assert _enrol(gateway, "future", future) == 403
        assert _enrol(gateway, "today", codes["today"]) == 200
        assert status(gateway)["ready"]
    finally:
        code = gateway.end()
    assert code == 0


def _enrol(gateway: Up, name: str, code: str) -> int:
    source = Source(name)
    proof = source.key.sign(enrolment(name, ORIGIN, source.key.public), labels.ENROL)
    body = {
        "code": code, "algorithm": "ed25519", "public_key": base64.b64encode(source.key.public.raw).decode(),
        "proof": base64.b64encode(proof).decode(),
    }  # fmt: skip
    return httpx.post(f"{gateway.url}/v1/enrol", json=body).status_code
