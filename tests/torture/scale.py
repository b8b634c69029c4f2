"""How long each torture lasts: short in every test run, long by `make torture` (SEALTRAIL_TORTURE=long).

SEALTRAIL_TORTURE_PART=0.1 makes the long form a tenth as long.
"""

import os

import pytest

PART = float(os.environ.get("SEALTRAIL_TORTURE_PART", "1"))
LONG = os.environ.get("SEALTRAIL_TORTURE") == "long"


def scaled(short: int, long: int) -> int:
    """How many rounds, cases or seconds this run does."""
    return max(short, round(long * PART)) if LONG else short


# What takes half a minute and more, most of it waiting for starts or a network.
long_only = pytest.mark.skipif(not LONG, reason="takes long: SEALTRAIL_TORTURE=long runs it")
