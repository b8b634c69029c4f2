"""The contract gives equal answers on every peer: nothing in it can differ from one process to the next."""

import ast
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import chaincode
from crypto.keys import Algorithm, PrivateKey
from tests.contract_suite.actors import Actor, MemoryLog, log_signers
from tests.contract_suite.companies import Lot, Unit, case, position

ROOM = Path(chaincode.__file__).parent
FILES = sorted(path for path in ROOM.rglob("*.py") if path.relative_to(ROOM).parts[0] != "server")
ALLOWED = {"abc", "collections", "dataclasses", "enum", "hashlib", "itertools", "re", "typing", "chaincode", "crypto"}
FORBIDDEN = {"set", "float", "hash", "id", "open", "print", "input", "vars", "globals", "eval", "exec"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOM)))
def test_no_clock_randomness_floats_sets_or_files(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= ALLOWED
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] in ALLOWED
        assert not isinstance(node, ast.Set | ast.SetComp | ast.Global | ast.Nonlocal | ast.Div)
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN:
            pytest.fail(f"{node.func.id} is called in line {node.lineno}")


SCRIPT = """
import pickle, sys
from hashlib import sha256
from chaincode.errors import ContractError
from tests.chaincode.memory import MemoryLedger
from crypto.keys import Algorithm, PublicKey
ledger, seen = MemoryLedger(), []
for algorithm, raw, function, args in pickle.load(sys.stdin.buffer):
    try:
        seen.append(ledger.call(PublicKey(Algorithm(algorithm), raw), function, *args))
    except ContractError as e:
        seen.append(str(e).encode())
print(sha256(repr((seen, list(ledger.state.items()))).encode()).hexdigest())
"""


def _lots(log: MemoryLog) -> list[tuple[str, list[bytes]]]:
    """Calls that gather what is in several units of several lots."""
    proved, lots = log.evidence(3, 7), sorted((Lot(4) for _ in range(5)), key=lambda lot: lot.lot_id)
    units = [Unit([], [lot.of(2).encode() for lot in lots]), *(case(lot, 0, 1) for lot in lots)]
    pallet = units[0].pallet(*units[1:])
    pack = lots[0].packs[3]
    end = [lots[0].lot_id, pack, position(lots[0].packs, pack), b"", b""]
    return [
        *(("lots.commission", lot.commission(proved)) for lot in lots),
        *(("lots.pack", unit.pack(proved)) for unit in (*units, pallet)),
        ("lots.report", [b"damaged", pallet.unit_id + pack, b"", proved, b"", b"0"]),
        ("lots.unpack", [pallet.unit_id, proved]),
        ("lots.dispense", [*end, proved]),
        ("lots.dispense", [*end, log.evidence(4, 7)]),
        ("lots.recall", [lots[1].lot_id, b"1", b"9", b"glass", proved]),
        ("lots.exceptions", [b"plant"]),
    ]


def test_processes_with_different_hash_seeds_agree() -> None:
    """The same calls, good and bad ones, in two processes whose sets and dicts of text order differently."""
    origin = "plant.example/gw1"
    gateway, thing, log = Actor("gateway", origin), Actor("thing", origin), MemoryLog(origin, log_signers(origin))
    offline = PrivateKey.generate(Algorithm.ML_DSA_65)
    calls = [
        ("identities.bootstrap", gateway.bootstrap()),
        ("logs.register", [origin.encode(), *log.vkeys()]),
        ("logs.anchor", log.anchor(0, 7)),
        *_lots(log),
        ("logs.anchor", log.fork().anchor(7, 7)),
        ("logs.anchor", [log.note(9, log.signers[:1])]),
        ("logs.rotate", log.rotation(7, log_signers(origin))),
        ("logs.rotate", log.rotation(7, log_signers(origin)[:1])),
        ("identities.enrol", thing.enrolment("source")),
        ("identities.enrol", thing.enrolment("nobody")),
        ("identities.recovery", thing.recovery(offline)),
        ("identities.recover", thing.recovered(offline, PrivateKey.generate(Algorithm.ML_DSA_65), 9, 4)),
        ("identities.recover", thing.recovered(gateway.key, PrivateKey.generate(Algorithm.ML_DSA_65), 9)),
        ("identities.list", [b"source"]),
        ("logs.forks", [origin.encode()]),
        ("no.function", []),
    ]
    public = gateway.key.public
    given = pickle.dumps([(str(public.algorithm), public.raw, function, args) for function, args in calls])
    digests = set()
    for seed in ("1", "2", "3"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOM.parent)}
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT], input=given, env=environment, capture_output=True, check=True, timeout=60
        )
        digests.add(run.stdout)
    assert len(digests) == 1
