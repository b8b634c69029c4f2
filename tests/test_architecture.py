"""The house: imports go one way, cryptography has one room, and the offline verifier stays light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[1]
# Each room with those it may import, beside itself.
BELOW = {
    "crypto": set(),
    "chaincode": {"crypto"},
    "chain": {"crypto", "chaincode"},
    "gateway": {"crypto", "chaincode", "chain"},
    "network": {"crypto"},
    "bench": {"crypto", "chaincode", "chain", "gateway", "network"},
}
BENCH_ON_FABRIC = {
    "bench/channel.py",
    "bench/gateways.py",
    "bench/excursions.py",
}  # run from the source tree, with the tests' own actors
EDGE_ONLY = {"pydantic", "fastapi", "starlette", "uvicorn"}
OFFLINE = (
    "chain.verify",
    "chain.checks",
    "chain.receipt",
    "chain.policy",
    "chain.ledger.evidence",
    "chain.cli",
    "chain.conditions.opened",
    "chain.conditions.recompute",
    "chain.conditions.printed",
)
HEAVY = ("grpc", "fastapi", "pydantic", "starlette", "uvicorn", "httpx", "paho", "jinja2", "PIL", "zxingcpp",
         "sqlite3", "asyncio", "socket")  # fmt: skip


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for path in [HOME / "sealtrail.py", *(file for room in BELOW for file in sorted((HOME / room).rglob("*.py")))]:
        yield path.relative_to(HOME).as_posix(), ast.parse(path.read_text(), path)


def _imports(tree: ast.Module) -> Iterator[str]:
    """The first part of every name that a module imports, wherever in it; imports must be absolute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import of {node.module}; imports are absolute"
            yield (node.module or "").partition(".")[0]


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Of every module. Not made while tests are collected, which each worker does."""
    return {name: set(_imports(tree)) for name, tree in _modules()}


def _room(name: str) -> str:
    return name.partition("/")[0]


def test_every_room_is_read(imports: dict[str, set[str]]) -> None:
    assert {_room(name) for name in imports} == {*BELOW, "sealtrail.py"}
    assert len(imports) > 100


def test_imports_go_one_way(imports: dict[str, set[str]]) -> None:
    rooms = set(BELOW) - {"network", "bench"}
    wrong = {
        name: found - BELOW[_room(name)] - {_room(name)}
        for name, imported in imports.items()
        if _room(name) in BELOW and (found := imported & rooms)
    }
    assert {name: found for name, found in wrong.items() if found} == {}


def test_the_network_is_met_through_a_file_only(imports: dict[str, set[str]]) -> None:
    allowed = {name for name in imports if _room(name) in ("network", "bench")}
    assert {name for name, imported in imports.items() if "network" in imported} <= allowed


def test_nobody_imports_the_benchmark(imports: dict[str, set[str]]) -> None:
    users = {name for name, imported in imports.items() if "bench" in imported and _room(name) != "bench"}
    assert not users


def test_nobody_imports_the_tests(imports: dict[str, set[str]]) -> None:
    assert {name for name, imported in imports.items() if "tests" in imported} == BENCH_ON_FABRIC


def test_only_crypto_imports_cryptography(imports: dict[str, set[str]]) -> None:
    """And the benchmark's peers, which are programs of their own."""
    libraries = {"cryptography", "nacl", "pqcrypto", "kyber_py", "dilithium_py", "OpenSSL"}
    users = {name for name, imported in imports.items() if imported & libraries}
    assert {_room(name) for name in users if not name.startswith("bench/peers/")} == {"crypto"}


def test_web_frameworks_stay_at_the_edge(imports: dict[str, set[str]]) -> None:
    users = {name for name, imported in imports.items() if imported & EDGE_ONLY}
    assert {_room(name) for name in users} == {"gateway"}


@pytest.mark.parametrize("module", OFFLINE)
def test_verifying_loads_nothing_heavy(module: str) -> None:
    """In a fresh interpreter, so that nothing is loaded already. `chain.cli` may load what typer needs."""
    heavy = [name for name in HEAVY if module != "chain.cli" or name not in ("asyncio", "socket")]
    program = f"import {module}, sys; print(*sorted(set(sys.modules) & set({heavy!r})))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_routes_are_at_the_edge(imports: dict[str, set[str]]) -> None:
    """Only the edge knows of requests: what it serves knows nothing of the edge."""
    edge = ("gateway/api/", "gateway/web/", "gateway/server.py", "gateway/sockets.py")
    users = {name for name, imported in imports.items() if imported & {"fastapi", "starlette", "uvicorn"}}
    assert {name for name in users if not name.startswith(edge)} == set()


def test_a_start_loads_no_client_and_no_websockets() -> None:
    """Most gateways ask nobody and are never asked for a WebSocket; both libraries are loaded when that is so."""
    program = "import gateway.server, gateway.api.app, sys; print(*sorted({'httpx', 'websockets'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=HOME, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
