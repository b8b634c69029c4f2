"""Receipts verified a second on one core, offline, by one verifier: what they share is verified once.

- sharing: one source, one checkpoint, a seal over many events. Each pays for its own record, event, field and paths.
- one source: own checkpoint, seal, anchor and ledger checkpoint each; only the enrolment's transaction is the same.
  Six signatures each.
- sharing nothing: also a source, key and enrolment of its own. Seven signatures each.

All are of one log and one ledger, since a policy names these and one verifier has one policy. No receipt is verified
twice, so nothing is remembered but what receipts truly share. The time is the process's own, and begins with parsed
receipts, after one to warm up; parsing a file is told beside it. `signatures_us` is what the signatures of one take
alone, measured in the same run: no verifier can do more than one over it a second.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from bench.device import Device
from bench.load import run
from bench.program import Gateway, running
from bench.rounds import Settings
from chain.ledger.reading import open_reader
from chain.policies import site_policy
from chain.policy import Policy
from chain.receipt import Receipt, parse_receipt
from chain.receipts import ReceiptBuilder
from chain.record import SEAL_KIND, Record
from chain.site import Folder, SiteReader
from chain.verify import Outcome, Verifier
from crypto.keys import Algorithm, PrivateKey

SHARED, ALONE = 2048, 100
SIGNATURES = {"one source": (4, 2), "sharing nothing": (5, 2)}  # of each receipt: Ed25519, ML-DSA-44
REPEATS = 9
OFTEN = "[log]\ncheckpoint_interval_s = 0.05\nanchor_interval_s = 0.05\n"
ANCHOR_S = 30.0


def receipts(settings: Settings) -> dict[str, Any]:
    """Receipts a second of both kinds, and bytes of a receipt."""
    shared, alone = settings.scaled(SHARED, 64), settings.scaled(ALONE, 5)
    with running(lambda: Gateway(settings.folder / "receipts-site", OFTEN)) as gateway:
        settings.say(f"receipts: {alone} that share nothing")
        devices = gateway.enrol(alone + 1)
        own = [_one(settings, gateway, device) for device in devices[1:]]
        settings.say(f"receipts: {alone} of one source")
        same = [_one(settings, gateway, devices[0]) for _ in range(alone)]
        settings.say(f"receipts: {shared} that share")
        _send(settings, gateway, devices[0], shared)
        folder = Folder.existing(gateway.data)
        began = time.perf_counter()
        together, policy = _built(folder, _events(folder)[-shared:]), site_policy(folder)
        build_ms = 1000 * (time.perf_counter() - began) / shared
    single = {algorithm: _verify_us(algorithm) for algorithm in (Algorithm.ED25519, Algorithm.ML_DSA_44)}
    found: dict[str, Any] = {"sharing": {"receipts": shared, "a_second": round(_rate(together, policy))}}
    for name, kind in (("one source", same), ("sharing nothing", own)):
        classic, lattice = SIGNATURES[name]
        least = classic * single[Algorithm.ED25519] + lattice * single[Algorithm.ML_DSA_44]
        found[name] = {"receipts": alone, "a_second": round(_rate(kind, policy)), "signatures_us": round(least)}
    file = together[0].to_json()
    return found | {
        "bytes": len(file), "parse_us": round(_typical_us(lambda: parse_receipt(file)), 1),
        "build_ms": round(build_ms, 2),
    }  # fmt: skip


def _one(settings: Settings, gateway: Gateway, device: Device) -> Receipt:
    """The receipt of a device's only event, under the checkpoint that came right after it."""
    _send(settings, gateway, device, 1)
    folder = Folder.existing(gateway.data)
    return _built(folder, _events(folder)[-1:])[0]


def _send(settings: Settings, gateway: Gateway, device: Device, events: int) -> None:
    """Events into the log, and wait for their anchor."""
    run(settings.folder, gateway.port, [device.lane(list(device.messages(events, 64)))], 64)
    deadline = time.monotonic() + ANCHOR_S
    while gateway.anchored_size() < gateway.log_size():
        if time.monotonic() > deadline:
            raise RuntimeError(f"no anchor within {ANCHOR_S:g} s")
        time.sleep(0.005)


def _events(folder: Folder) -> list[int]:
    """Indexes of the leaves that are events, not seals."""
    with closing(SiteReader.open(folder)) as reader:
        leaves = enumerate(reader.entries.entries(0, reader.entries.size()))
        return [index for index, leaf in leaves if Record.decode(leaf).kind != SEAL_KIND]


def _built(folder: Folder, indexes: Sequence[int]) -> list[Receipt]:
    with closing(SiteReader.open(folder)) as reader, closing(open_reader(folder)) as ledger:
        builder = ReceiptBuilder(reader, ledger)
        return [builder.build(index) for index in indexes]


def _rate(found: Sequence[Receipt], policy: Policy) -> float:
    Verifier(policy).verify(found[0])  # libraries find their algorithms; another verifier remembers nothing of it
    verifier = Verifier(policy)
    began = time.process_time()
    outcomes = [verifier.verify(receipt).outcome for receipt in found]
    seconds = time.process_time() - began
    if set(outcomes) != {Outcome.VALID}:
        raise RuntimeError(f"receipts do not verify: {set(outcomes)}")
    return len(found) / seconds


def _verify_us(algorithm: Algorithm) -> float:
    """What one verification with a key that was used before takes."""
    key, message = PrivateKey.generate(algorithm), bytes(200)
    signature = key.sign_raw(message)
    return _typical_us(lambda: key.public.verify_raw(signature, message))


def _typical_us(call: Callable[[], object]) -> float:
    call()
    took = []
    for _ in range(REPEATS):
        began = time.process_time()
        for _ in range(20):
            call()
        took.append(1e6 * (time.process_time() - began) / 20)
    return statistics.median(took)
