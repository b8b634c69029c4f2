"""Receipts verified a second on one core, offline: many of one checkpoint and few seals, and each of its own.

Those that share nothing have each its own source, key, seal, checkpoint and ledger transactions. Each receipt is
verified once, so that nothing remembered from an earlier pass helps.
"""

import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from bench.device import Device
from bench.load import run
from bench.program import Gateway, running
from bench.rounds import Settings
from chain.ledger.reading import open_reader
from chain.policies import site_policy
from chain.policy import Policy
from chain.receipt import Receipt
from chain.receipts import ReceiptBuilder
from chain.record import SEAL_KIND, Record
from chain.site import Folder, SiteReader
from chain.verify import Outcome, verify_receipt

SHARED, ALONE = 2048, 100
OFTEN = "[log]\ncheckpoint_interval_s = 0.05\nanchor_interval_s = 0.05\n"
ANCHOR_S = 30.0


def receipts(settings: Settings) -> dict[str, Any]:
    """Receipts a second of both kinds, and bytes of a receipt."""
    shared, alone = settings.scaled(SHARED, 64), settings.scaled(ALONE, 5)
    with running(lambda: Gateway(settings.folder / "receipts-site", OFTEN)) as gateway:
        settings.say(f"receipts: {alone} that share nothing")
        devices = gateway.enrol(alone + 1)
        own = [_one(settings, gateway, device) for device in devices[1:]]
        settings.say(f"receipts: {shared} that share")
        _send(settings, gateway, devices[0], shared)
        folder = Folder.existing(gateway.data)
        began = time.perf_counter()
        together, policy = _built(folder, _events(folder)[-shared:]), site_policy(folder)
        build_ms = 1000 * (time.perf_counter() - began) / shared
    return {
        "sharing": {"receipts": shared, "a_second": round(_rate(together, policy))},
        "sharing nothing": {"receipts": alone, "a_second": round(_rate(own, policy))},
        "bytes": len(together[0].to_json()),
        "build_ms": round(build_ms, 2),
    }


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
    began = time.perf_counter()
    outcomes = [verify_receipt(receipt, policy).outcome for receipt in found]
    seconds = time.perf_counter() - began
    if set(outcomes) != {Outcome.VALID}:
        raise RuntimeError(f"receipts do not verify: {set(outcomes)}")
    return len(found) / seconds
