"""What custody does at length stops nothing else, what keeps it from working is told, and it ends quietly."""

import asyncio
import gc
import threading

import httpx
import pytest

from chain.errors import LedgerError
from gateway.finishing import finished
from tests.gateway.custody.goods import Company, Goods

Trade = list[Company]


@pytest.mark.parametrize("path", ["/alarms", "/shipments", "/recalls", "/sources/epcis-capture"])
def test_a_page_that_waits_for_custody_holds_up_no_other_request(trade: Trade, goods: Goods, path: str) -> None:
    """A transaction of the follower holds the lock of custody.db meanwhile."""
    maker = trade[0]
    maker.amount_made(goods.lot_uri, 1, "KGM")
    maker.settle()
    maker.request("GET", "/v1/custody")  # makes the token
    held, enough = threading.Event(), threading.Event()

    def follower() -> None:
        with maker.custody.store.transaction():
            held.set()
            enough.wait(5)

    async def ask() -> tuple[bool, int]:
        headers = {"Authorization": f"Bearer {maker.token}", "Accept": "text/html"}
        async with httpx.AsyncClient(base_url=maker.url, headers=headers, timeout=10) as client:
            page = asyncio.create_task(client.get(path))
            await asyncio.sleep(0.1)  # it has begun, and cannot end
            await client.get("/static/app.css")
            in_time = not page.done()
            enough.set()
            return in_time, (await page).status_code

    thread = threading.Thread(target=follower)
    thread.start()
    held.wait()
    try:
        assert maker.run(ask()) == (True, 200)
    finally:
        enough.set()
        thread.join()


def test_what_keeps_custody_from_working_is_in_the_state(trade: Trade) -> None:
    custody = trade[0].custody
    custody.keeping.problem, custody.handovers.problem = "no ledger", "no token"
    try:
        assert list(trade[0].gateway.supply.problems()) == ["custody waits: no ledger", "hand-overs wait: no token"]
    finally:
        custody.keeping.problem = custody.handovers.problem = ""


def test_a_fault_in_a_thread_of_a_gateway_that_stops_is_nobodys() -> None:
    """asyncio does not say later that nobody asked for it."""
    begun, go, missed = threading.Event(), threading.Event(), list[str]()

    def work() -> None:
        begun.set()
        go.wait(5)
        raise LedgerError("away")

    async def stopped() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, said: missed.append(said["message"]))
        task = asyncio.create_task(finished(work))
        await asyncio.to_thread(begun.wait, 5)
        task.cancel()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(stopped())
    assert missed == []
