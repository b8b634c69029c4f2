"""What a client reads of the chain itself: blocks, places of transactions, the configuration, and evidence."""

import asyncio
from collections.abc import Collection
from hashlib import sha256
from typing import Any

from chain.errors import EvidenceError, LedgerError
from chain.ledger.fabric import protos
from chain.ledger.fabric.blocks import Block, read_block
from chain.ledger.fabric.channel import Channel, read_channel
from chain.ledger.fabric.errors import EndorseError, EvaluateError
from chain.ledger.fabric.evidence import BY_ID, QSCC, FabricEvidence, verify
from chain.ledger.fabric.gateway import Gateway
from chain.ledger.fabric.profile import Identity
from chain.ledger.fabric.proposal import Proposal, make_proposal
from crypto.errors import FormatError, SealtrailError

POSITION_BITS = 20
MAX_PLACES = 256  # blocks whose transaction ids are kept
ATTEST_TRIES, PATIENT_TRIES, ATTEST_PAUSE_S = 20, 6, 0.25


class Reader:
    """Reads through the gateway as one member. With `config_hashes`, only these configurations are taken."""

    def __init__(
        self, gateway: Gateway, identity: Identity, channel: str, chaincode: str, config_hashes: Collection[bytes]
    ) -> None:
        self._gateway, self._identity, self._name, self._chaincode = gateway, identity, channel, chaincode
        self._pinned = frozenset(config_hashes)
        self._channel: Channel | None = None
        self._places: dict[int, tuple[str, ...]] = {}

    async def channel(self, renew: bool = False) -> Channel:
        """The channel's latest configuration, read once unless `renew`; LedgerError where it is not pinned."""
        if self._channel is None or renew:
            data = await self._gateway.evaluate(self._query("cscc", b"GetConfigBlock", self._name.encode()))
            block = read_block(data)
            self._require_pinned(block)
            self._channel = read_channel(block.header.number, block.envelopes[0])
        return self._channel

    async def block(self, number: int) -> Block:
        query = self._query(QSCC, b"GetBlockByNumber", self._name.encode(), str(number).encode())
        return read_block(await self._gateway.evaluate(query))

    async def index(self, block: int, tx_id: str) -> int:
        """The index of a transaction that stands in `block`; LedgerError where it does not."""
        if block not in self._places:
            ids = (await self.block(block)).transaction_ids()
            while len(self._places) >= MAX_PLACES:
                self._places.pop(next(iter(self._places)))
            self._places[block] = ids
        try:
            return block << POSITION_BITS | self._places[block].index(tx_id)
        except ValueError as e:
            raise LedgerError(f"the peer says that block {block} holds the transaction {tx_id}, but it does not") from e

    async def evidence(self, number: int, position: int) -> bytes:
        """Encoded evidence of the transaction at a place; verified before it is handed out."""
        block = await self._existing(number, position)
        config = await self.block(block.last_config)
        self._require_pinned(config)
        channel = read_channel(config.header.number, config.envelopes[0])
        tx_id = block.transaction_ids()[position]
        found = FabricEvidence(
            config.header, config.envelopes[0], block.header, block.envelopes, block.signatures, position,
            await self._attestation(tx_id, channel),
        )  # fmt: skip
        try:
            verify(found, {config.header.hash}, self._chaincode)
            encoded = found.encode()
            FabricEvidence.decode(encoded)
        except SealtrailError as e:
            raise EvidenceError(f"the evidence of transaction {tx_id} does not hold: {e}") from e
        return encoded

    async def _existing(self, number: int, position: int) -> Block:
        try:
            block = await self.block(number)
        except EvaluateError as e:
            raise LedgerError(f"the channel {self._name} has no block {number} that can be read: {e}") from e
        if position >= len(block.envelopes):
            raise LedgerError(f"block {number} has {len(block.envelopes)} transactions, none at {position}")
        return block

    async def _attestation(self, tx_id: str, channel: Channel) -> bytes:
        """One query, never submitted, endorsed by all organisations; after a while by as many as can be reached, if
        the channel's rule is content with them. Peers may be a block behind for a moment."""
        query = self._query(QSCC, BY_ID, self._name.encode(), tx_id.encode())
        for tried in range(ATTEST_TRIES):
            answers = await asyncio.gather(
                *(self._gateway.endorse(query, [name]) for name in channel.applications), return_exceptions=True
            )
            good = [answer for answer in answers if isinstance(answer, bytes)]
            merged, count = _merged(good) if good else (b"", 0)
            if count >= (channel.endorsers if tried >= PATIENT_TRIES else len(channel.applications)):
                return merged
            for answer in answers:
                if isinstance(answer, BaseException) and not isinstance(answer, EndorseError):
                    raise answer
            await asyncio.sleep(ATTEST_PAUSE_S)
        raise LedgerError(f"{count} organisations attest transaction {tx_id}, needed are {channel.endorsers}")

    def _query(self, chaincode: str, *args: bytes) -> Proposal:
        return make_proposal(self._identity, self._name, chaincode, args)

    def _require_pinned(self, config: Block) -> None:
        if len(config.envelopes) != 1 or config.header.data_hash != sha256(config.envelopes[0]).digest():
            raise FormatError(f"block {config.header.number} is no config block")
        if self._pinned and config.header.hash not in self._pinned:
            raise LedgerError(
                f"the configuration of {self._name} in block {config.header.number} has the hash "
                f"{config.header.hash.hex()}, which is not pinned; compare it with the other organisations' and pin it"
            )


def _merged(payloads: list[bytes]) -> tuple[bytes, int]:
    """The answer that most organisations gave, with the endorsements of all who gave it, and how many they are."""
    by_answer: dict[bytes, list[tuple[Any, Any, Any]]] = {}
    for payload in payloads:
        opened = _opened(payload)
        by_answer.setdefault(opened[2].action.proposal_response_payload, []).append(opened)
    (outer, data, action), *others = max(by_answer.values(), key=len)
    for _, _, other in others:
        action.action.endorsements.extend(other.action.endorsements)
    data.actions[0].payload = action.SerializeToString()
    outer.data = data.SerializeToString()
    return outer.SerializeToString(), 1 + len(others)


def _opened(payload: bytes) -> tuple[Any, Any, Any]:
    outer = protos.read(protos.common.Payload, payload, "a payload")
    data = protos.read(protos.transaction.Transaction, outer.data, "a transaction")
    if len(data.actions) != 1:
        raise FormatError("expected a transaction of one action")
    action = protos.read(protos.transaction.ChaincodeActionPayload, data.actions[0].payload, "an action")
    return outer, data, action
