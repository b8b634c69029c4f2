"""The consumer page in a real browser on a small phone: no sideways scroll, no complaint, nothing from elsewhere."""

from pathlib import Path

import pytest

from tests.gateway.api.server import Server
from tests.gateway.api.site import Site
from tests.gateway.consumer.asking import PACK, STATES, tell
from tests.gateway.web.browser import Browser, chromium

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.browser
def test_it_fits_a_small_phone_in_both_languages(tmp_path: Path) -> None:
    program = chromium()
    if program is None:
        pytest.skip("no chromium here")
    site = Site(tmp_path / "site")
    try:
        with Server(site) as server, Browser(program, tmp_path / "profile") as browser:
            for state in ("recalled", "unknown"):
                tell(site, STATES[state])
                for query in ("?lang=en", "?lang=zh&17=290430"):
                    browser.open(f"{server.url}{PACK}{query}", 320)
                    assert browser.evaluate(OVERFLOW) == 0, (state, query)
            assert browser.evaluate("document.scripts.length + document.cookie.length") == 0
            assert browser.errors == []
    finally:
        site.close()
