"""Queries as a part of a running gateway: named ones, and the subscriptions to them."""

import asyncio
from dataclasses import dataclass, field

from gateway.delivery.outbox import Outbox
from gateway.enquiry.reports import Reports
from gateway.enquiry.standing import Standing
from gateway.events.view import EventsViews
from gateway.supply.ground import Ground

MAX_SOCKETS = 64


@dataclass(frozen=True, slots=True)
class Enquiries:
    """What the REST interface meets. `sockets` bounds the WebSockets at once; `prefixes` are where webhooks may go."""

    standing: Standing
    reports: Reports
    views: EventsViews
    prefixes: list[str]
    sockets: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_SOCKETS))


def open_enquiries(ground: Ground, outbox: Outbox) -> Enquiries:
    """Opened; its files, and what runs, end with the gateway."""
    made = make_enquiries(ground, outbox)
    ground.closing.task(made.reports.run())
    return made


def make_enquiries(ground: Ground, outbox: Outbox) -> Enquiries:
    """Opened; nothing is reported before its `reports` run."""
    views = EventsViews(ground.folder)
    ground.closing.callback(views.close)
    standing = Standing(ground.folder.queries)
    ground.closing.callback(standing.close)
    reports = Reports(standing, views, outbox, ground.config.delivery)
    return Enquiries(standing, reports, views, ground.config.epcis.subscriber_prefixes)
