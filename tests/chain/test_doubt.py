"""What an auditor is shown of signatures that a compromised key made: they hold, and are never simply valid."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from chain.policy import Policy
from chain.receipt import Receipt, parse_receipt
from chain.verify import EXIT_CODE, Outcome, Report, State, verify_receipt
from chaincode.identity_records import source_handle
from crypto import cbor
from gateway.ingest.inbound import Verdict
from tests.e2e.programs import run
from tests.support.site import Site, receipts
from tests.support.source import Source, message


def sealed(site: Site, source: Source) -> int:
    """One event with its seal; returns the event's place in the log."""
    place = site.gateway.status().log_size
    assert site.send(source, message(source.batch(1), source.seal())) is Verdict.STORED
    return place


def receipt(site: Site, index: int) -> Receipt:
    with receipts(site.folder) as builder:
        return parse_receipt(builder.build(index).to_json())


def seal_step(report: Report) -> tuple[State, str]:
    step = next(step for step in report.steps if step.name == "seal")
    return step.state, step.text


@pytest.fixture
def robbed(tmp_path: Path) -> tuple[Policy, list[Receipt], Receipt, str]:
    """Receipts of an event from before the theft, at its first place, and after it; one that was made before the
    theft was known; and the transaction that declared it."""
    with Site(tmp_path / "site") as site:
        thing = site.enrol("thing")
        places = [sealed(site, thing) for _ in range(3)]
        site.drain()
        unaware = receipt(site, places[2])
        site.run(site.gateway.revoke("thing", "stolen from the shelf", places[1]))
        assert site.gateway.status().doubtful == ("thing",)
        site.drain()
        handle = source_handle(site.folder.origin, "thing").encode()
        changes = cbor.decode(site.run(site.gateway.ledger.evaluate("identities.history", handle)), 4096)
        return site.policy, [receipt(site, place) for place in places], unaware, changes[0][0]


def test_the_verdict_is_doubtful_from_the_theft_on(robbed: tuple[Policy, list[Receipt], Receipt, str]) -> None:
    policy, (before, first, after), unaware, declared = robbed
    assert verify_receipt(before, policy).outcome is Outcome.VALID
    for one in (first, after):
        report = verify_receipt(one, policy)
        assert (report.outcome, EXIT_CODE[report.outcome]) == (Outcome.DOUBTFUL, 6)
        state, text = seal_step(report)
        assert state is State.DOUBTFUL
        for part in ("signature holds", "in doubt", "from entry 2 on", declared, "stolen from the shelf"):
            assert part in text
        others = {step.name: step.state for step in report.steps if step.name != "seal"}
        assert set(others.values()) == {State.HOLDS}
    assert "1 of them declared to be compromised" in verify_receipt(before, policy).steps[5].text
    # Nobody can know what comes later: such a receipt shows the ledger as it was.
    assert verify_receipt(unaware, policy).outcome is Outcome.VALID


def test_a_false_link_is_worse_than_a_doubtful_one(robbed: tuple[Policy, list[Receipt], Receipt, str]) -> None:
    policy, (before, _, after), _, _ = robbed
    assert after.seal is not None
    forged = replace(after, seal=replace(after.seal, signature=bytes(64)))
    assert verify_receipt(forged, policy).outcome is Outcome.INVALID
    assert verify_receipt(replace(after, event=b"x"), policy).outcome is Outcome.INVALID
    assert verify_receipt(replace(after, anchor=None), policy).outcome is Outcome.DOUBTFUL  # missing is not as bad
    assert verify_receipt(replace(before, anchor=None), policy).outcome is Outcome.INCOMPLETE


def test_the_command_line_says_so(tmp_path: Path, robbed: tuple[Policy, list[Receipt], Receipt, str]) -> None:
    policy, (before, first, _), _, declared = robbed
    files = []
    for name, one in (("before", before), ("first", first)):
        files.append(tmp_path / f"{name}.json")
        files[-1].write_bytes(one.to_json())
    trusted = tmp_path / "policy.txt"
    trusted.write_text(policy.to_text())
    shown = run("verify", files[1], "--policy", trusted, check=6).stdout
    assert "? seal       doubtful: the signature holds, but is in doubt" in shown
    assert shown.endswith("result: doubtful\n")
    run("verify", *files, "--policy", trusted, check=6)
    run("fsck", "--data", tmp_path / "site")
    listed = json.loads(run("records", "--data", tmp_path / "site", "--json").stdout)["records"]
    assert [("doubtful" in record["flags"]) for record in listed] == [True, True, False]
    assert [record.get("doubt_declared_by") for record in listed] == [declared, declared, None]


def test_a_theft_is_told_after_the_revocation(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        thing = site.enrol("thing")
        place = sealed(site, thing)
        site.run(site.gateway.revoke("thing", "lost"))
        site.drain()
        assert verify_receipt(receipt(site, place), site.policy).outcome is Outcome.VALID
        site.run(site.gateway.revoke("thing", "was stolen", 0))
        assert verify_receipt(receipt(site, place), site.policy).outcome is Outcome.DOUBTFUL
