"""Hyperledger Fabric behind chain.ledger.interface.Ledger: one channel and chaincode, seen as one member.

A transaction's index is block number × 2^20 + its position in the block, so indices grow but have gaps. The gateway
peer is untrusted with what it prepares; its answers to queries and its events are believed.
"""

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import Self

from chain.errors import LedgerError
from chain.ledger.fabric.connection import Connection
from chain.ledger.fabric.events import follow
from chain.ledger.fabric.gateway import Gateway
from chain.ledger.fabric.patience import PATIENCE_S, patiently
from chain.ledger.fabric.profile import Identity, Profile, read_identity
from chain.ledger.fabric.proposal import NONE, Proposal, Transient, make_proposal
from chain.ledger.fabric.reader import POSITION_BITS, Reader
from chain.ledger.fabric.submission import Submission
from chain.ledger.interface import LedgerEvent, Submitted, Wanted, every
from chaincode import contract
from crypto.keys import PrivateKey

MAX_IN_FLIGHT = 64


def _is_query(function: str) -> bool:
    return contract.function_named(function).query


class FabricLedger:
    """The ledger that a connection profile describes."""

    def __init__(
        self,
        profile: Profile,
        caller: PrivateKey | None = None,
        *,
        identity: Identity | None = None,
        config_hashes: Collection[bytes] = (),
        is_query: Callable[[str], bool] = _is_query,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`caller` is the identity's key by which the contract knows who calls; without it only functions that ask
        for no identity work. `identity` signs Fabric's part instead of the profile's key file. `config_hashes` pins
        the hashes of the channel's config blocks (32 bytes each); without it the configuration is believed as the
        gateway peer tells it. `is_query` says which functions of the chaincode are never submitted. What fails and
        passes is tried again for `patience_s` seconds before a call raises."""
        identity = identity or read_identity(profile)
        self._connection = Connection(profile.gateways)
        gateway = Gateway(self._connection, identity, profile.channel)
        self._reader = Reader(gateway, identity, profile.channel, profile.chaincode, config_hashes)
        self._submission = Submission(gateway, identity, self._reader, profile, patience_s)
        self._gateway, self._identity, self._profile = gateway, identity, profile
        self._caller, self._patience_s = caller, patience_s
        self._is_query = is_query
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._closed = asyncio.Event()

    def as_caller(self, caller: PrivateKey) -> Self:
        """The same open ledger with another caller's key; closing one closes both."""
        other = copy.copy(self)
        other._caller = caller
        return other

    async def submit(self, function: str, *args: bytes, transient: Transient = NONE) -> Submitted:
        """See Ledger.submit. Errors are of chain.ledger.fabric.errors and name the stage. `transient` is given to the
        endorsing peers' chaincodes, and is in no transaction."""
        self._require_open()
        if self._is_query(function):
            raise LedgerError(f"{function} is a query: evaluate it")
        async with self._slots:
            return await self._submission.run((function.encode(), *args), self._caller, transient)

    async def evaluate(self, function: str, *args: bytes) -> bytes:
        self._require_open()
        called = (function.encode(), *args)
        async with self._slots:
            return await patiently(lambda: self._gateway.evaluate(self._proposal(called)), self._patience_s)

    def _proposal(self, called: Sequence[bytes]) -> Proposal:
        return make_proposal(self._identity, self._profile.channel, self._profile.chaincode, called, self._caller)

    async def events(self, after: int, wanted: Wanted = every) -> AsyncIterator[LedgerEvent]:
        chaincode = self._profile.chaincode
        source = follow(self._gateway, self._connection, self._reader, chaincode, after, self._closed, wanted)
        async with contextlib.aclosing(source):
            async for event in source:
                yield event

    async def evidence(self, index: int) -> bytes:
        """Encoded chain.ledger.fabric.evidence.FabricEvidence. LedgerError where there is no valid transaction at
        `index`, or too few organisations attest it."""
        self._require_open()
        async with self._slots:
            return await self._reader.evidence(index >> POSITION_BITS, index & ((1 << POSITION_BITS) - 1))

    async def close(self) -> None:
        self._closed.set()
        # Every slot is free once nothing runs; a closed channel would cancel the callers' tasks.
        for _ in range(MAX_IN_FLIGHT):
            await self._slots.acquire()
        await self._connection.close()

    def _require_open(self) -> None:
        if self._closed.is_set():
            raise LedgerError("this ledger is closed")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
