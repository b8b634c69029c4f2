"""The parts for goods of one gateway, put together."""

from dataclasses import dataclass

from gateway.capture.parts import Captures, open_captures
from gateway.consumer.parts import Consumer, open_consumer
from gateway.custody.parts import Custody, open_custody
from gateway.delivery.opening import open_outbox
from gateway.delivery.outbox import Outbox
from gateway.enquiry.parts import Enquiries, open_enquiries
from gateway.pipeline.committer import Committed
from gateway.supply.ground import Ground


@dataclass(frozen=True, slots=True)
class Supply:
    """All parts for goods, as REST, pages and commands meet them."""

    ground: Ground
    outbox: Outbox
    custody: Custody
    consumer: Consumer
    capture: Captures
    enquiries: Enquiries

    def committed(self, news: Committed) -> None:
        """After each commit, on the loop: tell the parts that watch the log. Must be quick."""
        self.custody.keeping.wake()

    def renew(self) -> None:
        """Open what reads payloads anew: some were erased. Blocking."""
        self.capture.views.renew()
        self.enquiries.views.renew()


async def open_supply(ground: Ground) -> Supply:
    """Open the parts and start what runs by itself; it ends with the gateway."""
    outbox = await ground.closing.enter_async_context(open_outbox(ground))
    custody = await open_custody(ground, outbox)
    consumer = await open_consumer(ground, custody)
    supply = Supply(ground, outbox, custody, consumer, open_captures(ground), open_enquiries(ground, outbox))
    supply.custody.start(ground)
    supply.consumer.start(ground)
    return supply
