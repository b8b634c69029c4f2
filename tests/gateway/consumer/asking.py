"""Asks the consumer page: a real site's application, with facts that a test chooses, or with the gateway's own."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import httpx
from fastapi import FastAPI

from gateway.consumer.facts import Kept, PackFacts, PackQuestion, Recall
from gateway.consumer.parts import Consumer
from tests.gateway.api.server import app_of
from tests.gateway.api.site import Site

GTIN, LOT, SERIAL = "09506000134352", "L2611A", "4M8GJ65R2ZRE"
PACK = f"/01/{GTIN}/10/{LOT}/21/{SERIAL}"
QUESTION = PackQuestion(GTIN, LOT, SERIAL)
MADE_US = 1_795_413_600_000_000  # 2026-11-23
GOOD = PackFacts(True, True, LOT, date(2099, 4, 30), MADE_US, kept_cold=Kept.YES, proof=3)
STATES: Mapping[str, PackFacts] = {
    "genuine": GOOD,
    "recalled": replace(GOOD, recalled=Recall(1, MADE_US)),
    "withdrawn": replace(GOOD, withdrawn_us=MADE_US),
    "held": replace(GOOD, quarantined=True, kept_cold=Kept.NO),
    "expired": replace(GOOD, expiry=date(2026, 10, 31)),
    "warm": replace(GOOD, kept_cold=Kept.NO),
    "unknown": PackFacts(),
}
HOME, CAFE, ABROAD = "203.0.113.7", "198.51.100.9", "2001:db8:77::5"


class Told:
    """A lookup that knows one pack, whatever lot and expiry the question gives beside it."""

    def __init__(self, facts: PackFacts) -> None:
        self.facts, self.asked = facts, list[PackQuestion]()

    async def look_up(self, question: PackQuestion) -> PackFacts:
        self.asked.append(question)
        return self.facts if (question.gtin, question.serial) == (GTIN, SERIAL) else PackFacts()


def told(site: Site, facts: PackFacts = GOOD) -> FastAPI:
    """The site's application, whose lookup says so."""
    tell(site, facts)
    return app_of(site)


def tell(site: Site, facts: PackFacts) -> None:
    known = site.supply.consumer
    site.supply = replace(site.supply, consumer=Consumer(Told(facts), known.scans, known.shipments))


def ask(app: FastAPI, path: str = PACK, address: str = HOME, **headers: str) -> httpx.Response:
    """One request of a browser, from an address."""
    return asyncio.run(asked(app, path, address, **headers))


async def asked(app: FastAPI, path: str = PACK, address: str = HOME, **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app, client=(address, 4711))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(transport=transport, base_url="https://maker.example") as client:
        return await client.get(path, headers={"accept": "text/html"} | named)


def said(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()
    return found
