"""The cold chain of one gateway, put together: what REST, commands, pages and other parts work with."""

import asyncio
import logging
import time
from contextlib import closing
from hashlib import sha256

import msgspec

from chain.ledger.interface import LedgerEvent
from chain.site import Folder, SiteReader
from chaincode.coldchain.policy import Policy
from chaincode.coldchain.records import Explanation, Progress, Shipment
from crypto import cbor
from gateway.coldchain.collector import first_leaf_since
from gateway.coldchain.consent import Consent
from gateway.coldchain.errors import ShipmentError
from gateway.coldchain.ledger_view import LedgerView
from gateway.coldchain.shipping_order import Opening
from gateway.coldchain.store import ShipmentStore, Tracked
from gateway.coldchain.watching import Watching
from gateway.custody.units import Units
from gateway.delivery.opening import note_alert
from gateway.pipeline.committer import Committed
from gateway.supply.ground import Ground
from gateway.supply.proving import Prover

SOURCE = "shipments"  # the gateway's own; its records say "gateway only"
MAX_EVENT_BYTES = 2**20
ASK_S = 60.0
log = logging.getLogger(__name__)


class ColdChain:
    """Acts for this gateway's organisation. ContractError where the contract refuses, LedgerError where the ledger
    cannot be asked, ShipmentError and what custody raises for names that are not known here."""

    def __init__(self, ground: Ground, store: ShipmentStore, units: Units) -> None:
        self._ground, self._store, self._units = ground, store, units
        self.view = LedgerView(ground.ledger, ground.folder.origin)
        self._log, self._prover = ground.own_log(SOURCE, "shipment"), Prover(ground)
        self._watching = Watching(ground, self.view, store, self._note, self._prover)
        self._consent, self._asked = Consent.of(ground.config), dict[str, float]()

    # -- what people do

    async def open(self, wanted: Opening, by: str = "") -> Shipment:
        """Put goods on their way under a policy: the policy is on the ledger first, then a record of ours says so."""
        origin = self._ground.folder.origin
        if (wanted.reporter or origin) == origin:
            self._require_readable()
        arguments = await asyncio.to_thread(wanted.arguments, self._ground.folder.origin, self._units)
        rules = wanted.rules()
        if not await self.view.has_policy(rules.id):
            await self._ground.ledger.submit("coldchain.policy", rules.encode())
        evidence = await self._evidence(wanted.shipment_id, "open", by)
        done = await self._ground.ledger.submit("coldchain.open", *arguments, evidence)
        shipment = Shipment.decode(done.result)
        await self._track(shipment, rules)
        return shipment

    async def explain(self, shipment_id: bytes, alarm: int, code: str, text: str, by: str = "") -> Explanation:
        """Say how an alarm came about. The text stays here, in a record of the log; the ledger gets its SHA-256."""
        evidence = await self._evidence(shipment_id, "explain", by, alarm=alarm, code=code, text=text)
        digest = sha256(text.encode()).digest()
        done = await self._ground.ledger.submit(
            "coldchain.explain", shipment_id, str(alarm).encode(), code.encode(), digest, evidence
        )
        return Explanation.decode(done.result)

    async def release(self, shipment_id: bytes, reason: str, by: str = "") -> Progress:
        """Let the units go, as another organisation than the one that reported. The reason stands on the ledger."""
        return await self._end("coldchain.release", "release", shipment_id, reason, by)

    async def accept(self, shipment_id: bytes, by: str = "") -> None:
        """Report a shipment that this gateway would not report by itself. ShipmentError where it is not ours to."""
        shipment, _ = await self.view.shipment(shipment_id)
        if shipment.reporter_origin != self._ground.folder.origin:
            raise ShipmentError(f"this shipment is reported by {shipment.reporter_origin}, not by this gateway")
        self._require_readable()
        policy = await self.view.policy(shipment.policy_id)
        await self._note(shipment_id, "accept", by)
        await self._watching.drop(shipment_id)  # as one that others report
        await self._track(shipment, policy)

    async def close(self, shipment_id: bytes, by: str = "") -> Progress:
        """The goods have arrived with us."""
        return await self._end("coldchain.close", "close", shipment_id, None, by)

    async def get(self, shipment_id: bytes) -> tuple[Shipment, Progress, Policy]:
        """UnknownShipmentError where the ledger has none."""
        shipment, progress = await self.view.shipment(shipment_id)
        return shipment, progress, await self.view.policy(shipment.policy_id)

    def concerns(self, shipment_id: bytes) -> Tracked | None:
        """The shipment, where it concerns this gateway. Blocks for moments."""
        return self._store.get(shipment_id)

    def any(self) -> bool:
        """Whether a shipment ever concerned this gateway. Blocks for moments."""
        return self._store.any()

    def problems(self) -> dict[bytes, str]:
        """Why shipments cannot be reported now, by their ids."""
        return self._watching.problems()

    # -- what happens

    def after(self) -> int:
        """The index of the ledger's transaction that was heeded last. Blocks for moments, as `heeded` does."""
        return self._store.after()

    def heeded(self, index: int) -> None:
        """Everything up to this transaction was heeded, by all who listen."""
        self._store.heeded(index)

    def committed(self, news: Committed) -> None:
        """After each commit, on the loop."""
        self._watching.committed(news)

    async def heed(self, event: LedgerEvent) -> None:
        """An event of the ledger: shipments that concern us are watched from their opening on."""
        if not event.name.startswith("coldchain.") or event.name == "coldchain.policy":
            return
        items = cbor.decode(event.payload, MAX_EVENT_BYTES)
        if event.name == "coldchain.opened":
            await self._opened(items[0])
        self._watching.wake(items[0])

    async def start(self) -> None:
        """Go on with what was under way."""
        for tracked in await asyncio.to_thread(self._store.under_way):
            self._watching.add(tracked)

    async def end(self) -> None:
        await self._watching.close()

    def _require_readable(self) -> None:
        if self._ground.config.sealing.recipients:
            raise ShipmentError(
                f"{self._ground.folder.origin} seals its payloads to others (sealing.recipients) and cannot read its"
                " loggers' readings: it would report nothing but gaps; another gateway must be the reporter"
            )

    async def _opened(self, shipment_id: bytes) -> None:
        """Somebody opened a shipment: what concerns us is watched, and reported where its opener may ask that of us."""
        # 1. Those that have a stake are its opener, its reporter and its recipient.
        shipment, _ = await self.view.shipment(shipment_id)
        ours, here = await self.view.organisation(), shipment.reporter_origin == self._ground.folder.origin
        if ours not in (shipment.opener, shipment.reporter, shipment.recipient):
            return
        # 2. What is known goes on as it was decided.
        if await asyncio.to_thread(self._store.get, shipment_id) is not None:
            return
        # 3. Nobody puts more on us than is bounded, nor has our readings published by naming us.
        under_way = await asyncio.to_thread(self._store.count, shipment.opener)
        against = self._consent.against_watching(shipment, ours, under_way)
        if not against:
            refused = self._consent.against_reporting(shipment, ours, time.time_ns() // 1000) if here else ""
            if not refused or ours == shipment.recipient:
                await self._track(shipment, await self.view.policy(shipment.policy_id), reports=not refused)
            against = refused
        if against:
            await self._ask(shipment, against)

    async def _ask(self, shipment: Shipment, against: str) -> None:
        """A person decides; one alert a minute for each opener, however many it opens."""
        log.warning("shipment %s of %s is not taken: %s", shipment.shipment_id.hex(), shipment.opener, against)
        now = time.monotonic()
        if now - self._asked.get(shipment.opener, -ASK_S) >= ASK_S:
            self._asked[shipment.opener] = now  # as many as there are organisations on the ledger
            text = (
                f"{shipment.opener} opened shipment {shipment.shipment_id.hex()}, which waits for your word: {against}"
            )
            await asyncio.to_thread(note_alert, self._ground.folder, "unaccepted", shipment.opener, text)

    async def _track(self, shipment: Shipment, policy: Policy, *, reports: bool = True) -> None:
        tracked = await asyncio.to_thread(self._keep, shipment, policy, reports)
        self._watching.add(tracked)

    def _keep(self, shipment: Shipment, policy: Policy, reports: bool) -> Tracked:
        known = self._store.get(shipment.shipment_id)
        here = reports and shipment.reporter_origin == self._ground.folder.origin
        if known is not None and (known.first is not None or not here):
            return known
        first = _first_leaf(self._ground.folder, shipment.from_us - policy.clock_s * 1_000_000) if here else None
        tracked = Tracked(shipment, policy, first)
        self._store.put(tracked)
        return tracked

    async def _end(self, function: str, act: str, shipment_id: bytes, reason: str | None, by: str) -> Progress:
        evidence = await self._evidence(shipment_id, act, by, text=reason or "")
        more = () if reason is None else (reason.encode("ascii", "replace"),)
        done = await self._ground.ledger.submit(function, shipment_id, *more, evidence)
        return Progress.decode(done.result)

    async def _evidence(self, shipment_id: bytes, act: str, by: str, **more: object) -> bytes:
        return await self._prover.evidence(await self._note(shipment_id, act, by, **more))

    async def _note(self, shipment_id: bytes, act: str, by: str = "", **more: object) -> int:
        """A record of our own that says what is done; its index."""
        said = {"act": act, "shipment": shipment_id.hex(), "by": by[:100], **more}
        return await self._log.append(msgspec.json.encode(said))


def _first_leaf(folder: Folder, at_us: int) -> int:
    with closing(SiteReader.open(folder)) as reader:
        return first_leaf_since(reader, at_us)


async def open_cold(ground: Ground, units: Units) -> ColdChain:
    """Goes on with the shipments under way; it ends with the gateway."""
    store = await asyncio.to_thread(ShipmentStore, ground.folder.root)
    ground.closing.callback(store.close)
    made = ColdChain(ground, store, units)
    ground.closing.push_async_callback(made.end)
    await made.start()
    return made
