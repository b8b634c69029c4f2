"""The file that somebody was given: no part of it can be exchanged, cut, or come from somewhere else."""

import json
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
from chain.conditions.opened import open_bundle
from chain.disclosing import Purpose, build_disclosure
from chain.ledger.reading import open_reader
from chain.policy import Policy
from chain.site import SiteReader
from chain.verify import Outcome
from gateway.access import Access
from gateway.conditions_command import export
from tests.chain.conditions.carrier import Carrier
from tests.chain.conditions.readings import POLICY
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


def test_records_that_show_no_content(given: Given) -> None:
    folder, leaves = given.site.folder, [line.index for line in parse_bundle(given.data).disclosures[0].lines]
    with closing(SiteReader.open(folder)) as reader, closing(open_reader(folder)) as ledger:
        key = folder.gateway_key()
        bare, _ = build_disclosure(reader, ledger, folder.origin, leaves, [], Purpose("a", "b"), key)
    header = parse_bundle(given.data).header
    outcome, text = given.opened(parse_bundle(encode_bundle(header, (bare,))))
    assert (outcome, text[:32]) == (Outcome.INCOMPLETE, "6 readings show no content, firs")


def test_a_policy_that_trusts_somebody_else(given: Given, tmp_path: Path) -> None:
    with Site(tmp_path / "other", origin="plant-9.example/line-1") as other:
        assert given.opened(parse_bundle(given.data), other.policy)[0] is Outcome.UNTRUSTED


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
    for wrong in (
        [*words, "--data", "."], words[:2], words[:4], ["recompute", "xyz", *words[2:]],
        ["recompute", "00" * 32, *words[2:]], ["recompute", "00" * 32, *site[2:]],
    ):  # fmt: skip
        assert runner.invoke(cli.app, wrong).exit_code in (1, 2), wrong
