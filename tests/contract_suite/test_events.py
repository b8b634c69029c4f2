"""A ledger's events: all of them, in order, from any place, and new ones as they commit."""

import asyncio

from chain.ledger.interface import LedgerEvent
from tests.contract_suite.actors import Actor
from tests.contract_suite.world import ORIGIN, World


def test_old_events_come_in_order_and_from_any_place(world: World) -> None:
    for size in range(1, 5):
        world.anchor(size - 1, size)
    world.anchor(4, 4)  # no event
    world.anchor(4, 4, world.log.fork())
    events = world.events(7)
    names = ["identities.enrolled", "logs.registered", *["logs.anchored"] * 4, "logs.fork"]
    assert [event.name for event in events] == names
    assert [event.index for event in events] == sorted(event.index for event in events)
    assert world.events(3, after=events[3].index) == events[4:]


def test_new_events_arrive_while_one_listens(world: World) -> None:
    ledger, seen = world.open_as(world.gateway.key), []

    async def listen() -> None:
        async for event in ledger.events(-1):
            seen.append(event)
            if event.name == "identities.revoked":
                return

    async def act() -> list[LedgerEvent]:
        listener = asyncio.create_task(listen())
        await asyncio.sleep(0)
        thing = Actor("thing", ORIGIN)
        await ledger.submit("identities.enrol", *thing.enrolment("source"))
        await ledger.submit("logs.anchor", *world.log.anchor(0, 2))
        await ledger.submit("identities.revoke", *thing.revocation(2))
        await asyncio.wait_for(listener, 30)
        return seen

    names = [event.name for event in world.runner.run(act())]
    assert names[2:] == ["identities.enrolled", "logs.anchored", "identities.revoked"]


def test_many_submits_at_once_are_all_there_once(world: World) -> None:
    ledger = world.open_as(world.gateway.key)
    things = [Actor(f"thing-{i}", ORIGIN) for i in range(120)]  # more than a peer hands out in one page

    async def act() -> list[int]:
        calls = (ledger.submit("identities.enrol", *thing.enrolment("source")) for thing in things)
        return [submitted.index for submitted in await asyncio.gather(*calls)]

    before = world.transactions()
    indices = world.runner.run(act())
    assert world.transactions() == before + len(things)
    enrolled = world.events(2 + len(things))[2:]
    assert [event.index for event in enrolled] == sorted(set(indices))
    assert world.names("source") == sorted(thing.handle for thing in things)
