"""Blocks as a peer hands them out through Fabric's own query chaincodes, taken apart for use and for evidence."""

from dataclasses import dataclass

from chain.ledger.fabric import protos
from chain.ledger.fabric.block import BlockHeader
from crypto.errors import FormatError

SIGNATURES = 0  # common.BlockMetadataIndex


@dataclass(frozen=True, slots=True)
class Block:
    """A block as it came: header, all envelopes, and the orderers' signatures (common.Metadata). Nothing of it has
    been verified."""

    header: BlockHeader
    envelopes: tuple[bytes, ...]
    signatures: bytes

    @property
    def last_config(self) -> int:
        """The number of the config block in force."""
        metadata = protos.read(protos.common.Metadata, self.signatures, "the block's signatures")
        value = protos.read(protos.common.OrdererBlockMetadata, metadata.value, "the orderers' metadata")
        return int(value.last_config.index)

    def transaction_ids(self) -> tuple[str, ...]:
        """The ids of the block's transactions, in their order."""
        return tuple(map(_transaction_id, self.envelopes))


def read_block(data: bytes) -> Block:
    """FormatError where `data` is no block with metadata."""
    block = protos.read(protos.common.Block, data, "a block")
    if not block.metadata.metadata:
        raise FormatError(f"block {block.header.number} came without metadata")
    header = BlockHeader(block.header.number, block.header.previous_hash, block.header.data_hash)
    return Block(header, tuple(block.data.data), block.metadata.metadata[SIGNATURES])


def _transaction_id(data: bytes) -> str:
    envelope = protos.read(protos.common.Envelope, data, "an envelope")
    payload = protos.read(protos.common.Payload, envelope.payload, "a payload")
    header = protos.read(protos.common.ChannelHeader, payload.header.channel_header, "a channel header")
    return str(header.tx_id)
