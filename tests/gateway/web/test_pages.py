"""The pages: what they say, to whom, and that they are well-formed, escaped and readable."""

import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from gateway.access import Scope
from gateway.api.guards import cookie_name
from gateway.query.readings import Bucket, Curve
from gateway.web import text
from gateway.web.chart import chart, unbroken
from gateway.web.home import headline
from tests.gateway.api.server import Server
from tests.gateway.api.site import START_US, Site

VOID = {"meta", "link", "input", "br", "path", "rect", "circle", "img"}
CSS = Path(__file__).parents[3] / "gateway/web/static/app.css"


class Page(HTMLParser):
    """Checks that every element is closed, no script or style stands inline, and every input has a label."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.links: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert "style" not in given
        assert not [name for name in given if name.startswith("on")]
        if tag == "script":
            assert given["src"].startswith("/static/")
        if tag in ("input", "select") and given.get("type") != "hidden":
            assert "label" in self.open
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page(answer: httpx.Response, status: int = 200) -> Page:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return Page(answer.text)


@pytest.fixture(scope="module")
def full(server: Server) -> httpx.Client:
    return server.client(Scope.AUDITOR, Scope.OPERATOR)


def test_the_first_page_says_how_it_stands(full: httpx.Client, busy: Site) -> None:
    said = page(full.get("/")).text
    events = busy.status().log_size
    assert "119 events, 117 provable" in said, said[:200]
    assert events == 133
    assert "5 events never arrived, and we know exactly which." in said
    assert "2 events are on the way to the ledger." in said
    assert "cold-1 temperature for 11 min: 12 readings from 8.68 to 9.89 °C" in said
    assert "sealed events never arrived: 20 to 24" in said
    assert "'stranger' is not enrolled here" in said
    assert "lot L2611A" in said


def test_without_a_token_only_the_public_state_is_shown(anybody: httpx.Client) -> None:
    said = page(anybody.get("/")).text
    assert "119 events, 117 provable" in said
    for secret in ("cold-1", "L2611A", "stranger", "Received"):
        assert secret not in said
    html = {"Accept": "text/html"}
    assert "Log in" in page(anybody.get("/records", headers=html), 401).text
    assert anybody.get("/records").headers["content-type"] == "application/problem+json"


def test_device_admins_see_no_content(server: Server) -> None:
    admin = server.client(Scope.DEVICE_ADMIN)
    for path in ("/", "/records", "/records/3", "/sources/cold-1"):
        said = page(admin.get(path)).text
        assert "°C" not in said
        assert "L2611A" not in said
    assert admin.get("/records?value=L2611A").status_code == 403


def test_records_are_filtered_and_paged(full: httpx.Client) -> None:
    first = page(full.get("/records"))
    onward = next(link for link in first.links if "cursor=" in link)
    second = page(full.get(onward))
    listed = [[int(x.rsplit("/", 1)[1]) for x in p.links if re.fullmatch(r"/records/\d+", x)] for p in (first, second)]
    assert listed[0] == list(range(132, 82, -1))
    assert listed[1] == list(range(82, 32, -1))
    packs = page(full.get("/records?term=lot&value=L2611A&kind=production&order=oldest&source=&flag="))
    assert packs.text.count("lot L2611A") == 8
    assert "No record fits" in page(full.get("/records?source=nobody")).text
    html = {"Accept": "text/html"}
    assert "cannot be answered" in page(full.get("/records?kind=x", headers=html), 422).text


def test_a_record_shows_its_chain(full: httpx.Client, busy: Site) -> None:
    said = page(full.get("/records/3"))
    for link in ("Event", "Device signature", "Log record", "Merkle path", "Signed checkpoint", "Ledger anchor"):
        assert f"{link} holds" in said.text
    assert "Witnesses not there" in said.text
    assert "Proved from the device to the ledger." in said.text
    assert "sealtrail verify record-3.receipt.json --policy policy.txt" in said.text
    assert "/v1/records/3/receipt" in said.links
    newest = page(full.get(f"/records/{busy.writer.log.size - 1}")).text
    assert "Ledger anchor on its way" in newest
    assert "The receipt is ready once" in newest
    seal = page(full.get("/records/5")).text
    assert "Seal over 5 events" in seal
    plain = page(full.get(f"/records/{busy.writer.ranges.leaf_of('door-1', 1, 0)}")).text
    assert "rests on the gateway's word" in plain
    assert "Proved in part" in plain


def test_an_erased_payload_is_said_and_the_proof_still_holds(own: Site) -> None:
    own.erase("cold-1")
    with Server(own) as server:
        said = page(server.client(Scope.AUDITOR).get("/records/3")).text
    assert "The content was erased" in said
    assert "Merkle path holds" in said


def test_a_source_shows_its_gaps(full: httpx.Client) -> None:
    said = page(full.get("/sources/cold-2")).text
    assert "5 events never arrived." in said
    assert "nos. 20–24" in said
    early = page(full.get("/sources/cold-2?to=2026-11-23T06:10:00Z")).text
    assert "Complete" in early
    assert "nothing has arrived yet" in page(full.get("/sources/cold-3")).text
    assert "It has no key of its own" in page(full.get("/sources/door-1")).text
    assert "Not here" in page(full.get("/sources/nobody", headers={"Accept": "text/html"}), 404).text


def test_what_sources_say_is_text_and_never_markup(site: Site) -> None:
    device = site.device("cold-1")
    pack = [{"n": "x", "vs": "<script>alert(1)</script>'\"&"}]
    site.take("cold-1", [device.event("reading", pack, START_US)], received_us=START_US)
    site.anchor()
    site.follow()
    with Server(site) as server:
        client = server.client(Scope.AUDITOR)
        for path in ("/", "/records", "/records/0", "/sources/cold-1"):
            answer = client.get(path)
            assert "<script>alert" not in answer.text
            page(answer)
        assert "<script>alert(1)</script>" in page(client.get("/records/0")).text


def test_an_empty_site_has_pages_too(site: Site) -> None:
    site.follow()
    with Server(site) as server:
        client = server.client(Scope.AUDITOR, Scope.OPERATOR)
        assert "No events yet" in page(client.get("/")).text
        assert "No record fits" in page(client.get("/records")).text


def test_login_puts_the_token_into_a_cookie_that_no_script_reads(anybody: httpx.Client, busy: Site) -> None:
    token = busy.token(Scope.AUDITOR)
    for answer in (
        anybody.get("/login", params={"token": token, "next": "/records/3"}),
        anybody.post("/login", data={"token": token, "next": "/records/3"}),
    ):
        assert (answer.status_code, answer.headers["location"]) == (303, "/records/3")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        anybody.cookies.clear()
    for wrong in ("wrong", "\x00", "é", "a;b"):
        answer = anybody.post("/login", data={"token": wrong})
        assert "unknown or was revoked" in page(answer, 401).text
        assert "set-cookie" not in answer.headers
    gone = anybody.post("/logout")
    assert f'{cookie_name(busy.folder.origin)}=""' in gone.headers["set-cookie"]


def test_gateways_on_one_machine_keep_their_logins_apart(tmp_path: Path, server: Server, busy: Site) -> None:
    """A browser sends a cookie to every port of a host: one is in at both, and then out of one alone."""
    there = Site(tmp_path, origin="plant-8.example/line-1")
    there.follow()
    with Server(there) as other, httpx.Client() as person:
        for site, url in ((busy, server.url), (there, other.url)):
            assert person.post(f"{url}/login", data={"token": site.token(Scope.AUDITOR)}).status_code == 303
        assert len(person.cookies) == 2
        assert [person.get(f"{url}/records").status_code for url in (server.url, other.url)] == [200, 200]
        person.post(f"{other.url}/logout")
        assert [person.get(f"{url}/records").status_code for url in (server.url, other.url)] == [200, 401]
    there.close()


@pytest.mark.parametrize(
    "asked",
    ["/goods?id=https%3A%2F%2Fid.gs1.org%2F01%2F09520002000019%2F21%2FA%2526B", "/records?kind=epcis&cursor=", "/?a=1"],
)
def test_a_login_leads_to_what_was_asked_for(anybody: httpx.Client, busy: Site, asked: str) -> None:
    form = anybody.get(asked, headers={"Accept": "text/html"})
    if form.status_code == 401:
        assert re.findall('name="next" value="([^"]*)"', form.text) == [escape(asked)]
    else:  # the first page needs no token
        assert asked.startswith("/?")
    for answer in (
        anybody.get("/login", params={"token": busy.token(Scope.AUDITOR), "next": asked}),
        anybody.post("/login", data={"token": busy.token(Scope.AUDITOR), "next": asked}),
    ):
        assert (answer.status_code, answer.headers["location"]) == (303, asked)
        anybody.cookies.clear()


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example", "//evil.example", "//evil.example/goods?id=1", "/\\evil.example", "\\\\evil.example",
        "///evil.example", "/goods?id=1\r\nSet-Cookie: a=b", "/goods\n", "/goods?id=1\n", "/goods?\\",
        "/\t/evil.example", "javascript:alert(1)", "data:text/html,1", "?id=1", "evil.example", " /goods",
        "/goods/../login", "/records/../x",
        "/goods@evil.example", "/.evil.example", "/v1/records", "/logout", "/login?next=/", "/goods#a", "/goods?é", "",
        "/goods?id=" + "a" * 1000,
    ],
)  # fmt: skip
def test_a_login_leads_nowhere_else(anybody: httpx.Client, busy: Site, elsewhere: str) -> None:
    answer = anybody.post("/login", data={"token": busy.token(Scope.AUDITOR), "next": elsewhere})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert len(answer.headers.get_list("set-cookie")) == 1  # no line of it became a header
    anybody.cookies.clear()
    answer = anybody.get("/login", params={"token": busy.token(Scope.AUDITOR), "next": elsewhere})
    assert answer.status_code == 422 or answer.headers["location"] == "/"
    anybody.cookies.clear()
    wrong = anybody.post("/login", data={"token": "wrong", "next": elsewhere})
    assert (wrong.status_code, 'name="next" value="/"' in wrong.text) == (401, True)


def test_static_files(anybody: httpx.Client) -> None:
    for name, kind in (("app.css", "text/css"), ("app.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
        assert anybody.get(f"/static/{name}").headers["content-type"].startswith(kind)
    assert anybody.get("/static/..%2fpages.py").status_code == 404
    assert anybody.get("/static/other.css").status_code == 404


# -- the parts


def test_headlines() -> None:
    assert headline(0, 0) == "No events yet"
    assert headline(1, 0) == "1 event, provable"
    assert headline(9214, 0) == "9,214 events, every one provable"
    assert headline(9214, 14) == "9,214 events, 9,200 provable"


def test_times_and_sizes_have_words() -> None:
    assert text.moment(START_US) == "23 Nov 2026, 06:00:00"
    assert text.moment(2**63 - 1) == "9223372036854775807 µs"
    assert text.iso(2**63 - 1) == ""
    assert text.span(90 * 10**6) == "2 min"
    assert (text.size(999), text.size(3_500_000)) == ("999 B", "3.5 MB")
    assert (text.ago(0), text.ago(2**63 - 1)) == ("never", "in the future")


def bucket(at: int, value: float, outside: int = 0) -> Bucket:
    return Bucket(at, at, value, value, value, 1, outside)


def test_a_curve_is_broken_where_nothing_came() -> None:
    buckets = tuple(bucket(at, 5.0) for at in (0, 10, 20, 30, 90, 100))
    assert [len(part) for part in unbroken(buckets)] == [4, 2]
    drawn = chart(Curve("s", "t", "Cel", 0, 100, buckets), 2.0, 8.0)
    assert drawn.line.count("M") == 2


def test_a_chart_shows_all_values_and_the_whole_band() -> None:
    buckets = (bucket(0, -40.0), bucket(1, 5.0), bucket(2, 60.0, 1), bucket(3, 4.0))
    drawn = chart(Curve("s", "t", "Cel", 0, 3, buckets), 2.0, 8.0)
    numbers = [float(n) for n in re.findall(r"-?\d+\.\d+", drawn.line + drawn.envelope)]
    assert all(0 <= n <= 1000 for n in numbers)
    assert len(drawn.outside) == 1
    assert 0 < drawn.band[0] < drawn.band[0] + drawn.band[1] < 240
    assert chart(Curve("s", "t", "Cel", 0, 3, ()), None, None) is None
    flat = chart(Curve("s", "t", "", 5, 5, (bucket(5, 0.0),)), None, None)
    assert flat.band is None
    assert flat.y_ticks


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_contrast_is_at_least_that_of_wcag_aa() -> None:
    themes = re.findall(r":root \{(.*?)\}", CSS.read_text(), re.S)
    assert len(themes) == 2
    pairs = [(ink, ground) for ink in ("ink", "soft") for ground in ("page", "card", "sunk")]
    pairs += [(tone, ground) for tone in ("good", "wait", "bad") for ground in ("page", "card", f"{tone}-bg")]
    pairs += [("card", "good"), ("card", "bad")]
    for theme in themes:
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", theme))
        for ink, ground in pairs:
            light, dark = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)
