"""The story, act by act: made, packed, shipped through a warm afternoon, received, dispensed, copied, recalled.

Every act goes through the companies' own gateways. What must be refused is tried, and the story stops where it is not.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from gateway.demo.errors import DemoError
from gateway.demo.pharma import events, line, truck
from gateway.demo.pharma.companies import CARRIER, MAKER, PHARMACY, SUPPLIER, WHOLESALER
from gateway.demo.pharma.goods import (
    DISPENSED,
    EXPIRY,
    HIGH,
    HOUR_US,
    LOOKED_AT,
    LOT,
    LOW,
    PACKS,
    PALLETS,
    POLICY,
    RECALL_S,
    STATION,
    Goods,
    Told,
)
from gateway.demo.pharma.rest import Desk

BOXES: Final = (truck.COOL, truck.WARM)  # of the first pallet and of the second
Tell = Callable[[str], None]


class Story:
    """Plays on running gateways. `tell` is given a line for each thing that happened."""

    def __init__(self, home: Path, desks: Mapping[str, Desk], tell: Tell) -> None:
        self.home, self.tell, self.goods, self.told = home, tell, Goods.of_the_story(), Told()
        self.supplier, self.maker = desks[SUPPLIER.name], desks[MAKER.name]
        self.carrier, self.wholesaler = desks[CARRIER.name], desks[WHOLESALER.name]
        self.pharmacy = desks[PHARMACY.name]
        self.now_us = _now_us()
        self.left_us = self.now_us - (truck.HOURS + 1) * HOUR_US  # when the truck leaves

    async def play(self) -> Told:
        for act in (self.materials, self.batch, self.packing, self.road, self.arrival, self.patient, self.recall):
            await act()
        self.told.seconds = round(time.time() - self.now_us / 1e6, 1)
        return self.told

    async def _capture(self, desk: Desk, *made: events.Event) -> None:
        await desk.capture(*made)
        self.told.captured += len(made)

    async def materials(self) -> None:
        """Two materials are made and go to the maker."""
        day, goods = self.left_us - 72 * HOUR_US, self.goods
        amounts = [events.quantity(goods.materials["active"], 5000, "GRM"),
                   events.quantity(goods.materials["filler"], 9000, "GRM")]  # fmt: skip
        await self._capture(
            self.supplier,
            events.made(SUPPLIER, day, goods.materials["active"], 5000, "GRM"),
            events.made(SUPPLIER, day + HOUR_US, goods.materials["filler"], 9000, "GRM"),
            events.shipped_lot(SUPPLIER, day + 2 * HOUR_US, amounts, MAKER, "D-1001"),
        )
        await self.supplier.settled()
        await self._capture(self.maker, events.received_lot(MAKER, day + 8 * HOUR_US, amounts, SUPPLIER, "D-1001"))
        await self.maker.settled()
        self.tell(f"{SUPPLIER.title} makes two materials; {MAKER.title} receives them, and both sides have said so")

    async def batch(self) -> None:
        """The materials become a batch; each pack gets a serial."""
        day, goods = self.left_us - 48 * HOUR_US, self.goods
        used = [events.quantity(goods.materials["active"], 3000, "GRM"),
                events.quantity(goods.materials["filler"], 6000, "GRM")]  # fmt: skip
        await self._capture(
            self.maker,
            events.transformed(MAKER, day, used, goods.lot, PACKS),
            *(events.commissioned(MAKER, day + HOUR_US + n, goods.of_case(n), LOT, EXPIRY)
              for n in range(len(goods.cases))),
        )  # fmt: skip
        await self.maker.settled()
        self.tell(f"batch {LOT}: {PACKS} packs with serials; the ledger holds their tree, not the serials")
        if line.can_read():
            await self._labels()

    async def _labels(self) -> None:
        """The label station looks at some packs; one has another lot printed than its code says."""
        images, device = self.home / MAKER.name / "images", self.home / MAKER.name / STATION
        serials = [uri.rpartition("/")[2] for uri in self.goods.packs[:LOOKED_AT]]
        packs = [line.pack(self.goods.product, LOT, EXPIRY, serial) for serial in serials]
        await asyncio.to_thread(line.draw, images, packs, LOOKED_AT - 1)
        code = await self.maker.invite(STATION, 0.8, 1.0, "/")
        await asyncio.to_thread(line.enrolled, self.maker.gateway.url, code, device)
        seen = await line.inspect(images, device)
        rejected = [one for one in seen if one["decision"] == "reject"]
        if (len(seen), len(rejected)) != (LOOKED_AT, 1):
            raise DemoError(f"the label station should reject one of {LOOKED_AT}: {[one['decision'] for one in seen]}")
        self.told.labels, self.told.rejected = len(seen), len(rejected)
        self.tell(f"the label station reads {len(seen)} packs and rejects one: {rejected[0]['reasons'][0][-1]}")

    async def packing(self) -> None:
        """Packs into cases, cases onto pallets."""
        day, goods = self.left_us - 24 * HOUR_US, self.goods
        cases = [events.packed(MAKER, day + n, case, goods.of_case(n)) for n, case in enumerate(goods.cases)]
        pallets = [
            events.packed(MAKER, day + HOUR_US + n, pallet, goods.on_pallet(n))
            for n, pallet in enumerate(goods.pallets)
        ]
        await self._capture(self.maker, *cases, *pallets)
        await self.maker.settled()
        self.tell(f"{len(goods.cases)} cases on {PALLETS} pallets")

    async def road(self) -> None:
        """Both pallets leave. On arrival the truck's loggers deliver, and each pallet's whole trip is put under the
        policy; the rear of the truck had a warm afternoon."""
        goods, folder, url = self.goods, self.home / CARRIER.name, self.carrier.gateway.url
        await self._capture(
            self.maker,
            *(events.shipped(MAKER, self.left_us + n, [pallet], WHOLESALER, f"D-200{n}")
              for n, pallet in enumerate(goods.pallets)),
        )  # fmt: skip
        await self.maker.settled()
        for pallet, box in zip(goods.pallets, BOXES, strict=True):
            code = await self.carrier.invite(box.logger, LOW, HIGH)
            await asyncio.to_thread(truck.enrolled, url, code, folder / box.logger)
            await asyncio.to_thread(truck.deliver, folder / box.logger, truck.readings(box, self.now_us))
            self.told.shipments[pallet] = await self._opened(pallet, box)
        await self._found_warm(goods.pallets[1])

    async def _opened(self, pallet: str, box: truck.Box) -> str:
        """The shipment is under the policy, watched by one logger."""
        calibrated = events.moment(self.now_us - 90 * 24 * HOUR_US)[:10]
        answer = await self.maker.ask("POST", "/v1/shipments", json={
            "policy": POLICY, "recipient": WHOLESALER.msp_id, "reporter": CARRIER.origin, "units": [pallet],
            "from_us": self.now_us - (truck.HOURS - 1) * HOUR_US,
            "loggers": [{"source": box.logger, "series": box.series, "calibrated": calibrated}],
        })  # fmt: skip
        return str(answer["id"])

    async def _found_warm(self, pallet: str) -> None:
        """The contract finds the excursion by itself, and holds the pallet."""
        self.told.excursion = self.told.shipments[pallet]
        path = f"/v1/shipments/{self.told.excursion}"
        found = await self.wholesaler.until("the excursion", path, lambda shown: shown["alarms"])
        if not found["held"]:
            raise DemoError(f"the excursion of {pallet} does not hold it: {found}")
        self.tell(f"the contract finds the rear of the truck above {HIGH:g} °C for hours, and holds that pallet")

    async def arrival(self) -> None:
        """The wholesaler takes both pallets; the held one stays shut until the maker's quality unit lets it go."""
        goods, at = self.goods, self.now_us
        await self._capture(self.wholesaler, events.received(WHOLESALER, at, goods.pallets, MAKER, "D-2000"))
        await self.wholesaler.settled()
        unpacked = [events.packed(WHOLESALER, at + n + 1, pallet, goods.on_pallet(n), "unpacking")
                    for n, pallet in enumerate(goods.pallets)]  # fmt: skip
        await self._capture(self.wholesaler, *unpacked)
        await self.wholesaler.settled()
        refused = (await self.wholesaler.ask("GET", "/v1/custody", params={"state": "refused"}))["transitions"]
        if not any(one["code"] == "quarantined" for one in refused):
            raise DemoError(f"the held pallet could be opened; refused were: {refused}")
        self.told.refusals += [one["reason"] for one in refused]
        self.tell(f"{WHOLESALER.title} cannot open the held pallet: {refused[0]['reason']}")
        reason = "stability data cover 24 h at up to 25 C; released by quality"
        await self.maker.ask("POST", f"/v1/shipments/{self.told.excursion}/release", json={"reason": reason})
        for one in refused:
            await self.wholesaler.ask("POST", f"/v1/custody/{one['id']}/retry")
        await self.wholesaler.settled()
        self.tell(f"{MAKER.title} releases it with a reason; {CARRIER.title}, who reported it, could not")

    async def patient(self) -> None:
        """A case goes to the pharmacy; packs are dispensed; a copy of one turns up."""
        goods, at = self.goods, self.now_us + 1000
        case, packs = goods.cases[0], goods.of_case(0)
        await self._capture(self.wholesaler, events.shipped(WHOLESALER, _now_us(), [case], PHARMACY, "D-3000"))
        await self.wholesaler.settled()
        await self._capture(self.pharmacy, events.received(PHARMACY, at + 1, [case], WHOLESALER, "D-3000"),
                            events.packed(PHARMACY, at + 2, case, packs, "unpacking"))  # fmt: skip
        await self.pharmacy.settled()
        await self._capture(self.pharmacy, *(events.dispensed(PHARMACY, _now_us(), pack) for pack in packs[:DISPENSED]))
        await self.pharmacy.settled()
        await self._capture(self.pharmacy, events.dispensed(PHARMACY, _now_us(), packs[0]))
        await self.pharmacy.settled()

        def duplicate(found: dict[str, Any]) -> bool:
            return any(one["kind"] == "duplicate-serial" for one in found["exceptions"])

        found = await self.pharmacy.until("the duplicate serial", "/v1/exceptions", duplicate)
        self.told.duplicates = sum(one["kind"] == "duplicate-serial" for one in found["exceptions"])
        self.tell(
            f"{PHARMACY.title} dispenses {DISPENSED} packs; a copy of one is found out: its serial is a duplicate"
        )

    async def recall(self) -> None:
        """The maker recalls the batch; every tier hears of it from its supplier, counts, and answers."""
        begun = await self.maker.ask("POST", "/v1/recalls", json={
            "lot": self.goods.lot, "class": 2, "reason": "impurity above the limit in retained samples",
            "deadline_s": RECALL_S,
        })  # fmt: skip
        recall = begun["id"]
        for desk in (self.wholesaler, self.pharmacy):
            await desk.until(
                "the recall", "/v1/recalls", lambda found: any(r["id"] == recall for r in found["recalls"])
            )
            await desk.ask("POST", f"/v1/recalls/{recall}/answer", json={})
        found = await self.maker.until("all answers", f"/v1/recalls/{recall}", lambda found: found["reach"] >= 100)
        self.told.recall = {"id": recall, "packs": found["packs"], "reach": found["reach"]}
        await self._not_dispensed(self.goods.of_case(0)[DISPENSED])
        self.tell(
            f"{MAKER.title} recalls the batch: {found['reach']:.0f} % of {found['packs']} packs are accounted for"
        )

    async def _not_dispensed(self, pack: str) -> None:
        """A pack of the recalled batch leaves no pharmacy."""
        await self._capture(self.pharmacy, events.dispensed(PHARMACY, _now_us(), pack))
        await self.pharmacy.settled()
        refused = (await self.pharmacy.ask("GET", "/v1/custody", params={"state": "refused"}))["transitions"]
        if not any("recalled" in one["code"] for one in refused):
            raise DemoError(f"a pack of the recalled batch could be dispensed; refused were: {refused}")
        self.told.refusals += [one["reason"] for one in refused if "recalled" in one["code"]]


def _now_us() -> int:
    return time.time_ns() // 1000
