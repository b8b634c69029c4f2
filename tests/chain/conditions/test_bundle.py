"""The file that somebody was given: no part of it can be exchanged, cut, or come from somewhere else."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from chain.conditions import cli
from chain.conditions.bundle import Bundle, encode_bundle, parse_bundle
from chain.conditions.errors import ConditionsError
from chain.conditions.exporting import exported
from chain.conditions.opened import open_bundle
from chain.conditions.samples import FIELD, Sorter
from chain.disclosing import Purpose, build_disclosure
from chain.ledger.reading import open_reader
from chain.policy import Policy
from chain.site import SiteReader
from chain.verify import Outcome
from crypto.errors import SealtrailError
from gateway.access import Access
from gateway.conditions_command import export
from tests.chain.conditions.carrier import Carrier
from tests.chain.conditions.readings import POLICY
from tests.gateway.test_shared_ledger import LEDGER
from tests.support.site import Site


@dataclass(frozen=True)
class Given:
    """Two shipments of one carrier: the first has two reports and an excursion."""

    site: Site
    one: Carrier
    data: bytes
    other: bytes
    early: bytes

    def opened(self, bundle: Bundle, policy: Policy | None = None) -> tuple[Outcome, str]:
        found = open_bundle(bundle, policy or self.site.policy)
        return found.outcome, found.steps[-1].text


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Given]:
    with Site(tmp_path_factory.mktemp("bundle") / "site") as site:
        one, two = Carrier(site), Carrier(site)
        for carrier, temperatures in ((two, [5] * 6), (one, [5, 5, 9, 9, 9, 5])):
            carrier.measure(carrier.truck, *temperatures)
            carrier.open()
            site.gateway.ledger._ledger._now_us = lambda carrier=carrier: carrier.now_us  # type: ignore[attr-defined]
            carrier.submit(carrier.report(1, 20))
        early = one.bundle()
        one.submit(one.report(2, 30))
        yield Given(site, one, one.bundle(), two.bundle(), early)


def but(data: bytes, **changes: object) -> Bundle:
    bundle = parse_bundle(data)
    return msgspec.structs.replace(bundle, header=msgspec.structs.replace(bundle.header, **changes))


def test_the_file_is_read_back_and_holds(given: Given) -> None:
    bundle = parse_bundle(given.data)
    whole = "no number is missing between the 6 records shown; whether more followed is not shown behind"
    assert given.opened(bundle) == (Outcome.VALID, f"{whole} {given.one.truck.name}, boot 1, number 5")
    assert len(bundle.header.reports) == 2
    assert encode_bundle(bundle.header, tuple(given.data[-n:] for n in bundle.header.disclosures)) == given.data


@pytest.mark.parametrize("cut", [0, 1, 100, -1, -1000])
def test_what_is_cut_is_none(given: Given, cut: int) -> None:
    with pytest.raises(ConditionsError):
        parse_bundle(given.data[:cut])
    with pytest.raises(ConditionsError):
        parse_bundle(given.data + b"x")


def test_any_altered_byte_is_found(given: Given) -> None:
    step = len(given.data) // 30
    for place in range(0, len(given.data), step):
        changed = bytearray(given.data)
        changed[place] ^= 1
        try:
            bundle = parse_bundle(bytes(changed))
        except ConditionsError:
            continue
        assert open_bundle(bundle, given.site.policy).outcome is not Outcome.VALID, place


def test_parts_of_another_shipment(given: Given) -> None:
    other = parse_bundle(given.other).header
    mine = parse_bundle(given.data).header
    for bundle, said in (
        (but(given.data, shipment=other.shipment), "is of shipment"),
        (but(given.data, opening=other.opening), "is of shipment"),
        (but(given.data, reports=other.reports * 2), "is of shipment"),
        (but(given.data, reports=mine.reports[:1]), "the shipment has 2 reports"),
        (but(given.data, reports=mine.reports[::-1]), "the shipment has 2 reports"),
        (but(given.data, opening=mine.reports[0]), "expected coldchain.open"),
        (but(given.data, policy=msgspec.structs.asdict(other)["policy"][:-1] + b"\x01"), ""),
    ):
        outcome, text = given.opened(bundle)
        assert outcome is Outcome.INVALID
        assert said in text


def test_an_old_state_of_the_ledger(given: Given) -> None:
    """What was true once and is not the newest: the file is whole in itself, and says up to which report."""
    outcome, _ = given.opened(parse_bundle(given.early))
    assert outcome is Outcome.VALID
    stale = but(given.data, progress=parse_bundle(given.early).header.progress)
    assert given.opened(stale) == (Outcome.INVALID, "the shipment has 1 reports, the file those of numbers [1, 2]")


def test_records_of_another_shipment_prove_nothing_here(given: Given) -> None:
    """Readings of other loggers are no readings of these: then those are missing, as the figures show."""
    bundle = msgspec.structs.replace(parse_bundle(given.data), disclosures=parse_bundle(given.other).disclosures)
    found = open_bundle(bundle, given.site.policy)
    assert found.case is not None
    assert [len(one) for one in found.case.samples()] == [0]
    assert found.outcome is Outcome.INCOMPLETE


def test_a_file_without_its_readings_proves_no_alarm_false(given: Given) -> None:
    """The reports on the ledger count readings: a file that shows none of them, or the half, is not whole."""
    header, folder = parse_bundle(given.data).header, given.site.folder
    outcome, text = given.opened(parse_bundle(encode_bundle(header, ())))
    assert outcome is Outcome.INCOMPLETE
    assert "report 1 is of 4 readings of logger 0" in text
    leaves = [line.index for line in parse_bundle(given.data).disclosures[0].lines]
    for part in (leaves[:2], leaves[4:], leaves[:-1], leaves[1:]):
        with closing(SiteReader.open(folder)) as reader, closing(open_reader(folder)) as ledger:
            made, _ = build_disclosure(
                reader, ledger, folder.origin, part, [FIELD], Purpose("a", "b"), folder.gateway_key()
            )
        stripped = parse_bundle(encode_bundle(header, (made,)))
        outcome, text = given.opened(stripped)
        assert (outcome, text[:21]) == (Outcome.INCOMPLETE, "readings are missing:"), part


def test_a_file_of_many_disclosures_without_some_of_them(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chain.conditions.exporting.MAX_RECORDS", 1)
    data = given.one.bundle()
    lengths = parse_bundle(data).header.disclosures
    assert len(lengths) == 6
    parts, at = [], len(data) - sum(lengths)
    for length in lengths:
        parts.append(data[at : at + length])
        at += length
    for kept in (parts[::2], parts[:3], parts[3:]):
        stripped = encode_bundle(parse_bundle(data).header, tuple(kept))
        assert given.opened(parse_bundle(stripped))[0] is Outcome.INCOMPLETE


def test_records_that_show_no_content(given: Given) -> None:
    folder, leaves = given.site.folder, [line.index for line in parse_bundle(given.data).disclosures[0].lines]
    with closing(SiteReader.open(folder)) as reader, closing(open_reader(folder)) as ledger:
        key = folder.gateway_key()
        bare, _ = build_disclosure(reader, ledger, folder.origin, leaves, [], Purpose("a", "b"), key)
    header = parse_bundle(given.data).header
    outcome, text = given.opened(parse_bundle(encode_bundle(header, (bare,))))
    assert (outcome, text[:32]) == (Outcome.INCOMPLETE, "6 readings show no content, firs")


def test_a_shipment_that_another_log_reports(tmp_path: Path) -> None:
    """The wholesaler reports; the carrier's folder has none of the readings, and says so instead of proving nothing.
    That its log is shorter than the wholesaler's says nothing else."""
    shared = LEDGER | {"folder": tmp_path / "ledger"}
    with (
        Site(
            tmp_path / "wholesaler", origin="wholesaler.example/gw", shared_ledger=shared | {"organisation": "W"}
        ) as ours,
        Site(tmp_path / "carrier", origin="carrier.example/gw", shared_ledger=shared | {"organisation": "C"}) as other,
    ):
        one = Carrier(ours)
        one.measure(one.truck, *[5] * 6)
        one.open()
        one.submit(one.report(1, 30))
        said = "is reported by wholesaler.example/gw; this folder is carrier.example/gw's"
        folder = other.folder
        with pytest.raises(ConditionsError, match=said):
            exported(folder, one.shipment, Purpose("a", "b"))
        file = tmp_path / "shipment.jsonl"
        with pytest.raises(ConditionsError, match=said):
            export(one.shipment.hex(), file, folder.root)
        assert not file.exists()
        words = ["recompute", one.shipment.hex(), "--data", str(folder.root)]
        done = CliRunner().invoke(cli.app, words)
        assert (done.exit_code, type(done.exception)) == (1, ConditionsError)


def test_a_policy_that_trusts_somebody_else(given: Given, tmp_path: Path) -> None:
    with Site(tmp_path / "other", origin="plant-9.example/line-1") as other:
        assert given.opened(parse_bundle(given.data), other.policy)[0] is Outcome.UNTRUSTED


@pytest.mark.parametrize(
    ("file", "statement"),
    [
        ("site.db", "UPDATE log_checkpoint SET note = CAST(x'ff41' AS TEXT)"),
        ("site.db", "UPDATE segment SET body = substr(body, 1, 20) || x'00' || substr(body, 22)"),
        ("site.db", "UPDATE segment SET body = 'abc'"),
        ("site.db", "DROP TABLE segment"),
        ("ledger/ledger.db", "UPDATE ledger_head SET note = CAST(x'ff41' AS TEXT)"),
        ("ledger/ledger.db", "DROP TABLE state"),
        ("site.db", ""),
    ],
)
def test_a_store_that_was_tampered_with_is_told_in_one_line(
    given: Given, tmp_path: Path, file: str, statement: str
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(given.site.folder.root, root)
    with closing(sqlite3.connect(root / file)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if statement:
            db.execute(statement)
            db.commit()
    if not statement:
        data = (root / file).read_bytes()
        (root / file).write_bytes(data[:8192] + bytes(len(data) - 8192))
    done = CliRunner().invoke(cli.app, ["recompute", given.one.shipment.hex(), "--data", str(root)])
    assert isinstance(done.exception, SealtrailError), done.exception
    with pytest.raises(SealtrailError) as caught:
        export(given.one.shipment.hex(), tmp_path / "out", root)
    assert str(caught.value) == str(done.exception)
    if isinstance(caught.value, ConditionsError):
        assert f"cannot be read: {caught.value.__cause__}; `sealtrail fsck --data {root}` says where" in str(
            caught.value
        )
    assert not (tmp_path / "out").exists()


def test_rows_that_are_none(given: Given) -> None:
    """A gateway that commits to nonsense: the file is false, and nothing breaks."""
    sorter_add = Sorter.add
    Sorter.add = lambda self, leaf, record, rows: sorter_add(self, leaf, record, [1])  # type: ignore[method-assign]
    try:
        outcome, text = given.opened(parse_bundle(given.data))
    finally:
        Sorter.add = sorter_add  # type: ignore[method-assign]
    assert outcome is Outcome.INVALID
    assert "a row is" in text


def test_the_commands(given: Given, tmp_path: Path) -> None:
    runner, file, policy = CliRunner(), tmp_path / "shipment.jsonl", tmp_path / "policy.txt"
    policy.write_text(given.site.policy.to_text())
    export(given.one.shipment.hex(), file, given.site.folder.root, "the pharmacy", "a complaint")
    with closing(Access(given.site.folder)) as access:
        assert (access.disclosures()[0].made_for, access.disclosures()[0].records) == ("the pharmacy", 6)
    words = ["recompute", given.one.shipment.hex(), "--from", str(file), "--policy", str(policy)]
    done = runner.invoke(cli.app, words)
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "result: agrees")
    found = json.loads(runner.invoke(cli.app, [*words, "--json"]).output)
    assert (found["result"], found["policy"]["name"], found["held"]) == ("agrees", POLICY.name, True)
    assert [report["agrees"] for report in found["reports"]] == [True, True]
    site = ["recompute", given.one.shipment.hex(), "--data", str(given.site.folder.root)]
    assert runner.invoke(cli.app, site).exit_code == 0
    file.write_bytes(encode_bundle(parse_bundle(given.data).header, ()))
    stripped = runner.invoke(cli.app, [*words, "--json"])
    assert (stripped.exit_code, json.loads(stripped.output).keys()) == (5, {"result", "proof"})
    for wrong in (
        [*words, "--data", "."], words[:2], words[:4], ["recompute", "xyz", *words[2:]],
        ["recompute", "00" * 32, *words[2:]], ["recompute", "00" * 32, *site[2:]],
    ):  # fmt: skip
        assert runner.invoke(cli.app, wrong).exit_code in (1, 2), wrong
