"""The pages of exceptions, recalls and alarms on a real gateway: what a person needs, escaped, for those who may."""

import re
import time
from pathlib import Path

import httpx
import pytest

from gateway.access import Scope
from gateway.alarms.alarm import Alarm, What
from gateway.web.pages import STATIC
from tests.gateway.recall.test_recall import LOT, party, shipped
from tests.gateway.web.browser import Browser, chromium
from tests.support.paged import ServedSite
from tests.support.trade import case, commissioned, pack, packed, place

HOSTILE = "<script>alert(1)</script>"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;"
COMPANY = "Maker & Söhne"
PAGES = ("exceptions", "exceptions/1", "recalls", "alarms")


def _site(root: Path) -> ServedSite:
    token = root / "token"
    token.touch(0o600)
    token.write_text("none")
    partner = {
        "organisation": "Wholesaler", "parties": [party("Wholesaler").rpartition("/")[2]],
        "url": "http://127.0.0.1:9", "token_file": token,
    }  # fmt: skip
    ledger = {"name": "trade.example/ledger", "folder": root / "ledger", "organisation": "Maker"}
    return ServedSite(
        root / "maker", origin="maker.example/gw", shared_ledger=ledger, partners=[partner], company=COMPANY
    )


def _recalled(site: ServedSite) -> str:
    """A drill over 12 packs, of which 10 went to a wholesaler that never answers."""
    packs = [pack(3, n) for n in range(12)]
    events = [
        commissioned(0, 3, "L1", *packs, at=place(1)), packed(1, case(1), *packs[:10], at=place(1)),
        shipped(2, case(1), "Maker", "Wholesaler"),
    ]  # fmt: skip
    site.run(site.gateway._own_log("capture", "epcis").append_all(events))
    site.caught_up()
    recalls = site.gateway.supply.recalls
    drill = site.run(recalls.start(LOT, 1, HOSTILE, time.time_ns() // 1000 + 1_500_000, drill=True))
    site.wait(lambda: recalls.book.customers(drill.id))
    return drill.id


def _excepted(site: ServedSite) -> None:
    """One of ours that another company is asked about, one that another company asks us about, one answered."""
    register, us, now_us = site.gateway.supply.custody.exceptions, "Maker", time.time_ns() // 1000
    register.open("product-without-data", us, "Wholesaler", [pack(3, 1), HOSTILE], [0, 1], f"Expected {HOSTILE}.", 0,
                  "a", now_us + 3_600_000_000)  # fmt: skip
    register.open(
        "duplicate-serial", "Wholesaler", "Wholesaler", [pack(3, 2)], [], HOSTILE, 0, "b", now_us - 1, b"l" * 32
    )
    third = register.open("suspect", us, "Wholesaler", [pack(3, 4)], [], "looks odd", 0, "c", now_us + 1)
    assert third
    register.change(third, "answered", answer=HOSTILE)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, httpx.Response]:
    with _site(tmp_path_factory.mktemp("supply")) as site:
        found = {f"empty {path}": site.get(f"/{path}") for path in PAGES if path != "exceptions/1"}
        found["empty start"] = site.get("/")
        drill = _recalled(site)
        found["drill"] = site.get(f"/recalls/{drill}")
        _excepted(site)
        alarms = site.gateway.supply.alarms
        for number in range(2):
            alarm = Alarm(0, f"k{number}", number, What.SITE, "x", HOSTILE, {}, {"record": "javascript:alert(1)"})
            alarms._store.raise_all([alarm])
        newest = site.run(alarms.newest())
        site.run(alarms.acknowledge(newest, "J. Muster", HOSTILE))
        for path in (
            *PAGES,
            "exceptions/2",
            "exceptions/3",
            "exceptions/99",
            "exceptions/%3Cb%3E",
            "recalls/nothing",
            "",
        ):
            found[path] = site.get(f"/{path}")
            found[f"admin {path}"] = site.get(f"/{path}", Scope.DEVICE_ADMIN)
        found["answered"] = site.get("/exceptions?state=answered")
        found["pending"] = site.get("/alarms?show=pending")
        time.sleep(max(0.0, _deadline(site, drill) - time.time()))
        found["silent"] = site.get(f"/recalls/{drill}")
    return found


def _deadline(site: ServedSite, drill: str) -> float:
    return site.gateway.supply.recalls.book.get(drill).deadline_us / 1e6 + 0.01


def test_nothing_there_is_said_and_not_linked(pages: dict[str, httpx.Response]) -> None:
    assert "Goods and data agree" in pages["empty exceptions"].text
    assert "sealtrail recall drill" in pages["empty recalls"].text
    assert "There was no alarm yet" in pages["empty alarms"].text
    for path in ("exceptions", "recalls", "alarms"):
        assert f'href="/{path}"' not in pages["empty start"].text
        assert f'href="/{path}"' in pages[""].text


def test_the_first_page_says_whose_it_is_and_what_waits(pages: dict[str, httpx.Response]) -> None:
    start = pages[""].text
    assert "Maker &amp; Söhne" in start
    assert "<b>2</b> exceptions are open" in start
    assert "that nobody has acknowledged" in start
    assert "are open" not in pages["admin "].text


def test_an_exception_says_what_was_compared_whose_turn_it_is_and_what_can_be_done(
    pages: dict[str, httpx.Response],
) -> None:
    ours, theirs, answered = (pages[f"exceptions/{n}"].text for n in (1, 2, 3))
    for said in (
        "Product without data",
        "Wholesaler is asked",
        "left",
        f"Expected {ESCAPED}.",
        "withdrawn",
        "/records/0",
    ):
        assert said in ours, said
    assert "<code>corrected</code>" not in ours  # not before an answer
    assert "sealtrail exceptions answer 2" in theirs
    assert "over since" in theirs
    for said in ("Wholesaler answered. It is for us to resolve.", ESCAPED, "<code>falsified</code>"):
        assert said in answered, said
    assert "Suspect" in pages["answered"].text
    assert "Duplicate serial" not in pages["answered"].text


def test_a_drill_is_marked_and_shows_reach_tiers_and_silence(pages: dict[str, httpx.Response]) -> None:
    before, after = pages["drill"].text, pages["silent"].text
    for said in ("Drill.", "16.7 % of 12 packs", "0 of 1 company answered", "Wholesaler", "waiting", ESCAPED):
        assert said in before, said
    assert "1 silent at the deadline" in after
    assert 'class="flag drill"' in pages["recalls"].text


def test_alarms_and_who_has_seen_to_them(pages: dict[str, httpx.Response]) -> None:
    assert "Seen by J. Muster" in pages["alarms"].text
    assert "Nobody has acknowledged it" in pages["alarms"].text
    assert "Seen by" not in pages["pending"].text
    assert not [name for name, page in pages.items() if "javascript:" in page.text]


def test_hostile_words_are_escaped_and_strange_ids_told(pages: dict[str, httpx.Response]) -> None:
    assert not [name for name, page in pages.items() if "<script>alert" in page.text]
    unknown = ("exceptions/99", "exceptions/%3Cb%3E", "recalls/nothing")
    assert {pages[path].status_code for path in unknown} == {404}
    assert {pages[path].status_code for path in PAGES} == {200}


def test_others_see_nothing(pages: dict[str, httpx.Response]) -> None:
    others = {name: page for name, page in pages.items() if name.startswith("admin ") and name != "admin "}
    assert {page.status_code for page in others.values()} == {403}
    assert 'href="/exceptions"' not in pages["admin "].text


_INSIDE = """[...document.querySelectorAll('.record')].map(row => {
    const end = row.getBoundingClientRect().right - parseFloat(getComputedStyle(row).paddingRight)
    return end - row.querySelector('.proof.state b').getBoundingClientRect().right
})"""


def test_how_long_is_left_stays_inside_its_row(pages: dict[str, httpx.Response], tmp_path: Path) -> None:
    program = chromium()
    if program is None:
        pytest.skip("no chromium here")
    html = pages["recalls"].text.replace("/static/app.css", (STATIC / "app.css").as_uri())
    html, times = re.subn(r"(<time[^>]*>)[^<]*(</time></b>)", r"\1over since 59 min 16 s\2", html)
    assert times
    (tmp_path / "recalls.html").write_text(html)
    with Browser(program, tmp_path / "profile") as browser:
        for width in (390, 700, 1000, 1300):
            browser.open((tmp_path / "recalls.html").as_uri(), width)
            assert min(browser.evaluate(_INSIDE)) >= 0, width
