"""The chaincode server of a test's network: `sealtrail chaincode serve`, but over a test's own `invoke`."""

import argparse
import asyncio
import importlib
import signal
import sys
from pathlib import Path

from chaincode.server.json_lines import log_to_stderr
from chaincode.server.server import ChaincodeServer, TlsFiles

HOME = Path(__file__).resolve().parents[2]
PROGRAM = f"import sys; sys.path.insert(0, {str(HOME)!r}); from {__name__} import main; main()"


def serving(module: str) -> list[str]:
    """A topology's `chaincode.command` that serves the function `invoke` of a module of the tests."""
    return [sys.executable, "-c", PROGRAM, module]


async def _serve(given: argparse.Namespace) -> None:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    server = ChaincodeServer(given.package_id, invoke=importlib.import_module(given.module).invoke)
    await server.start(given.address, TlsFiles(given.tls_cert, given.tls_key, given.tls_client_ca))
    await told.wait()
    await server.stop(1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    for name in ("--address", "--package-id"):
        parser.add_argument(name, required=True)
    for name in ("--tls-cert", "--tls-key", "--tls-client-ca"):
        parser.add_argument(name, type=Path, required=True)
    log_to_stderr("INFO")
    asyncio.run(_serve(parser.parse_args()))
