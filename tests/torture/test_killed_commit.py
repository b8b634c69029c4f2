"""kill −9 at each SQL statement of one commit: all of it is there afterwards, or nothing."""

from pathlib import Path

from chain.fsck import fsck
from gateway.ingest.inbound import Verdict
from tests.support.killing import steps_killed
from tests.support.site import Site
from tests.support.source import message

KILLED_AT = """
import os, sys
from pathlib import Path
from tests.support.killing import kill_in_copies
from tests.support.site import Site

def send(root, steps):
    with Site(root) as site:
        with site.gateway.committer._writing:  # between two of its looks at the clock
            site.gateway.committer._site.db.connection.set_trace_callback(steps)
        inbound = site.inbound("logger", payload)
        site.send_all([inbound])
        os.write(answered, b"%d\\n" % steps.last)

payload = Path(sys.argv[2]).read_bytes()
answered = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT)
kill_in_copies(Path(sys.argv[1]), send)
"""


def test_killed_at_each_statement_of_one_commit(tmp_path: Path) -> None:
    """Payloads, records, tiles, ranges and seal are one commit: all or nothing, and sent again it is there once."""
    with Site(tmp_path / "original") as site:
        source = site.enrol("logger")
        assert site.send(source, message(source.batch(254), source.seal())) is Verdict.STORED  # a bundle fills next
        site.drain()
    payload = message(source.batch(5), source.seal())
    (tmp_path / "payload").write_bytes(payload)
    paths = [tmp_path / name for name in ("original", "payload", "answered")]
    statements = steps_killed(KILLED_AT, *paths, timeout=120)  # in the last copy nobody was killed
    assert statements > 15
    sizes = []
    for last in range(1, statements + 1):
        with Site(tmp_path / f"at-{last}") as site:
            sizes.append(len(site.records()))
            assert site.send("logger", payload) is Verdict.STORED
            site.drain()
            report = fsck(site.folder)
            assert (report.events, report.seals) == (259, 2)
    assert set(sizes) == {255, 261}
    assert sizes == sorted(sizes)
    answered = [int(line) for line in (tmp_path / "answered").read_text().split()]
    assert all(sizes[last - 1] == 261 for last in answered)
