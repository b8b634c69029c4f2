"""How long each torture lasts: short in every test run, long by `make torture` (SEALTRAIL_TORTURE=long)."""

import os

LONG = os.environ.get("SEALTRAIL_TORTURE") == "long"


def scaled(short: int, long: int) -> int:
    """How many rounds, cases or seconds this run does."""
    return long if LONG else short
