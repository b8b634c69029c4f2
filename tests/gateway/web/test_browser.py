"""The pages in a real browser: no error, no horizontal scroll on a phone, fresh numbers without a reload."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.access import Scope
from tests.gateway.api.server import Server
from tests.gateway.api.site import MINUTE_US, START_US, Site
from tests.gateway.web.browser import Browser, chromium

pytestmark = pytest.mark.browser
PATHS = (
    "/", "/records", "/records/3", "/records/5", "/sources/cold-2", "/sources/cold-3", "/sources/nobody",
    "/shipments", "/exceptions", "/recalls", "/alarms",
)  # fmt: skip
FRESH_WITHIN_S = 30.0
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    program = chromium()
    if program is None:
        pytest.skip("no chromium here")
    with Browser(program, tmp_path / "profile") as running:
        yield running


def test_pages_fit_and_complain_of_nothing(browser: Browser, own: Site) -> None:
    with Server(own) as server:
        browser.open(f"{server.url}/", 390)
        assert browser.evaluate(OVERFLOW) == 0
        browser.open(f"{server.url}/login?token={own.token(Scope.AUDITOR, Scope.OPERATOR)}", 390)
        assert browser.evaluate("location.pathname + document.cookie") == "/"  # no script can read the cookie
        for width in (390, 1440):
            for path in PATHS:
                browser.open(server.url + path, width)
                browser.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
                assert browser.evaluate(OVERFLOW) == 0, (path, width)
    assert [e for e in browser.errors if "/sources/nobody" not in e] == []


def test_numbers_stay_fresh_without_a_reload(browser: Browser, own: Site) -> None:
    with Server(own) as server:
        browser.open(f"{server.url}/login?token={own.token(Scope.AUDITOR)}", 1440)
        browser.evaluate("document.body.dataset.same = 'yes'")
        assert browser.evaluate("document.querySelector('h1').textContent") == "119 events, 117 provable"
        own.readings(own.device("cold-7"), [4.0, 4.1, 4.2], START_US + 90 * MINUTE_US)
        own.anchor()
        own.follow()
        end = time.monotonic() + FRESH_WITHIN_S
        while browser.evaluate("document.querySelector('h1').textContent") != "122 events, every one provable":
            assert time.monotonic() < end, (browser.evaluate("document.body.innerText"), browser.errors)
            time.sleep(0.2)
        assert browser.evaluate("document.querySelector('#sources').textContent.includes('cold-7')")
        assert browser.evaluate("document.body.dataset.same") == "yes"
    assert browser.errors == []
