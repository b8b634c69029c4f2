"""The parts for goods of one gateway, put together."""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.alarms.opening import mail_carrier, open_alarms
from gateway.alarms.parts import Alarms
from gateway.capture.parts import Captures, open_captures
from gateway.coldchain.parts import ColdChain, open_cold
from gateway.consumer.parts import Consumer, open_consumer
from gateway.custody.parts import Custody, open_custody
from gateway.delivery.opening import open_outbox
from gateway.delivery.outbox import Outbox
from gateway.enquiry.parts import Enquiries, open_enquiries
from gateway.pipeline.committer import Committed
from gateway.recall.parts import open_recalls
from gateway.recall.recalls import Recalls
from gateway.supply.ground import Ground
from gateway.supply.ledger_events import LedgerEvents


@dataclass(frozen=True, slots=True)
class Supply:
    """All parts for goods, as REST, pages and commands meet them."""

    ground: Ground
    outbox: Outbox
    custody: Custody
    cold: ColdChain
    alarms: Alarms
    events: LedgerEvents
    consumer: Consumer
    recalls: Recalls
    capture: Captures
    enquiries: Enquiries

    def committed(self, news: Committed) -> None:
        """After each commit, on the loop: tell the parts that watch the log. Must be quick."""
        self.custody.keeping.wake()
        self.cold.committed(news)

    def subscribed(self, source: str) -> None:
        """A source listens to something."""
        self.alarms.mqtt.subscribed(source)

    def problems(self) -> Iterator[str]:
        """What keeps these parts from working, in words."""
        yield from self.ground.closing.problems
        if self.capture.capture.problem:
            yield f"captures wait: {self.capture.capture.problem}"
        yield from self.enquiries.reports.problems()
        yield from self.outbox.problems()
        yield from self.alarms.problems()
        if self.events.problem:
            yield f"events of the ledger wait: {self.events.problem}"
        if self.custody.keeping.problem:
            yield f"custody waits: {self.custody.keeping.problem}"
        if self.custody.handovers.problem:
            yield f"hand-overs wait: {self.custody.handovers.problem}"
        if self.custody.hearing.problem:
            yield f"exceptions wait: {self.custody.hearing.problem}"
        if self.recalls.problem:
            yield f"recalls wait: {self.recalls.problem}"
        yield from (f"shipment {of.hex()[:16]}… waits: {why}" for of, why in self.cold.problems().items())

    def renew(self) -> None:
        """Open what reads payloads anew: some were erased. Blocking."""
        self.capture.views.renew()
        self.enquiries.views.renew()


async def open_supply(ground: Ground) -> Supply:
    """Open the parts and start what runs by itself; it ends with the gateway."""
    outbox = await ground.closing.enter_async_context(open_outbox(ground, mail_carrier(ground)))
    custody = await open_custody(ground, outbox)
    cold = await open_cold(ground, custody.units)
    alarms = await open_alarms(ground, cold, outbox)
    # The cold chain first: alarms ask it what concerns us.
    events = LedgerEvents(ground.ledger, cold.after, cold.heeded, (cold.heed, alarms.heed, custody.hearing.heed))
    consumer = await open_consumer(ground, custody)
    recalls = await open_recalls(ground, outbox, custody)
    captures, enquiries = open_captures(ground), open_enquiries(ground, outbox)
    supply = Supply(ground, outbox, custody, cold, alarms, events, consumer, recalls, captures, enquiries)
    ground.closing.task(events.run())
    supply.custody.start(ground)
    ground.closing.task(supply.recalls.run())
    supply.consumer.start(ground)
    return supply
