"""Companies with real gateways on one shared ledger, and their EPCIS events."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaincode.lots.records import Balance, LotRecord
from chaincode.lots.unit_records import UnitRecord
from gateway.custody.parts import Custody
from gateway.custody.tasks import Task
from gateway.preprocess.gs1 import check_digit
from tests.support.site import Site

CONTEXT = ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"]
ID = "https://id.gs1.org"
GTIN = "09520002000019"
NAMES = {"maker": "9520002000002", "wholesaler": "9520004000000", "pharmacy": "9520005000009"}


def msp(name: str) -> str:
    return f"{name.title()}MSP"


def pack(number: int, gtin: str = GTIN) -> str:
    return f"{ID}/01/{gtin}/21/S{number:07}"


def packs(first: int, last: int) -> list[str]:
    return [pack(number) for number in range(first, last)]


def lot_uri(lot: str, gtin: str = GTIN) -> str:
    return f"{ID}/01/{gtin}/10/{lot}"


def sscc(number: int) -> str:
    body = f"09520002{number:09}"
    return f"{ID}/00/{body}{check_digit(body)}"


@dataclass
class Company:
    """One company's gateway, and its events."""

    name: str
    site: Site
    _minute: int = field(default=0)

    @property
    def custody(self) -> Custody:
        return self.site.gateway.supply.custody

    @property
    def organisation(self) -> str:
        return msp(self.name)

    @property
    def party(self) -> str:
        return f"{ID}/417/{NAMES[self.name]}"

    # -- events

    def capture(self, kind: str, step: str | None, action: str | None = None, **members: Any) -> int:
        """One event through the pipeline; the index of its record."""
        return self.capture_all([self.event(kind, step, action, **members)])[0]

    def event(self, kind: str, step: str | None, action: str | None = None, **members: Any) -> bytes:
        self._minute += 1
        given = {"bizStep": step, "action": action, "readPoint": {"id": f"{ID}/414/{NAMES[self.name]}"}}
        when = f"2026-11-23T{self._minute // 60:02}:{self._minute % 60:02}:00Z"
        named = {name: value for name, value in given.items() if value}
        body: dict[str, Any] = {
            "@context": CONTEXT, "type": kind, "eventTime": when, "eventTimeZoneOffset": "+00:00", **named, **members,
        }  # fmt: skip
        return json.dumps(body).encode()

    def capture_all(self, payloads: Sequence[bytes]) -> list[int]:
        own = self.site.gateway.supply.ground.own_log("epcis-capture", "epcis")
        return self.site.run(own.append_all(payloads))

    def commissioned(self, things: Sequence[str], lot: str, expiry: str = "2028-12-31") -> int:
        return self.capture("ObjectEvent", "commissioning", "ADD", epcList=list(things),
                            ilmd={"cbvmda:lotNumber": lot, "cbvmda:itemExpirationDate": expiry})  # fmt: skip

    def amount_made(self, uri: str, quantity: float, uom: str | None = None) -> int:
        return self.capture("ObjectEvent", "commissioning", "ADD", quantityList=[amount(uri, quantity, uom)])

    def packed(self, parent: str, things: Sequence[str], action: str = "ADD", **members: Any) -> int:
        step = "packing" if action == "ADD" else "unpacking"
        return self.capture("AggregationEvent", step, action, parentID=parent, childEPCs=list(things), **members)

    def shipped(self, to: "Company", things: Sequence[str], **members: Any) -> int:
        return self.capture("ObjectEvent", "shipping", "OBSERVE", epcList=list(things), **between(self, to), **members)

    def received(self, sender: "Company", things: Sequence[str], step: str = "receiving", **members: Any) -> int:
        return self.capture("ObjectEvent", step, "OBSERVE", epcList=list(things), **between(sender, self), **members)

    def ended(self, things: Sequence[str], step: str = "dispensing", disposition: str = "dispensed") -> int:
        return self.capture("ObjectEvent", step, "DELETE", epcList=list(things), disposition=disposition)

    # -- what came of it

    def settle(self) -> None:
        """Everything that is logged was taken, and everything that can be told the ledger was told."""
        self.site.wait(self._settled)

    def _settled(self) -> bool:
        keeping = self.custody.keeping
        assert not keeping.problem, keeping.problem
        return keeping.idle

    def tasks(self, leaf: int) -> list[Task]:
        return self.custody.tasks.of_record(leaf)

    def evaluate(self, function: str, *args: bytes) -> bytes:
        return self.site.run(self.site.gateway.ledger.evaluate(function, *args))

    def unit(self, uri: str) -> UnitRecord:
        return UnitRecord.decode(self.evaluate("lots.unit", self.custody.units.id_of(uri)))

    def lot(self, uri: str) -> LotRecord:
        return LotRecord.decode(self.evaluate("lots.get", self.custody.units.id_of(uri)))

    def balance(self, uri: str) -> Balance:
        lot_id = self.custody.units.id_of(uri)
        return Balance.decode(self.evaluate("lots.balance", lot_id, self.organisation.encode()))


def amount(uri: str, quantity: float, uom: str | None = None) -> dict[str, Any]:
    return {"epcClass": uri, "quantity": quantity} | ({"uom": uom} if uom else {})


def between(sender: Company, recipient: Company) -> dict[str, Any]:
    return {
        "sourceList": [{"type": "possessing_party", "source": sender.party}],
        "destinationList": [{"type": "possessing_party", "destination": recipient.party}],
    }  # fmt: skip


@contextmanager
def companies(root: Path, *names: str, **settings: Any) -> Iterator[list[Company]]:
    """Their gateways run; each has the others as partners."""
    with ExitStack() as stack:
        made = []
        for name in names:
            shared = {"name": "trade.example/ledger", "folder": root / "ledger", "organisation": msp(name)}
            partners = [
                {"organisation": msp(other), "parties": [NAMES[other]], "url": "http://127.0.0.1:9",
                 "token_file": root / f"{name}-{other}.token"}
                for other in names if other != name
            ]  # fmt: skip
            site = Site(
                root / name, origin=f"{name}.example/gw", shared_ledger=shared, partners=partners, **settings
            )  # fmt: skip
            made.append(Company(name, stack.enter_context(site)))
        yield made
