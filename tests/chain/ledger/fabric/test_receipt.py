"""A receipt whose ledger is Hyperledger Fabric: a real site, its checkpoint and its source's key on a real channel."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec
import pytest

pytest.importorskip("grpc", reason="needs the extra 'fabric'")
pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")

from chain.ledger.fabric.evidence import FabricEvidence
from chain.ledger.fabric.ledger import FabricLedger
from chain.ledger.fabric.profile import read_profile
from chain.policy import ChannelLine, Policy, parse_policy
from chain.receipt import LedgerPart, Receipt, parse_receipt
from chain.verify import Outcome, Report, State, verify_receipt
from gateway.ingest.inbound import Verdict
from tests.contract_suite.actors import Actor
from tests.network.networks import RunningNetwork, running, topology
from tests.support.site import Site, receipts
from tests.support.source import Source, message

pytestmark = pytest.mark.fabric
ORIGIN = "plant.example/line-1"


@dataclass(frozen=True, slots=True)
class Proved:
    """A receipt on Fabric's evidence, the policy that trusts it, and evidence of another identity's enrolment."""

    receipt: Receipt
    policy: Policy
    other: LedgerPart


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proved]:
    folder = tmp_path_factory.mktemp("receipt")
    with running(topology(folder)) as network, Site(folder / "data", origin=ORIGIN) as site:
        source, other = site.enrol("logger"), site.enrol("other")
        assert site.send(source, message(source.batch(5), source.seal())) is Verdict.STORED
        site.drain()
        with receipts(site.folder) as builder:
            receipt = builder.build(2)
        parts = asyncio.run(_on_fabric(network, site, receipt, source, other))
        yield _proved(site, receipt, *parts)


async def _on_fabric(network: RunningNetwork, site: Site, receipt: Receipt, *sources: Source) -> list[LedgerPart]:
    """Enrol gateway, log and sources, anchor the receipt's checkpoint; evidence of the anchor and each source."""
    gateway = Actor("plant/gateway", ORIGIN, site.folder.gateway_key())
    async with FabricLedger(read_profile(network.profiles["PlantMSP"]), gateway.key) as ledger:
        await ledger.submit("identities.bootstrap", *gateway.bootstrap())
        vkeys = (str(vkey).encode() for vkey in site.folder.log_vkeys())
        await ledger.submit("logs.register", ORIGIN.encode(), *vkeys)
        done = [await ledger.submit("logs.anchor", receipt.checkpoint.encode())]
        for source in sources:
            actor = Actor(source.name, ORIGIN, source.key)
            done.append(await ledger.submit("identities.enrol", *actor.enrolment("source")))
        return [LedgerPart("fabric", await ledger.evidence(submitted.index)) for submitted in done]


def _proved(site: Site, receipt: Receipt, anchor: LedgerPart, identity: LedgerPart, other: LedgerPart) -> Proved:
    pin = FabricEvidence.decode(anchor.evidence).config_header.hash
    policy = replace(site.policy, ledgers=(), channels=(ChannelLine("sealtrail", pin),))
    return Proved(msgspec.structs.replace(receipt, anchor=anchor, identity=identity), policy, other)


def _false(report: Report) -> list[str]:
    return [step.name for step in report.steps if step.state is State.FALSE]


def test_a_receipt_on_fabric_is_valid_as_a_file_with_a_policy_as_a_file(proved: Proved) -> None:
    report = verify_receipt(parse_receipt(proved.receipt.to_json()), parse_policy(proved.policy.to_text()))
    assert report.outcome is Outcome.VALID
    assert [step.state for step in report.steps] == [State.HOLDS] * 8
    assert "Fabric channel sealtrail" in report.steps[7].text


def test_another_identity_or_a_swapped_anchor_is_false(proved: Proved) -> None:
    swapped = msgspec.structs.replace(proved.receipt, identity=proved.other)
    assert _false(verify_receipt(swapped, proved.policy)) == ["identity"]
    swapped = msgspec.structs.replace(proved.receipt, anchor=proved.receipt.identity)
    assert _false(verify_receipt(swapped, proved.policy)) == ["anchor"]


def test_one_byte_of_the_evidence_is_false(proved: Proved) -> None:
    anchor = proved.receipt.anchor
    assert anchor is not None
    evidence = FabricEvidence.decode(anchor.evidence)
    envelope = bytearray(evidence.envelopes[evidence.position])
    envelope[len(envelope) // 2] ^= 1
    envelopes = (
        *evidence.envelopes[: evidence.position],
        bytes(envelope),
        *evidence.envelopes[evidence.position + 1 :],
    )
    altered = LedgerPart("fabric", replace(evidence, envelopes=tuple(envelopes)).encode())
    report = verify_receipt(msgspec.structs.replace(proved.receipt, anchor=altered), proved.policy)
    assert (report.outcome, _false(report)) == (Outcome.INVALID, ["anchor"])


@pytest.mark.parametrize("lines", [(), (ChannelLine("sealtrail", bytes(32)),)], ids=["no line", "another hash"])
def test_a_policy_that_does_not_pin_it_trusts_nothing(proved: Proved, lines: tuple[ChannelLine, ...]) -> None:
    report = verify_receipt(proved.receipt, replace(proved.policy, channels=lines))
    assert report.outcome is Outcome.UNTRUSTED


def test_a_hash_is_pinned_for_its_own_channel_only(proved: Proved) -> None:
    line = ChannelLine("elsewhere", proved.policy.channels[0].config_hash)
    assert verify_receipt(proved.receipt, replace(proved.policy, channels=(line,))).outcome is Outcome.UNTRUSTED


def test_without_the_anchor_it_is_incomplete(proved: Proved) -> None:
    bare = msgspec.structs.replace(proved.receipt, anchor=None)
    assert verify_receipt(bare, proved.policy).outcome is Outcome.INCOMPLETE
