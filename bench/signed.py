"""A signature on every message, beside the same number of verifications with nothing around them."""

import os
from typing import Any

from bench.front import DEEP, send
from bench.peers import verification
from bench.program import Gateway, running
from bench.rounds import Settings, alternate

EVENTS = 30_000


def signed(settings: Settings) -> dict[str, Any]:
    """Events a second through the front door, each with a seal of its own, and Ed25519 alone on all cores, by
    OpenSSL and by the verifier that the gateway uses where its native core was built."""
    count, cores = settings.scaled(EVENTS), len(os.sched_getaffinity(0))
    with running(lambda: Gateway(settings.folder / "signed")) as gateway:
        devices = gateway.enrol(1)
        settings.say("a signature on every message, and verification alone")
        found = alternate(
            settings.rounds,
            lambda: send(settings, gateway, devices, count, 1, DEEP.window, sealed=1).rate,
            lambda: verification.rate(cores, count),
        )
    return found | {
        "cores": cores, "one core": round(verification.rate(1, count)),
        "fast": round(verification.rate(cores, count, fast=True)),
    }  # fmt: skip
