"""The page of goods shows what a trace says, to those who may see payloads, whatever was asked for."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from gateway.access import Scope
from gateway.server import running
from gateway.web.pages import STATIC
from tests.gateway.web.browser import Browser, chromium
from tests.support.captures import Trade
from tests.support.trade import case, commissioned, lot, made, objects, pack, packed, place

EVENTS = [
    made(0, {lot(1, "A1"): 5, lot(1, "A2"): 7}, {lot(2, "L1"): 9}, at=place(1)),
    commissioned(1, 2, "L1", *(pack(2, n) for n in range(9)), at=place(1)),
    packed(2, case(1), *(pack(2, n) for n in range(9)), at=place(1)),
    objects(3, "shipping", case(1), at=place(1)),
    objects(4, "receiving", case(1), at=place(2)),
]
ASKED = {
    "lot": lot(2, "L1"), "pack": pack(2, 1), "none": "", "unknown": pack(9, 9),
    "hostile": "<script>alert(1)</script>", "control": "\x01",
}  # fmt: skip


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, httpx.Response]:
    config = Trade(Path(tmp_path_factory.mktemp("goods")) / "site").config

    async def run() -> dict[str, httpx.Response]:
        async with running(config) as served:
            gateway = served.gateway
            await gateway._own_log("capture", "epcis").append_all(EVENTS)
            await served.index_caught_up()
            found = {}
            async with httpx.AsyncClient(base_url=served.url) as client:
                for scope in (Scope.AUDITOR, Scope.DEVICE_ADMIN):
                    headers = {"Authorization": f"Bearer {gateway.access.new_token(scope, frozenset({scope}))}"}
                    for name, asked in ASKED.items():
                        params = {"id": asked} if asked else {}
                        found[f"{scope} {name}"] = await client.get("/goods", params=params, headers=headers)
            return found

    return asyncio.run(run())


def test_a_lot_with_its_materials_its_packs_and_its_places(pages: dict[str, httpx.Response]) -> None:
    text = pages["auditor lot"].text
    assert pages["auditor lot"].status_code == 200
    for said in ("lot A1", "lot A2", "lot L1", "9 packs", "Through whose hands", "receiving", "/records/"):
        assert said in text, said
    assert "serial 1" in pages["auditor pack"].text


def test_what_cannot_be_traced_is_told(pages: dict[str, httpx.Response]) -> None:
    assert pages["auditor none"].status_code == 200
    assert "no event here names" in pages["auditor unknown"].text
    assert pages["auditor unknown"].status_code == pages["auditor hostile"].status_code == 404
    assert "<script>alert" not in pages["auditor hostile"].text
    assert pages["auditor control"].status_code in (404, 422)


def test_others_see_nothing(pages: dict[str, httpx.Response]) -> None:
    others = [answer for name, answer in pages.items() if name.startswith(Scope.DEVICE_ADMIN)]
    assert {answer.status_code for answer in others} == {403}
    assert not any("lot L1" in answer.text for answer in others)


_SHOWN = """[...document.querySelectorAll('.record .word')].map(word => {
    const whole = document.createRange(), shown = word.closest('.record').getBoundingClientRect()
    whole.selectNodeContents(word)
    const text = whole.getBoundingClientRect(), box = word.getBoundingClientRect()
    return text.width > 40 && text.right <= box.right + 1 && text.right < shown.right && text.left >= shown.left
})"""


def test_the_place_of_each_step_is_not_cut(pages: dict[str, httpx.Response], tmp_path: Path) -> None:
    program = chromium()
    if program is None:
        pytest.skip("no chromium here")
    html = pages["auditor lot"].text
    assert re.search(r">GLN \d{13}<", html)
    (tmp_path / "goods.html").write_text(html.replace("/static/app.css", (STATIC / "app.css").as_uri()))
    with Browser(program, tmp_path / "profile") as browser:
        for width in (390, 1300):
            browser.open((tmp_path / "goods.html").as_uri(), width)
            shown = browser.evaluate(_SHOWN)
            assert shown == [True] * 5, width
