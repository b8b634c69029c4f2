"""Evidence of real transactions, recorded from a BFT and a Raft network; every altered part is refused at its step.

The evidence was recorded by tests/golden/fabric/make.py. Forgeries that need a signature use keys made here.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")

from chain.ledger.fabric import channel as channels
from chain.ledger.fabric import evidence as module
from chain.ledger.fabric import protos
from chain.ledger.fabric.block import BlockHeader, data_hash
from chain.ledger.fabric.channel import Channel, read_channel
from chain.ledger.fabric.evidence import FabricEvidence, Proved
from crypto import cbor
from crypto.errors import FormatError, LimitError, ProofError, SealtrailError, SignatureError

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "fabric"
KINDS = ("BFT", "etcdraft")
Edit = Callable[[Any], None]


def verify(evidence: FabricEvidence, config_hashes: set[bytes]) -> Proved:
    """For the chaincode of these tests."""
    return module.verify(evidence, config_hashes, "small")


def _golden(kind: str) -> tuple[FabricEvidence, bytes]:
    return FabricEvidence.decode((GOLDEN / f"{kind}.cbor").read_bytes()), _pin(kind)


def _pin(kind: str) -> bytes:
    return bytes.fromhex((GOLDEN / f"{kind}.hash").read_text())


@pytest.fixture(params=KINDS)
def golden(request: pytest.FixtureRequest) -> tuple[FabricEvidence, bytes]:
    return _golden(request.param)


def _edited(kind: Any, data: bytes, edit: Edit) -> bytes:
    message = kind.FromString(data)
    edit(message)
    return bytes(message.SerializeToString())


def _payload_edited(payload: bytes, edit: Edit) -> bytes:
    """The payload of a transaction with its one chaincode action changed."""

    def in_action(data: bytes) -> bytes:
        return _edited(protos.transaction.ChaincodeActionPayload, data, edit)

    def in_transaction(message: Any) -> None:
        message.actions[0].payload = in_action(message.actions[0].payload)

    def in_payload(message: Any) -> None:
        message.data = _edited(protos.transaction.Transaction, message.data, in_transaction)

    return _edited(protos.common.Payload, payload, in_payload)


def _with_signatures(evidence: FabricEvidence, edit: Edit) -> FabricEvidence:
    return replace(evidence, signatures=_edited(protos.common.Metadata, evidence.signatures, edit))


def _channel(evidence: FabricEvidence) -> Channel:
    return read_channel(evidence.config_header.number, evidence.config_envelope)


def _flip(data: bytes, at: int = -1) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def test_a_real_transaction_is_proved(golden: tuple[FabricEvidence, bytes]) -> None:
    evidence, pin = golden
    proved = verify(evidence, {pin})
    assert proved.position == evidence.position > 0
    assert proved.block == evidence.header.number
    assert proved.endorsed_by == proved.attested_by == {"Org1MSP", "Org2MSP"}
    transaction = proved.transaction
    assert (transaction.channel, transaction.chaincode, transaction.function) == ("sealtrail", "small", "put")
    assert transaction.args[2] == transaction.result
    assert transaction.creator.msp_id == "Org1MSP"
    assert "client" in transaction.creator.certificate.units


def test_the_format_has_one_encoding(golden: tuple[FabricEvidence, bytes]) -> None:
    evidence, _ = golden
    assert FabricEvidence.decode(evidence.encode()) == evidence


# Step 1: the configuration.


def test_another_pin_is_refused(golden: tuple[FabricEvidence, bytes]) -> None:
    with pytest.raises(ProofError, match="not pinned"):
        verify(golden[0], {_flip(golden[1])})


def test_the_other_network_does_not_stand_in(golden: tuple[FabricEvidence, bytes]) -> None:
    """A config block of another network with the same names, even if it is pinned too."""
    for kind in KINDS:
        other, pin = _golden(kind)
        if pin != golden[1]:
            forged = replace(golden[0], config_header=other.config_header, config_envelope=other.config_envelope)
            with pytest.raises(SealtrailError):
                verify(forged, {pin, golden[1]})


def test_an_altered_configuration_is_refused(golden: tuple[FabricEvidence, bytes]) -> None:
    evidence, pin = golden
    with pytest.raises(ProofError, match="not that of the pinned config block"):
        verify(replace(evidence, config_envelope=_flip(evidence.config_envelope)), {pin})


def test_a_transaction_is_no_configuration(golden: tuple[FabricEvidence, bytes]) -> None:
    evidence, _ = golden
    envelope = evidence.envelopes[0]
    header = BlockHeader(0, b"", data_hash([envelope]))
    with pytest.raises(FormatError, match="expected a config block"):
        verify(replace(evidence, config_header=header, config_envelope=envelope), {header.hash})


# Step 2: the envelopes.


def test_envelopes_are_those_of_the_header(golden: tuple[FabricEvidence, bytes]) -> None:
    evidence, pin = golden
    envelopes = evidence.envelopes
    for changed in (
        envelopes[1:],
        envelopes[::-1],
        (*envelopes, b""[:0] + b"x"),
        (_flip(envelopes[0]), *envelopes[1:]),
    ):
        with pytest.raises(ProofError, match="data hash"):
            verify(replace(evidence, envelopes=changed), {pin})


# Step 3: the orderers.


def test_an_altered_header_is_signed_by_nobody(golden: tuple[FabricEvidence, bytes]) -> None:
    evidence, pin = golden
    envelopes = (*evidence.envelopes, evidence.envelopes[0])
    headers = (
        (replace(evidence.header, number=evidence.header.number + 1), evidence.envelopes),
        (replace(evidence.header, previous_hash=_flip(evidence.header.previous_hash)), evidence.envelopes),
        (replace(evidence.header, data_hash=data_hash(envelopes)), envelopes),
    )
    for header, holds in headers:
        with pytest.raises(SignatureError, match="does not verify"):
            verify(replace(evidence, header=header, envelopes=holds), {pin})


@pytest.mark.parametrize(("count", "quorum"), [(1, 1), (3, 2), (4, 3), (5, 4), (6, 4), (7, 5), (10, 7)])
def test_quorum(count: int, quorum: int) -> None:
    channel = _channel(_golden("BFT")[0])
    one = channel.consenters[1]
    assert replace(channel, consenters=dict.fromkeys(range(count), one)).quorum == quorum
    assert replace(channel, consensus="etcdraft").quorum == 1


def test_too_few_orderers_are_refused() -> None:
    evidence, pin = _golden("BFT")
    assert _channel(evidence).quorum == 3
    count = len(protos.common.Metadata.FromString(evidence.signatures).signatures)
    for left in range(count):
        fewer = _with_signatures(evidence, lambda message, left=left: message.signatures.__delitem__(slice(left, None)))
        if left < 3:
            with pytest.raises(SignatureError, match=f"good signatures of {left} orderers, needs 3"):
                verify(fewer, {pin})
        else:
            assert verify(fewer, {pin})


def test_one_orderer_counts_once() -> None:
    evidence, pin = _golden("BFT")

    def repeat(message: Any) -> None:
        first = message.signatures[0]
        del message.signatures[1:]
        message.signatures.extend([first] * 3)

    with pytest.raises(SignatureError, match="of 1 orderers, needs 3"):
        verify(_with_signatures(evidence, repeat), {pin})


def test_a_raft_block_needs_its_orderer() -> None:
    evidence, pin = _golden("etcdraft")
    with pytest.raises(SignatureError, match="of 0 orderers, needs 1"):
        verify(_with_signatures(evidence, lambda message: message.ClearField("signatures")), {pin})


def test_orderers_of_no_channel_are_refused() -> None:
    evidence, pin = _golden("BFT")

    def rename(message: Any) -> None:
        header = protos.common.IdentifierHeader.FromString(message.signatures[0].identifier_header)
        header.identifier = 9
        message.signatures[0].identifier_header = header.SerializeToString()

    with pytest.raises(SignatureError, match="orderer 9, who is no consenter"):
        verify(_with_signatures(evidence, rename), {pin})


def test_a_client_cannot_sign_as_a_raft_orderer() -> None:
    """The signer must be an orderer of the orderers' organisation: here it is a peer of another one."""
    evidence, pin = _golden("etcdraft")
    endorser = _endorser(evidence)

    def swap(message: Any) -> None:
        header = protos.common.SignatureHeader.FromString(message.signatures[0].signature_header)
        header.creator = endorser
        message.signatures[0].signature_header = header.SerializeToString()

    with pytest.raises(SignatureError, match="runs no orderer"):
        verify(_with_signatures(evidence, swap), {pin})


def test_a_raft_orderer_is_of_its_organisations_ca() -> None:
    """A peer of another organisation that calls itself an orderer."""
    evidence, pin = _golden("etcdraft")
    identity = protos.identities.SerializedIdentity.FromString(_endorser(evidence))
    identity.mspid = "OrdererMSP"

    def swap(message: Any) -> None:
        header = protos.common.SignatureHeader.FromString(message.signatures[0].signature_header)
        header.creator = identity.SerializeToString()
        message.signatures[0].signature_header = header.SerializeToString()

    with pytest.raises(SignatureError, match="does not lead to a pinned root"):
        verify(_with_signatures(evidence, swap), {pin})


def test_members_act_in_their_role_only() -> None:
    channel = _channel(_golden("BFT")[0])
    orderer = channel.consenters[1]
    channel.orderers["OrdererMSP"].require(orderer.certificate, "orderer")
    with pytest.raises(SignatureError, match="is no peer of OrdererMSP"):
        channel.orderers["OrdererMSP"].require(orderer.certificate, "peer")


def test_the_configuration_in_force_is_signed(golden: tuple[FabricEvidence, bytes]) -> None:
    def later(message: Any) -> None:
        value = protos.common.OrdererBlockMetadata.FromString(message.value)
        value.last_config.index += 1
        message.value = value.SerializeToString()

    with pytest.raises(ProofError, match="under config block 1, pinned is 0"):
        verify(_with_signatures(golden[0], later), {golden[1]})


def test_the_signed_value_is_signed(golden: tuple[FabricEvidence, bytes]) -> None:
    def other(message: Any) -> None:
        value = protos.common.OrdererBlockMetadata.FromString(message.value)
        value.consenter_metadata += b"x"
        message.value = value.SerializeToString()

    with pytest.raises(SignatureError, match="does not verify"):
        verify(_with_signatures(golden[0], other), {golden[1]})


# Steps 4 and 5: what only a dishonest quorum of orderers could put into a block. Their signatures are left out here.


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quorum of orderers that signs anything."""
    monkeypatch.setattr("chain.ledger.fabric.evidence._orderers_signed", lambda *_: None)


def _in_block(evidence: FabricEvidence, envelope: bytes) -> FabricEvidence:
    envelopes = list(evidence.envelopes)
    envelopes[evidence.position] = envelope
    header = replace(evidence.header, data_hash=data_hash(envelopes))
    return replace(evidence, envelopes=tuple(envelopes), header=header)


def _envelope(evidence: FabricEvidence) -> Any:
    return protos.common.Envelope.FromString(evidence.envelopes[evidence.position])


def _endorser(evidence: FabricEvidence) -> bytes:
    found: list[bytes] = []
    _payload_edited(_envelope(evidence).payload, lambda action: found.append(action.action.endorsements[0].endorser))
    return found[0]


@pytest.mark.usefixtures("blind")
def test_the_client_signed(golden: tuple[FabricEvidence, bytes]) -> None:
    evidence, pin = golden
    envelope = _envelope(evidence)
    other = protos.common.Envelope.FromString(evidence.envelopes[evidence.position - 1])
    envelope.signature = other.signature
    with pytest.raises(SignatureError, match="does not verify under the key of CN=User1@"):
        verify(_in_block(evidence, envelope.SerializeToString()), {pin})


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize("part", ["tx_id", "nonce"])
def test_the_transaction_id_is_the_hash_of_nonce_and_creator(golden: tuple[FabricEvidence, bytes], part: str) -> None:
    evidence, pin = golden
    envelope = _envelope(evidence)
    envelope.payload = _edited(protos.common.Payload, envelope.payload, lambda p: _edit_header(p, part))
    with pytest.raises(ProofError, match="is not the hash of its nonce and creator"):
        verify(_in_block(evidence, envelope.SerializeToString()), {pin})


def test_a_transaction_is_of_its_channel(golden: tuple[FabricEvidence, bytes]) -> None:
    """Two channels may have the same orderers and organisations."""
    other = replace(_channel(golden[0]), name="other")
    with pytest.raises(ProofError, match="for the channel 'sealtrail', not for 'other'"):
        module._transaction(golden[0], other)


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize("part", ["nonce", "tx_id", "channel", "argument", "result", "status"])
def test_parts_of_a_transaction_belong_together(golden: tuple[FabricEvidence, bytes], part: str) -> None:
    evidence, pin = golden
    envelope = _envelope(evidence)
    edits: dict[str, Edit] = {
        "argument": _edit_argument, "result": lambda a: _edit_answer(a, "payload", b"other"),
        "status": lambda a: _edit_answer(a, "status", 400),
    }  # fmt: skip
    if part in edits:
        envelope.payload = _payload_edited(envelope.payload, edits[part])
    else:
        envelope.payload = _edited(protos.common.Payload, envelope.payload, lambda p: _edit_header(p, part))
    # The result is bound by the endorsements, all else by hashes; the client's signature fails for each.
    expected = SignatureError if part in ("result", "status") else (ProofError, FormatError)
    with pytest.raises(expected):
        verify(_in_block(evidence, envelope.SerializeToString()), {pin})


def _edit_header(payload: Any, part: str) -> None:
    if part == "nonce":
        header = protos.common.SignatureHeader.FromString(payload.header.signature_header)
        header.nonce = _flip(header.nonce)
        payload.header.signature_header = header.SerializeToString()
    else:
        header = protos.common.ChannelHeader.FromString(payload.header.channel_header)
        setattr(header, {"tx_id": "tx_id", "channel": "channel_id"}[part], "0" * 64)
        payload.header.channel_header = header.SerializeToString()


def _edit_argument(action: Any) -> None:
    payload = protos.proposal.ChaincodeProposalPayload.FromString(action.chaincode_proposal_payload)
    spec = protos.chaincode.ChaincodeInvocationSpec.FromString(payload.input)
    spec.chaincode_spec.input.args[2] = b"another value"
    payload.input = spec.SerializeToString()
    action.chaincode_proposal_payload = payload.SerializeToString()


def _edit_answer(action: Any, name: str, value: Any) -> None:
    payload = protos.response.ProposalResponsePayload.FromString(action.action.proposal_response_payload)
    answer = protos.proposal.ChaincodeAction.FromString(payload.extension)
    setattr(answer.response, name, value)
    payload.extension = answer.SerializeToString()
    action.action.proposal_response_payload = payload.SerializeToString()


@pytest.mark.usefixtures("blind")
def test_result_is_bound_by_the_endorsements(
    golden: tuple[FabricEvidence, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even a client who signs the altered result himself does not get past the endorsements."""
    evidence, pin = golden
    envelope = _envelope(evidence)
    envelope.payload = _payload_edited(envelope.payload, lambda a: _edit_answer(a, "payload", b"other"))
    real = channels.Channel.verify_endorsements
    seen: list[int] = []

    def endorsements(self: Channel, found: Any) -> frozenset[str]:
        seen.append(1)
        return real(self, found)

    monkeypatch.setattr(channels.Channel, "verify_endorsements", endorsements)
    monkeypatch.setattr("chain.ledger.fabric.evidence._transaction", _without_client_signature)
    with pytest.raises(SignatureError, match="does not verify under the key of CN=peer0"):
        verify(_in_block(evidence, envelope.SerializeToString()), {pin})
    assert seen == [1]


def _without_client_signature(evidence: FabricEvidence, channel: Channel) -> Any:
    from chain.ledger.fabric.transaction import read_transaction

    envelope = _envelope(evidence)
    return envelope, read_transaction(envelope.payload)


def test_another_chaincode_is_refused(golden: tuple[FabricEvidence, bytes]) -> None:
    with pytest.raises(ProofError, match="of the chaincode 'small', expected 'sealtrail'"):
        module.verify(golden[0], {golden[1]})


# Step 6: the attestation.


def _attested(evidence: FabricEvidence, edit: Edit) -> FabricEvidence:
    return replace(evidence, attestation=_payload_edited(evidence.attestation, edit))


def test_too_few_attest(golden: tuple[FabricEvidence, bytes]) -> None:
    def one(action: Any) -> None:
        del action.action.endorsements[1:]

    with pytest.raises(SignatureError, match="2 organisations must endorse on sealtrail, got Org"):
        verify(_attested(golden[0], one), {golden[1]})


def test_one_organisation_attests_once(golden: tuple[FabricEvidence, bytes]) -> None:
    def twice(action: Any) -> None:
        action.action.endorsements[1].CopyFrom(action.action.endorsements[0])

    with pytest.raises(SignatureError, match="2 organisations must endorse"):
        verify(_attested(golden[0], twice), {golden[1]})


def test_the_attestation_is_of_this_transaction(golden: tuple[FabricEvidence, bytes]) -> None:
    evidence, pin = golden
    with pytest.raises(ProofError, match="answers another query"):
        verify(replace(evidence, position=0), {pin})
    with pytest.raises(ProofError, match="answers another query"):
        verify(replace(evidence, attestation=_envelope(evidence).payload), {pin})


def test_an_attestation_of_invalid_is_refused(golden: tuple[FabricEvidence, bytes]) -> None:
    """What peers answer about a transaction that lost a conflict; their signatures do not even come to be read."""
    evidence, pin = golden
    invalid = protos.transaction.ProcessedTransaction(transactionEnvelope=_envelope(evidence), validationCode=11)
    forged = _attested(evidence, lambda a: _edit_answer(a, "payload", invalid.SerializeToString()))
    with pytest.raises(ProofError, match="does not say that this transaction was committed as valid"):
        verify(forged, {pin})


def test_an_altered_attestation_is_refused(golden: tuple[FabricEvidence, bytes]) -> None:
    """Same answer, but another field of the signed payload changed."""
    with pytest.raises(SignatureError, match="does not verify under the key of CN=peer0"):
        verify(_attested(golden[0], lambda a: _edit_answer(a, "message", "hello")), {golden[1]})


# Everything else.


@pytest.mark.parametrize("position", [-1, 3, 2**62])
def test_there_is_no_transaction_elsewhere(position: int) -> None:
    evidence, pin = _golden("BFT")
    assert len(evidence.envelopes) <= 3
    with pytest.raises(FormatError, match="none at"):
        verify(replace(evidence, position=position), {pin})


def _leaves(item: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(item, dict | list):
        for key in item if isinstance(item, dict) else range(len(item)):
            yield from _leaves(item[key], (*path, key))
    else:
        yield path


@settings(max_examples=150)
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_no_flipped_bit_passes_unseen(data: st.DataObject, kind: str) -> None:
    """Whatever bit is flipped: refused by our own errors, or nothing that is proved has changed. What may change is
    an endorsement or signature beyond those that are needed, and encodings that protobuf reads alike."""
    item = cbor.decode((GOLDEN / f"{kind}.cbor").read_bytes(), 2**20)
    paths = [path for path in _leaves(item) if type(_at(item, path)) is bytes and _at(item, path)]
    path = data.draw(st.sampled_from(paths))
    value = bytearray(_at(item, path))
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    _at(item, path[:-1])[path[-1]] = bytes(value)
    before = verify(_golden(kind)[0], {_pin(kind)})
    assert _verified(cbor.encode(item), _pin(kind)) in (None, before)


def _at(item: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        item = item[key]
    return item


def _verified(data: bytes, pin: bytes) -> Proved | None:
    try:
        return verify(FabricEvidence.decode(data), {pin})
    except SealtrailError:
        return None


@given(st.binary(max_size=200))
def test_bytes_are_refused_by_our_errors_only(data: bytes) -> None:
    with pytest.raises(FormatError):
        FabricEvidence.decode(data)


def test_limits() -> None:
    with pytest.raises(LimitError):
        FabricEvidence.decode(b"\x00" * (1024 * 1024 + 1))


def test_header_hash_links_the_chain() -> None:
    """The DER of a header's number has a leading zero where its top bit is set (X.690, 8.3)."""
    assert BlockHeader(127, b"", b"").encode().hex() == "300702017f04000400"
    assert BlockHeader(128, b"", b"").encode().hex() == "30080202008004000400"
    assert BlockHeader(0, b"", b"").encode().hex() == "3007020100" + "04000400"
    assert BlockHeader(0, b"", b"").hash == sha256(BlockHeader(0, b"", b"").encode()).digest()


def test_verifying_loads_no_grpc() -> None:
    import subprocess
    import sys

    program = "import chain.ledger.fabric.evidence, sys; print('grpc' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False,
                          cwd=GOLDEN.parents[2])  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "False\n")
