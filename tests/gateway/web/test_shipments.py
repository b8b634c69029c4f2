"""The pages of shipments say what the ledger says, draw what this log has, and escape what others wrote."""

import re
import secrets
from dataclasses import replace

import httpx
import pytest

from chaincode.coldchain.records import Shipment
from chaincode.coldchain.report import Report
from gateway.access import Scope
from tests.gateway.coldchain.trade import POLICY, now_us, opened, trade, truck, until
from tests.support.paged import ServedSite

HOSTILE = "<script>alert(1)</script>"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;"
HOUR_US = 3_600_000_000


def _dispute(by: ServedSite, shipment: Shipment) -> None:
    """Another organisation says that it was warmer."""
    cold = by.gateway.supply.cold

    async def dispute() -> None:
        said = Report.decode((await cold.view.reports(shipment.shipment_id))[-1].report)
        logger = said.loggers[0]
        other = replace(said, loggers=(replace(logger, most=12_000),))
        evidence = await cold._prover.evidence(await cold._note(shipment.shipment_id, "watch"))
        number = str(said.seq).encode()
        await by.gateway.ledger.submit("coldchain.dispute", shipment.shipment_id, number, other.encode(), evidence)

    by.run(dispute())


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, httpx.Response]:
    """A shipment that was too warm, with a gap, explained, disputed and released, and one of which nothing is known."""
    policy = replace(POLICY, name=HOSTILE, gap_s=3600)
    with trade(tmp_path_factory.mktemp("shipments"), "maker", "carrier", site=ServedSite) as (maker, carrier):
        found = {"maker none": maker.get("/shipments"), "maker start": maker.get("/")}
        logger, begin = truck(carrier), now_us() - 4 * HOUR_US
        for celsius, hours in ((5.0, 0.1), (9.5, 0.2), (5.5, 0.3), (5.0, 3.9)):
            logger.reads(celsius, begin + round(hours * HOUR_US))
        shipment = opened(maker, carrier, "Pharmacy", policy, from_us=begin)
        held = until(maker, shipment, lambda p: p.held)
        path = f"/shipments/{shipment.shipment_id.hex()}"
        carrier.drain()
        carrier.caught_up()
        found |= {"carrier held": carrier.get(path), "maker held": maker.get(path)}
        for number in range(len(held.alarms)):
            carrier.run(carrier.gateway.supply.cold.explain(shipment.shipment_id, number, "door", HOSTILE, "driver"))
        _dispute(maker, shipment)
        maker.run(maker.gateway.supply.cold.release(shipment.shipment_id, f"covered {HOSTILE}"))
        carrier.drain()
        for name, site in (("carrier", carrier), ("maker", maker)):
            found |= {f"{name} released": site.get(path), f"{name} list": site.get("/shipments")}
        found |= {
            "start": carrier.get("/"), "quarantined": carrier.get("/shipments?state=excursion"),
            "unknown": carrier.get(f"/shipments/{secrets.token_hex(32)}"), "bad": carrier.get("/shipments/<b>"),
            "admin": carrier.get(path, Scope.DEVICE_ADMIN), "admin list": carrier.get("/shipments", Scope.DEVICE_ADMIN),
            "anybody": carrier.get(path, None), "no state": carrier.get("/shipments?state=<b>"),
            "login": _login(carrier, path),
        }  # fmt: skip
        return found


def _login(site: ServedSite, path: str) -> httpx.Response:
    token = site.gateway.access.new_token("web", frozenset({Scope.AUDITOR}))
    return site.get("/login", None, params={"token": token, "next": path})


def test_an_excursion_with_its_figures_its_gap_and_its_proofs(pages: dict[str, httpx.Response]) -> None:
    page = pages["carrier held"].text
    for said in (
        "quarantined", "Maker → Pharmacy", "above 8 °C", "9.5 °C", 'class="stretch outside"', 'class="stretch missing"',
        "3 h 36 min", "Not explained", "sealtrail conditions recompute", "--data", "/receipt",
        "sealtrail shipment release",
    ):  # fmt: skip
        assert said.lower() in page.lower(), said
    leaves = re.findall(r'highest <a href="/records/(\d+)">9.5', page)
    assert leaves == ["2"]  # each message logs a reading and its seal


def test_who_has_no_readings_draws_the_reports_and_says_so(pages: dict[str, httpx.Response]) -> None:
    page = pages["maker held"].text
    assert "The readings are with Carrier" in page
    assert 'class="envelope"' in page
    assert "--data" not in page
    assert "record 0 of maker" not in page  # its own records are links
    assert "sealtrail conditions export" in page


def test_what_was_said_and_done_about_it(pages: dict[str, httpx.Response]) -> None:
    carrier, maker = pages["carrier released"].text, pages["maker released"].text
    for page in (carrier, maker):
        assert "released by Maker" in page
        assert "door" in page
        assert "Not explained" not in page
        assert re.search(r'<tr class="differs"><th scope="row">Highest</th><td>9.5 °C</td><td>12 °C</td></tr>', page)
    assert ESCAPED in carrier  # the words of an explanation stay with whoever gave it
    assert f"<q>{ESCAPED}</q>" not in maker


def test_hostile_words_are_escaped(pages: dict[str, httpx.Response]) -> None:
    assert not [name for name, answer in pages.items() if "<script>alert" in answer.text]
    assert ESCAPED in pages["maker list"].text


def test_the_list_and_the_way_to_it(pages: dict[str, httpx.Response]) -> None:
    assert "No shipment concerns this company yet" in pages["maker none"].text
    assert "/shipments" not in pages["maker start"].text
    assert 'href="/shipments"' in pages["start"].text
    assert "2 alarms" in pages["carrier list"].text
    assert "None is in this state" in pages["quarantined"].text
    assert pages["login"].status_code == 303
    assert pages["login"].headers["location"].startswith("/shipments/")


def test_others_see_nothing_and_strange_ids_are_told(pages: dict[str, httpx.Response]) -> None:
    assert pages["unknown"].status_code == pages["bad"].status_code == 404
    assert "no shipment" in pages["unknown"].text
    assert pages["no state"].status_code == 422
    assert pages["admin"].status_code == pages["admin list"].status_code == 403
    assert pages["anybody"].status_code == 401
    for name in ("admin", "admin list", "anybody"):
        assert "Pharmacy" not in pages[name].text
