"""The contract with one function more, which no product has: `bench.put` writes one event a transaction.

What most projects do: the measure for a log whose checkpoints alone go to the ledger. Run by the network of the
benchmark in the place of `sealtrail chaincode serve`, by the same server.
"""

import argparse
import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

from chaincode import contract
from chaincode.server.server import ChaincodeServer, TlsFiles
from chaincode.transaction import Transaction

PUT = "bench.put"
GRACE_S = 5.0


async def invoke(tx: Transaction, name: str, args: Sequence[bytes]) -> bytes:
    """`bench.put(key, value)`, or a function of the contract."""
    if name != PUT:
        return await contract.invoke(tx, name, args)
    await tx.put(f"bench/{args[0].decode()}", args[1])
    return b""


async def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    for name in ("--address", "--package-id", "--tls-cert", "--tls-key", "--tls-client-ca"):
        parser.add_argument(name, required=True)
    wanted, told = parser.parse_args(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    server = ChaincodeServer(wanted.package_id, invoke=invoke)
    tls = TlsFiles(Path(wanted.tls_cert), Path(wanted.tls_key), Path(wanted.tls_client_ca))
    await server.start(wanted.address, tls)
    await told.wait()
    await server.stop(GRACE_S)


if __name__ == "__main__":
    asyncio.run(main())
