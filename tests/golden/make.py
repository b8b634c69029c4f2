"""Makes the golden receipts: one real site, one receipt of each sort, and the policy that trusts it.

Run once for each format version, from the root: python -m tests.golden.make tests/golden/v1. What it wrote is
never made anew: the test verifies it for ever, so that receipts outlive the program that made them.
"""

import sys
import tempfile
from pathlib import Path

from gateway.ingest.inbound import Verdict
from tests.support.fields import INFERENCE, PRODUCTION, READING
from tests.support.site import Site, receipts
from tests.support.source import INFERENCE as INFERENCE_KIND
from tests.support.source import PRODUCTION as PRODUCTION_KIND
from tests.support.source import message


def make(folder: Path) -> None:
    """Write every golden file into `folder`."""
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as root, Site(Path(root) / "site", origin="golden.example/log") as site:
        line = site.enrol("line-3")
        plan = ((READING, 1), (PRODUCTION, PRODUCTION_KIND), (INFERENCE, INFERENCE_KIND))
        events = [line.event(payload, kind=kind) for payload, kind in plan]
        assert site.send(line, message(events, line.seal())) is Verdict.STORED
        site.plain("meter")
        assert site.send("meter", b'[{"n":"t","u":"Cel","v":4}]', plain="reading") is Verdict.STORED
        site.drain()
        _write(site, folder)


def _write(site: Site, folder: Path) -> None:
    (folder / "policy.txt").write_text(site.policy.to_text(False))
    plan = {"reading": (0, None), "production": (1, None), "inference": (2, None), "disclosed": (1, ["lot"]),
            "seal": (3, None), "plain": (4, None)}  # fmt: skip
    with receipts(site.folder) as builder:
        for name, (index, disclose) in plan.items():
            (folder / f"{name}.json").write_bytes(builder.build(index, disclose).to_json())
        (folder / "tlog-proof.txt").write_text(builder.tlog_proof(1))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
