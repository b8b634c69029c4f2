"""Traces across companies: partners' gateways are asked, show what passed between the two, and name nobody else."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from gateway.access import Scope
from gateway.trace.forms import TraceOut
from tests.gateway.recall.conftest import GLN, Companies, companies
from tests.gateway.recall.test_recall import DRUG, shipped, trade
from tests.support.trade import case, lot, objects, pack, place


async def asked(all_of: Companies, name: str, uri: str, direction: str) -> dict[str, Any]:
    token = all_of.served[name].gateway.access.new_token("auditor", frozenset({Scope.AUDITOR}))
    async with httpx.AsyncClient(base_url=all_of.served[name].url, timeout=30) as client:
        answer = await client.get(
            "/v1/trace", params={"id": uri, "direction": direction}, headers={"Authorization": f"Bearer {token}"}
        )
    assert answer.status_code == 200, answer.text
    TraceOut.model_validate(answer.json())
    return dict(answer.json())


def test_what_passed_is_told_and_nothing_beyond_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with companies(tmp_path, ("Maker", "Wholesaler")) as all_of:
            await trade(all_of)
            down = await asked(all_of, "Maker", pack(DRUG, 10), "down")
            [partner] = down["partners"]
            assert (partner["organisation"], partner["state"]) == ("Wholesaler", "answered")
            theirs = [step for step in down["steps"] if step.get("by") == "Wholesaler"]
            assert "receiving" in {step["step"] for step in theirs}
            said = json.dumps(down)
            assert GLN["Shop"] not in said
            assert GLN["Kiosk"] not in said
            gone_on = [held for held in down["holders"] if held.get("by") and held["state"] == "in transit"]
            assert [held["place"] for held in gone_on] == [None]
            (tmp_path / "Wholesaler-at-Shop.token").write_text("of-a-gateway-that-is-away")
            [shop] = (await asked(all_of, "Wholesaler", case(1), "down"))["partners"]
            assert (shop["organisation"], shop["state"]) == ("Shop", "away")
            up = await asked(all_of, "Wholesaler", case(5), "up")
            assert {one["organisation"] for one in up["partners"]} == {"Maker"}
            async with httpx.AsyncClient(base_url=all_of.served["Wholesaler"].url) as client:
                token = (tmp_path / "Maker-at-Wholesaler.token").read_text()
                answer = await client.post(
                    "/v1/trace/shared", json={"ids": [lot(9, "X"), pack(DRUG, 3)], "direction": "down"},
                    headers={"Authorization": f"Bearer {token}"},
                )  # fmt: skip
                assert answer.json() == {"traces": []}  # the second one never left the maker
                # The maker says that case 99 came from it; that it tells nobody where the case went here.
                copy = all_of.served["Wholesaler"].gateway._own_log("partner.maker", "epcis")
                await copy.append(shipped(1, case(99), "Maker", "Wholesaler"))
                await all_of.capture("Wholesaler", objects(2, "storing", case(99), at=place(7)))
                answer = await client.post(
                    "/v1/trace/shared", json={"ids": [case(99), case(5)], "direction": "down"},
                    headers={"Authorization": f"Bearer {token}"},
                )  # fmt: skip
                assert [one["id"] for one in answer.json()["traces"]] == [case(5)]
            all_of.served["Wholesaler"].gateway.access.revoke_token("Maker")
            [refused] = (await asked(all_of, "Maker", pack(DRUG, 10), "down"))["partners"]
            assert (refused["state"], "401" in refused["why"]) == ("refused", True)

    asyncio.run(run())
