"""Capture as a part of a running gateway."""

import asyncio
from dataclasses import dataclass, field

from gateway.capture.capture import Capture
from gateway.capture.jobs import Jobs
from gateway.capture.known import Known
from gateway.capture.settings import EpcisConfig
from gateway.events.view import EventsViews
from gateway.supply.ground import Ground

SOURCE, KIND = "epcis", "epcis"
MAX_BODIES = 8  # in memory at once


@dataclass(frozen=True, slots=True)
class Captures:
    """What the REST interface meets."""

    config: EpcisConfig
    jobs: Jobs
    capture: Capture
    views: EventsViews
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_BODIES))


def open_captures(ground: Ground) -> Captures:
    """Opened; its files, and what runs, end with the gateway."""
    made = make_captures(ground)
    ground.closing.task(made.capture.run())
    return made


def make_captures(ground: Ground) -> Captures:
    """Opened; nothing is stored before its `capture` runs."""
    views = EventsViews(ground.folder)
    ground.closing.callback(views.close)
    jobs = Jobs(ground.folder.captures)
    ground.closing.callback(jobs.close)
    known = Known(views, ground.log_size())
    capture = Capture(jobs, known, ground.own_log(SOURCE, KIND).append_all, ground.log_size)
    return Captures(ground.config.epcis, jobs, capture, views)
