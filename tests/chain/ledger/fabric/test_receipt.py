"""A receipt whose ledger is Hyperledger Fabric: a real site, its checkpoint and its source's key on a real channel."""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import msgspec
import pytest

pytest.importorskip("grpc", reason="needs the extra 'fabric'")
pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")

from chain.ledger.fabric.evidence import FabricEvidence
from chain.policy import ChannelLine, Policy, parse_policy
from chain.receipt import LedgerPart, Receipt, parse_receipt
from chain.verify import Outcome, Report, State, verify_receipt
from gateway.ingest.inbound import Verdict
from tests.network.networks import running, topology
from tests.support.site import Site, receipts
from tests.support.source import message

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
    with running(topology(folder)) as network:
        settings = {"ledger": "fabric", "fabric": {"profile": network.profiles["PlantMSP"]}}
        with Site(folder / "data", origin=ORIGIN, **settings) as site:
            source, other = site.enrol("logger"), site.enrol("other")
            for one in (source, other):
                assert site.send(one, message(one.batch(5), one.seal())) is Verdict.STORED
            site.drain()
            with receipts(site.folder) as builder:
                receipt, others = builder.build(2), builder.build(8)
            assert others.identity is not None
            yield Proved(receipt, site.policy, others.identity)


def _false(report: Report) -> list[str]:
    return [step.name for step in report.steps if step.state is State.FALSE]


def test_a_receipt_on_fabric_is_valid_as_a_file_with_a_policy_as_a_file(proved: Proved) -> None:
    report = verify_receipt(parse_receipt(proved.receipt.to_json()), parse_policy(proved.policy.to_text()))
    assert report.outcome is Outcome.VALID
    assert [step.state for step in report.steps] == [State.HOLDS] * 8
    assert "the Fabric channel sealtrail holds this checkpoint" in report.steps[7].text
    assert re.search(r"signed by [34] of 4 orderers", report.steps[7].text)
    assert "said to be valid by CarrierMSP, PharmacyMSP, PlantMSP" in report.steps[7].text


def test_another_identity_or_a_swapped_anchor_is_false(proved: Proved) -> None:
    swapped = msgspec.structs.replace(proved.receipt, identity=proved.other)
    assert _false(verify_receipt(swapped, proved.policy)) == ["identity"]
    swapped = msgspec.structs.replace(proved.receipt, anchor=proved.receipt.identity)
    assert _false(verify_receipt(swapped, proved.policy)) == ["anchor"]


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def _flipped_text(text: str) -> str:
    """A checkpoint note with one bit of its first signature changed."""
    head, _, signatures = text.partition("\n\n")
    first, *rest = signatures.split("\n")
    name, _, encoded = first.rpartition(" ")
    return "\n".join([f"{head}\n\n{name} {b64encode(_flipped(b64decode(encoded))).decode()}", *rest])


def _field_of(receipt: Receipt) -> Receipt:
    field, *rest = receipt.fields
    return msgspec.structs.replace(receipt, fields=(msgspec.structs.replace(field, salt=_flipped(field.salt)), *rest))


def _seal_of(receipt: Receipt) -> Receipt:
    assert receipt.seal is not None
    seal = msgspec.structs.replace(receipt.seal, signature=_flipped(receipt.seal.signature))
    return msgspec.structs.replace(receipt, seal=seal)


LINKS: dict[str, Callable[[Receipt], Receipt]] = {
    "checkpoint": lambda r: msgspec.structs.replace(r, checkpoint=_flipped_text(r.checkpoint)),
    "record": lambda r: msgspec.structs.replace(r, inclusion=(_flipped(r.inclusion[0]), *r.inclusion[1:])),
    "event": lambda r: msgspec.structs.replace(r, event=_flipped(r.event or b"")),
    "fields": _field_of,
    "seal": _seal_of,
}


@pytest.mark.parametrize("link", LINKS)
def test_an_altered_link_is_false_and_no_other(proved: Proved, link: str) -> None:
    report = verify_receipt(LINKS[link](proved.receipt), proved.policy)
    assert (report.outcome, _false(report)) == (Outcome.INVALID, [link])


EVIDENCE: dict[str, tuple[Callable[[FabricEvidence], FabricEvidence], str]] = {
    "configuration": (
        lambda e: replace(e, config_envelope=_flipped(e.config_envelope)),
        "configuration is not that of the pinned config block",
    ),
    "block before": (
        lambda e: replace(e, header=replace(e.header, previous_hash=_flipped(e.header.previous_hash))),
        "signature does not verify under the key of .*orderer",
    ),
    "orderers": (lambda e: replace(e, signatures=_flipped(e.signatures)), "orderer|signatures|encoding"),
    "transactions": (
        lambda e: replace(e, envelopes=tuple(map(_flipped, e.envelopes))),
        "the envelopes are not those of block",
    ),
    "attestation": (
        lambda e: replace(e, attestation=e.attestation[:-1] + bytes([e.attestation[-1] ^ 1])),
        "endorse|attest|signature|encoding",
    ),
}


@pytest.mark.parametrize("part", ["identity", "anchor"])
@pytest.mark.parametrize("link", EVIDENCE)
def test_an_altered_link_of_the_channels_evidence_is_named(proved: Proved, part: str, link: str) -> None:
    alter, said = EVIDENCE[link]
    shown = getattr(proved.receipt, part)
    altered = LedgerPart("fabric", alter(FabricEvidence.decode(shown.evidence)).encode())
    report = verify_receipt(msgspec.structs.replace(proved.receipt, **{part: altered}), proved.policy)
    assert (report.outcome, _false(report)) == (Outcome.INVALID, [part])
    step = next(step for step in report.steps if step.name == part)
    assert re.search(said, step.text), step.text


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
