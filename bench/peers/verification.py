"""Ed25519 verification alone, in a process a core: what no gateway that checks every signature with it can beat.

`rate` starts the processes, which share nothing and begin together. By OpenSSL, one signature a call, or by the
gateway's own fast verifier (crypto.bulk), many a call.
"""

import multiprocessing
import time
from multiprocessing.synchronize import Barrier

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from crypto import bulk
from crypto.keys import Algorithm, PrivateKey

MESSAGE = bytes(range(180))  # about as long as a seal
SIGNATURES = 64
START_S = 60.0


def rate(processes: int, count: int, *, fast: bool = False) -> float:
    """Signatures a second of so many processes, `count` each."""
    context = multiprocessing.get_context("spawn")
    ready, times = context.Barrier(processes), context.Queue()
    workers = [
        context.Process(target=_verify_fast if fast else _verify, args=(ready, times, count)) for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    found: list[tuple[float, float]] = [times.get(timeout=START_S) for _ in workers]
    for worker in workers:
        worker.join()
    return processes * count / (max(end for _, end in found) - min(start for start, _ in found))


def _verify(ready: Barrier, times: "multiprocessing.Queue[tuple[float, float]]", count: int) -> None:
    key = Ed25519PrivateKey.generate()
    signed = [(key.sign(MESSAGE + bytes((n,))), MESSAGE + bytes((n,))) for n in range(SIGNATURES)]
    verify = key.public_key().verify
    ready.wait(START_S)
    began = time.monotonic()
    for n in range(count):
        verify(*signed[n % SIGNATURES])
    times.put((began, time.monotonic()))


def _verify_fast(ready: Barrier, times: "multiprocessing.Queue[tuple[float, float]]", count: int) -> None:
    key, context = PrivateKey.generate(Algorithm.ED25519), b"bench"
    messages = [MESSAGE + bytes((n,)) for n in range(SIGNATURES)]
    signed = [(key.public, message, key.sign(message, context)) for message in messages]
    ready.wait(START_S)
    began = time.monotonic()
    for _ in range(0, count, SIGNATURES):
        if not all(bulk.which_hold(signed, context)):
            raise RuntimeError("a good signature does not hold")
    times.put((began, time.monotonic()))
