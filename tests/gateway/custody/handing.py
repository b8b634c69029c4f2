"""Hand-overs as a partner makes them, true ones and others, given to a gateway as if they came over REST."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from crypto.keys import PrivateKey
from gateway.custody.handover import format as form
from gateway.custody.handover.format import Part
from gateway.custody.schema import HandoverState
from tests.gateway.custody.goods import Company, Goods, kept


def sent(maker: Company, to: Company, goods: Goods, count: int = 4) -> None:
    """A case of a lot of the maker's own is with the next company."""
    maker.commissioned(goods.packs(0, count), goods.lot)
    maker.packed(goods.sscc(1), goods.packs(0, count))
    maker.shipped(to, [goods.sscc(1)])
    maker.settle()
    kept(to, goods.sscc(1))
    to.received(maker, [goods.sscc(1)])
    to.settle()


def parts_of(company: Company, unit: str) -> list[Part]:
    """The hand-over with which a company shipped a unit, under an id that did not come yet."""
    sending = company.custody.handovers.sending
    outgoing = next(
        one for one in company.custody.book.page(2**63 - 1, 100) if one.units == (unit,) and not one.incoming
    )
    anchored = company.run(sending.prover.anchored_above(outgoing.leaf or 0))
    parts = list(sending.builder.parts(outgoing, anchored))
    return under(os.urandom(32), parts)


def under(name: bytes, parts: list[Part]) -> list[Part]:
    """The same hand-over under another id."""
    return [replace(part, heading=replace(part.heading, handover=name)) for part in parts]


def more(parts: list[Part], *items: list[Any]) -> list[Part]:
    """With items behind the last one, under an id that did not come yet."""
    return under(os.urandom(32), [*parts[:-1], replace(parts[-1], items=(*parts[-1].items, *items))])


def deliver(to: Company, parts: list[Part], key: PrivateKey, organisation: str = "MakerMSP") -> HandoverState:
    """As the partner's gateway would; the state that the hand-over comes to, and settled."""
    for part in parts:
        to.run(to.custody.handovers.receive(form.seal_message(form.encode_part(part), key), organisation))
    name = parts[0].heading.handover
    done = (HandoverState.KEPT, HandoverState.RECEIVED, HandoverState.REJECTED)
    to.wait(lambda: to.custody.book.get(name).state in done)
    return to.custody.book.get(name).state


def key_of(company: Company) -> PrivateKey:
    return company.gateway.folder.gateway_key()


def change(parts: list[Part], tag: int, work: Callable[[list[Any]], list[Any]]) -> list[Part]:
    """The parts with each item of one kind changed."""
    return [
        replace(part, items=tuple(work(list(item)) if item[0] == tag else item for item in part.items))
        for part in parts
    ]
