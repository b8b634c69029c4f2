"""Follows a channel for one site: each transaction that concerns it is proved, and the proof is kept on disk.

The one way by which proofs come, at work as after a crash: events behind the place that was reached come again. Events
are believed only as a hint where to look; what is kept was verified. A proof that cannot be had now (too few
organisations answer) is tried again, and what is behind it waits; one that can never be had is passed by and told.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from hashlib import sha256

from chain.errors import EvidenceError, LedgerError
from chain.ledger.fabric.evidence import FabricEvidence, verify
from chain.ledger.fabric.kept import KeptProofs, written
from chain.ledger.interface import Ledger, LedgerEvent
from chain.policy import ChannelLine
from chaincode.errors import ContractError
from chaincode.log_records import AnchoredCheckpoint
from crypto import cbor
from crypto.errors import FormatError, SealtrailError

log = logging.getLogger(__name__)
MAX_EVENT_BYTES = 8 * 1024
PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
ANCHORED, FORK = "logs.anchored", "logs.fork"
IDENTITY = (
    "identities.enrolled", "identities.rotated", "identities.revoked", "identities.recovery-key",
    "identities.recovered",
)  # fmt: skip
SHIPMENT = tuple(f"coldchain.{name}" for name in ("opened", "reported", "excursion", "closed", "released"))
OnKept = Callable[[LedgerEvent], Awaitable[None]]


class ProofKeeper:
    """Keeps `kept` up to date with the channel, as far as the log `origin` is concerned."""

    def __init__(self, ledger: Ledger, kept: KeptProofs, origin: str, on_kept: OnKept) -> None:
        """`on_kept` is awaited with each event of the log and its identities, its proof being kept by then."""
        self._ledger, self._kept, self._origin, self._on_kept = ledger, kept, origin, on_kept
        self._head = 0
        self.problem = ""

    async def run(self) -> None:
        """Follow until the ledger is closed."""
        pause = PAUSE_S
        while True:
            try:
                await self._follow()
                return
            except Exception as e:  # outermost boundary of this task: it must outlive any fault, and say so
                log.warning("proofs wait: %s", e, exc_info=not isinstance(e, SealtrailError))
                self.problem = str(e) or repr(e)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _follow(self) -> None:
        await self._look_ahead()
        async for event in self._ledger.events(self._kept.place, self._ours):
            await self._deal_with(event)
            self.problem = ""

    async def _look_ahead(self) -> None:
        """Checkpoints below the head of now are not worth a proof: receipts stand under the newest one."""
        with contextlib.suppress(LedgerError, ContractError):  # away, or not registered: none is outrun
            head = await self._ledger.evaluate("logs.head", self._origin.encode())
            self._head = AnchoredCheckpoint.decode(head).size

    def _ours(self, name: str, payload: bytes) -> bool:
        """Whether an event is of this log (origin first), or of one of its identities or of a shipment on which it
        reports (origin second)."""
        try:
            items = cbor.decode(payload, MAX_EVENT_BYTES)
        except FormatError:
            return False
        place = 0 if name in (ANCHORED, FORK) else 1 if name in (*IDENTITY, *SHIPMENT) else None
        return place is not None and type(items) is list and items[place : place + 1] == [self._origin]

    async def _deal_with(self, event: LedgerEvent) -> None:
        if event.name == FORK or self._outrun(event):
            self._kept.pass_by(event.index)
            if event.name == FORK:
                await self._tell(event)
            return
        try:
            evidence = await self._evidence(event.index)
            policy = await self._policy(event) if event.name == SHIPMENT[0] else b""
        except EvidenceError as e:
            log.error("no receipt can show transaction %s of the ledger: %s", event.tx_id, e)
            self._kept.pass_by(event.index)
            if event.name in IDENTITY:  # it counts all the same
                await self._tell(event)
            return
        self._keep(event, evidence, policy)
        if event.name not in SHIPMENT:
            await self._tell(event)

    def _outrun(self, event: LedgerEvent) -> bool:
        """Whether a newer checkpoint was anchored before this follower began."""
        return event.name == ANCHORED and int(cbor.decode(event.payload, MAX_EVENT_BYTES)[1]) < self._head

    async def _tell(self, event: LedgerEvent) -> None:
        """Until it was heard: the listener may have to ask the ledger itself."""
        while True:
            try:
                await self._on_kept(event)
                return
            except LedgerError as e:
                self.problem = str(e)
                await asyncio.sleep(PAUSE_S)

    async def _evidence(self, index: int) -> bytes:
        pause = PAUSE_S
        while True:
            try:
                found = await self._ledger.evidence(index)
            except EvidenceError:
                raise
            except LedgerError as e:
                self.problem = str(e)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
            else:
                return found

    async def _policy(self, event: LedgerEvent) -> bytes:
        """The policy of a shipment that was opened, by its hash; empty where the peer that is asked has another."""
        items = cbor.decode(event.payload, MAX_EVENT_BYTES)
        policy_id = items[2] if len(items) > 2 and type(items[2]) is bytes else b""
        while True:
            try:
                found = await self._ledger.evaluate("coldchain.get-policy", policy_id)
            except ContractError as e:
                log.error("the policy of a shipment is not on the ledger: %s", e)
                return b""
            except LedgerError as e:
                self.problem = str(e)
                await asyncio.sleep(PAUSE_S)
                continue
            return found if sha256(found).digest() == policy_id else b""

    def _keep(self, event: LedgerEvent, encoded: bytes, policy: bytes) -> None:
        """On the loop: a thread would go on writing after a cancelled task, and proofs come seconds apart."""
        evidence = FabricEvidence.decode(encoded)
        config_hash = evidence.config_header.hash
        proved = verify(evidence, {config_hash})
        pin = ChannelLine(proved.transaction.channel, config_hash)
        self._kept.keep_all(written(proved), encoded, pin, event.index, policy)
