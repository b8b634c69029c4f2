"""Offline proof that a transaction is valid on a Fabric channel, from a pinned hash of the channel's config block.

All of it is untrusted until verified. No Fabric program and no network is needed. What it proves: a quorum of the
channel's orderers put the transaction at this place of the chain, its client asked for it, the peers of enough
organisations computed its result, and peers of as many attest that it was committed as valid (blocks do not: no
orderer signs Fabric's validity flags). It says nothing of wall-clock time: the transaction's time is its client's.
Format: docs/formats/fabric-evidence.md.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Self

from chain.ledger.fabric import protos
from chain.ledger.fabric.block import BlockHeader, data_hash
from chain.ledger.fabric.channel import Channel, Msp, read_channel
from chain.ledger.fabric.transaction import Member, Transaction, read_member, read_transaction
from crypto import cbor
from crypto.errors import FormatError, LimitError, ProofError, SignatureError

VERSION = 1
MAX_EVIDENCE_BYTES = 1024 * 1024  # what a receipt has room for
MAX_ENVELOPES = 10_000
MAX_SIGNATURES = 100
CHAINCODE = "sealtrail"  # the project's contract, under the name it has on a channel
QSCC, BY_ID = "qscc", b"GetTransactionByID"  # Fabric's own query chaincode
VALID = 0  # peer.TxValidationCode
_KEYS = frozenset(range(1, 9))
_HASH = 32


@dataclass(frozen=True, slots=True)
class FabricEvidence:
    """The config block's header and envelope; the block's header, all its envelopes and the orderers' signatures
    (common.Metadata); the transaction's position in it; and the attestation (common.Payload) of its validity."""

    config_header: BlockHeader
    config_envelope: bytes
    header: BlockHeader
    envelopes: tuple[bytes, ...]
    signatures: bytes
    position: int
    attestation: bytes

    def encode(self) -> bytes:
        item: dict[Any, Any] = {
            1: VERSION, 2: _header_item(self.config_header), 3: self.config_envelope, 4: _header_item(self.header),
            5: list(self.envelopes), 6: self.signatures, 7: self.position, 8: self.attestation,
        }  # fmt: skip
        return cbor.encode(item)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """FormatError or LimitError where `data` is not the one encoding of such evidence."""
        item = cbor.decode(data, MAX_EVIDENCE_BYTES)
        cbor.exact_keys(item, _KEYS, "Fabric evidence")
        if cbor.field(item, 1, int, "evidence version") != VERSION:
            raise FormatError(f"expected Fabric evidence of version {VERSION}, got {item[1]}")
        envelopes = cbor.field(item, 5, list, "envelopes")
        if len(envelopes) > MAX_ENVELOPES:
            raise LimitError(f"evidence has at most {MAX_ENVELOPES} envelopes, got {len(envelopes)}")
        if not all(type(envelope) is bytes for envelope in envelopes):
            raise FormatError("the envelopes of a block (key 5) must be bytes")
        return cls(
            _header(item, 2), cbor.field(item, 3, bytes, "config envelope"), _header(item, 4), tuple(envelopes),
            cbor.field(item, 6, bytes, "signatures"), cbor.field(item, 7, int, "position"),
            cbor.field(item, 8, bytes, "attestation"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proved:
    """A transaction that was proved, its place, how many of the channel's consenters signed the block (0 consenters:
    Raft, where one orderer signs), and the organisations whose peers signed its result and validity."""

    transaction: Transaction
    block: int
    position: int
    signed_by: int
    consenters: int
    endorsed_by: frozenset[str]
    attested_by: frozenset[str]


def verify(evidence: FabricEvidence, config_hashes: Collection[bytes], chaincode: str = CHAINCODE) -> Proved:
    """The transaction of the chaincode of this name, once everything about it holds under one of the pinned hashes
    of config blocks (32 bytes each).

    Raises:
        FormatError, LimitError, KeyMaterialError: a part is malformed.
        ProofError: a hash does not lead to what it should.
        SignatureError: an orderer's, peer's or client's signature does not hold, or too few signed.
    """
    # 1. The channel's configuration is the pinned one.
    channel = _config(evidence, config_hashes)
    # 2. The envelopes are those of the block's header.
    if data_hash(evidence.envelopes) != evidence.header.data_hash:
        raise ProofError(f"the envelopes are not those of block {evidence.header.number}: the data hash differs")
    # 3. A quorum of the channel's orderers signed the header, under this configuration.
    signed_by = _orderers_signed(evidence, channel)
    # 4. The transaction at its position is its client's, and its parts belong together.
    envelope, transaction = _transaction(evidence, channel)
    if transaction.chaincode != chaincode:
        raise ProofError(f"the transaction is of the chaincode {transaction.chaincode!r}, expected {chaincode!r}")
    # 5. Peers of enough organisations signed its result.
    endorsed_by = channel.verify_endorsements(transaction.endorsements)
    # 6. Peers of enough organisations signed that it was committed as valid.
    attested_by = _attested(evidence.attestation, envelope, transaction, channel)
    return Proved(
        transaction, evidence.header.number, evidence.position, signed_by, len(channel.consenters), endorsed_by,
        attested_by,
    )  # fmt: skip


def _config(evidence: FabricEvidence, config_hashes: Collection[bytes]) -> Channel:
    header = evidence.config_header
    if header.hash not in config_hashes:
        raise ProofError(f"the config block has the hash {header.hash.hex()}, which is not pinned")
    if data_hash([evidence.config_envelope]) != header.data_hash:
        raise ProofError("the configuration is not that of the pinned config block: the data hash differs")
    return read_channel(header.number, evidence.config_envelope)


def _orderers_signed(evidence: FabricEvidence, channel: Channel) -> int:
    """How many different orderers signed, all of them good and enough."""
    metadata = protos.parse(protos.common.Metadata, evidence.signatures, "the block's signatures")
    if len(metadata.signatures) > MAX_SIGNATURES:
        raise LimitError(f"a block has at most {MAX_SIGNATURES} signatures, got {len(metadata.signatures)}")
    # The signed value names the config block in force: with another one, other orderers might count.
    value = protos.parse(protos.common.OrdererBlockMetadata, metadata.value, "the orderers' metadata")
    if value.last_config.index != channel.number:
        raise ProofError(f"the block is under config block {value.last_config.index}, pinned is {channel.number}")
    sign = _bft_signer if channel.consensus == "BFT" else _raft_signer
    signers = {sign(one, metadata.value, evidence.header, channel) for one in metadata.signatures}
    if len(signers) < channel.quorum:
        raise SignatureError(
            f"block {evidence.header.number} has good signatures of {len(signers)} orderers, needs {channel.quorum}"
        )
    return len(signers)


def _bft_signer(one: Any, value: bytes, header: BlockHeader, channel: Channel) -> int:
    """The id of the consenter whose signature this is."""
    found = protos.parse(protos.common.IdentifierHeader, one.identifier_header, "an identifier header").identifier
    if found not in channel.consenters:
        raise SignatureError(f"the block is signed by orderer {found}, who is no consenter of the channel")
    certificate = channel.consenters[found].certificate
    certificate.verify(one.signature, value + one.identifier_header + header.encode())
    return int(found)


def _raft_signer(one: Any, value: bytes, header: BlockHeader, channel: Channel) -> Member:
    """The orderer whose signature this is: a member, by its organisation's CA, in the role of orderer."""
    found = protos.parse(protos.common.SignatureHeader, one.signature_header, "a signature header")
    signer = read_member(found.creator)
    organisation: Msp | None = channel.orderers.get(signer.msp_id)
    if organisation is None:
        raise SignatureError(f"the block is signed by {signer.msp_id}, which runs no orderer of the channel")
    organisation.require(signer.certificate, "orderer")
    signer.certificate.verify(one.signature, value + one.signature_header + header.encode())
    return signer


def _transaction(evidence: FabricEvidence, channel: Channel) -> tuple[Any, Transaction]:
    if not 0 <= evidence.position < len(evidence.envelopes):
        raise FormatError(f"the block has {len(evidence.envelopes)} transactions, none at {evidence.position}")
    data = evidence.envelopes[evidence.position]
    envelope = protos.parse(protos.common.Envelope, data, "an envelope")
    transaction = read_transaction(envelope.payload)
    if transaction.channel != channel.name:
        raise ProofError(f"the transaction is for the channel {transaction.channel!r}, not for {channel.name!r}")
    channel.member_of_application(transaction.creator, "client")
    transaction.creator.certificate.verify(envelope.signature, envelope.payload)
    return envelope, transaction


def _attested(payload: bytes, envelope: Any, transaction: Transaction, channel: Channel) -> frozenset[str]:
    """The attestation is an endorsed query of Fabric's own chaincode qscc that was never submitted."""
    query = read_transaction(payload)
    asked = (BY_ID, channel.name.encode(), transaction.tx_id.encode())
    if (query.channel, query.chaincode, query.args) != (channel.name, QSCC, asked):
        raise ProofError("the attestation is not of this transaction: it answers another query")
    valid = protos.transaction.ProcessedTransaction(transactionEnvelope=envelope, validationCode=VALID)
    if query.status != 200 or query.result != valid.SerializeToString():
        raise ProofError("the attestation does not say that this transaction was committed as valid")
    return channel.verify_endorsements(query.endorsements)


def _header_item(header: BlockHeader) -> list[Any]:
    return [header.number, header.previous_hash, header.data_hash]


def _header(item: Any, key: int) -> BlockHeader:
    parts = cbor.field(item, key, list, "a block header")
    if [type(part) for part in parts] != [int, bytes, bytes] or not 0 <= parts[0] < 2**63:
        raise FormatError(f"a block header (key {key}) is a list of a number, the previous hash and the data hash")
    if len(parts[1]) not in (0, _HASH) or len(parts[2]) != _HASH:
        raise FormatError(f"the hashes of a block header (key {key}) have {_HASH} bytes")
    return BlockHeader(*parts)
