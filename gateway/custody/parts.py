"""Custody of one gateway, put together: what other parts, REST and the commands work with."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from chain.site import SiteReader
from chaincode.lots.exception_records import Kind
from gateway.custody.calls import Arguments
from gateway.custody.coming import Coming
from gateway.custody.containers import Containers
from gateway.custody.database import Store
from gateway.custody.exceptions.found import REPORT, Found
from gateway.custody.exceptions.hearing import Hearing
from gateway.custody.exceptions.labels import Labels
from gateway.custody.exceptions.register import Alert, Register
from gateway.custody.exceptions.workflow import ANSWER, RESOLVE, Workflow
from gateway.custody.follower import Follower
from gateway.custody.handover.book import Book
from gateway.custody.handover.building import Builder
from gateway.custody.handover.entering import Entering
from gateway.custody.handover.exchanging import Handovers
from gateway.custody.handover.taking import Taking
from gateway.custody.keeping import Keeping
from gateway.custody.lots import Lots
from gateway.custody.partners import Partners
from gateway.custody.places import Places
from gateway.custody.sealing import Sealing
from gateway.custody.senders import SenderOf
from gateway.custody.tasks import Task, Tasks
from gateway.custody.transitions import Transitions
from gateway.custody.trees import Trees
from gateway.custody.units import Units
from gateway.delivery.opening import note_alert
from gateway.delivery.outbox import Outbox
from gateway.finishing import finished
from gateway.supply.ground import Ground


@dataclass(frozen=True, slots=True)
class Custody:
    """Secrets and ids of units, serial trees, what is in what, the partners, what the ledger is being told, and what
    passes between partners' gateways."""

    store: Store
    units: Units
    trees: Trees
    containers: Containers
    places: Places
    lots: Lots
    tasks: Tasks
    partners: Partners
    keeping: Keeping
    book: Book
    handovers: Handovers
    exceptions: Register
    workflow: Workflow
    hearing: Hearing
    one_way: bool  # what is captured here cannot be read here

    @property
    def problem(self) -> str:
        """Why nothing can be told the ledger now, or at all; empty where nothing is wrong."""
        if self.one_way:
            return (
                "this gateway seals its payloads to others (sealing.recipients) and cannot read its EPCIS events, so"
                " nothing follows from them; capture them at a gateway that may read them"
            )
        return self.keeping.problem

    def start(self, ground: Ground) -> None:
        """Follow the log, send and take hand-overs from now on; ends with the gateway."""
        ground.closing.task(self.keeping.run())
        ground.closing.task(self.handovers.run())
        ground.closing.task(self.hearing.run())


async def open_custody(ground: Ground, outbox: Outbox) -> Custody:
    """Open custody.db; it is closed with the gateway."""
    store = await asyncio.to_thread(Store, ground.folder.root)
    ground.closing.callback(store.close)
    reader = await asyncio.to_thread(SiteReader.open, ground.folder)
    ground.closing.callback(reader.close)
    return await asyncio.to_thread(_made, ground, outbox, store, reader)


def _made(ground: Ground, outbox: Outbox, store: Store, reader: SiteReader) -> Custody:
    config, folder = ground.config, ground.folder
    units, trees, tasks, book = Units(store, folder.site_key()), Trees(store), Tasks(store), Book(store)
    partners, containers, places = Partners(config.partners), Containers(store, units), Places(store, trees)
    lots = Lots(store, units, tasks)
    sealing = Sealing(store, units, containers, lots, trees, tasks)
    transitions = Transitions(
        store, units, containers, lots, sealing, tasks, partners, data_wait_s=config.custody.data_wait_s
    )
    coming, arguments = Coming(store, units, containers, tasks, book), Arguments(units, containers, lots, trees, places)
    follower = Follower(store, reader, transitions, lots, tasks, book)
    keeping = Keeping(ground, store, units, lots, sealing, tasks, coming, follower, arguments)

    async def alert(kind: str, source: str, *texts: str) -> None:
        await asyncio.to_thread(note_alert, folder, kind, source, *texts)

    handovers = Handovers(
        ground, store, units, book, Builder(folder, store, units, containers, trees, places, book),
        Taking(store, units, containers, trees, places), Entering(folder, store, book, ground.own_log), partners,
        outbox, alert=alert,
    )  # fmt: skip
    register = Register(store)
    us = handovers.organisation
    workflow = Workflow(
        store, register, units, tasks, us, ground.ledger, say=handovers.say, wake=keeping.wake,
        log_size=ground.log_size,
    )  # fmt: skip
    found = Found(
        store, register, units, tasks, book, us, partner_of=SenderOf(folder, partners), resolve=workflow.resolve,
        answer_us=int(config.custody.answer_days * 86_400e6),
    )  # fmt: skip
    hearing = Hearing(register, units, book, ground.ledger, us, alert)
    _tie(keeping, handovers, workflow, found, hearing, arguments, transitions, coming, alert)
    labels = Labels(folder, store, units, containers, partial(found.open, Kind.LABEL_DIFFERS))
    transitions.noted, follower.labels = labels.noted, labels
    keeping.ended.append(labels.received)
    return Custody(
        store,
        units,
        trees,
        containers,
        places,
        lots,
        tasks,
        partners,
        keeping,
        book,
        handovers,
        register,
        workflow,
        hearing,
        bool(config.sealing.recipients),
    )


def _tie(
    keeping: Keeping, handovers: Handovers, workflow: Workflow, found: Found, hearing: Hearing, arguments: Arguments,
    transitions: Transitions, coming: Coming, alert: Alert,
) -> None:  # fmt: skip
    """What each part tells the others."""
    keeping.ended += [handovers.ended, workflow.ended]
    keeping.told, keeping.answered, keeping.kept = handovers.wake, workflow.answered, workflow.kept
    keeping.overdue = found.product_without_data
    keeping.begin = workflow.begin
    arguments.others = dict.fromkeys((REPORT, ANSWER, RESOLVE), workflow.call)
    transitions.duplicate = found.commissioned_twice
    handovers.overdue, handovers.complete = found.data_without_product, found.product_came
    handovers.doubled = found.handed_over_twice
    handovers.heard |= dict.fromkeys(("exception", "exception-answer", "exception-end"), hearing.heard)

    async def refused(tasks: Sequence[Task]) -> None:
        await alert("custody", "", *map(_refusal, tasks))

    async def taken() -> None:
        await finished(coming.revive, found.data_came)
        keeping.wake()

    keeping.alert, handovers.taken = refused, taken


def _refusal(task: Task) -> str:
    return f"{task.name} of {', '.join(task.things[:3])} (record {task.leaf}) is refused: {task.reason}"
