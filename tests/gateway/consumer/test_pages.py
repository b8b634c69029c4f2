"""The consumer page over HTTP: what it says in each state, in both languages, and what it does not say."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from chain.receipt import parse_receipt
from chain.verify import Outcome, verify_receipt
from gateway.consumer.facts import PackFacts
from gateway.consumer.parts import AT_ONCE
from gateway.consumer.texts import en, zh
from gateway.web import pack
from gateway.web.pack import LIMITS, STEP_S
from tests.gateway.api.site import Site
from tests.gateway.consumer.asking import (
    ABROAD,
    CAFE,
    GOOD,
    GTIN,
    HOME,
    LOT,
    PACK,
    QUESTION,
    SERIAL,
    STATES,
    Told,
    ask,
    asked,
    said,
    tell,
    told,
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with a few anchored records; record 3 is the one that GOOD names."""
    made = Site(tmp_path_factory.mktemp("consumer") / "site")
    made.readings(made.device("secret-wholesaler-line"), [4.0] * 5)
    made.anchor()
    made.follow()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Answers leave after a hundredth of the time, but where the time is looked at."""
    if "same_time" not in request.node.name:
        monkeypatch.setattr(pack, "STEP_S", STEP_S / 100)


@pytest.mark.parametrize("state", STATES)
def test_each_state_in_both_languages(filled: Site, state: str) -> None:
    app = told(filled, STATES[state])
    for tag, texts in (("en", en.TEXTS), ("zh-CN,zh;q=0.9,en;q=0.1", zh.TEXTS)):
        page = ask(app, accept_language=tag)
        assert page.status_code == 200
        assert f"<h1>{texts[f'status_{state}']}</h1>" in page.text
        assert texts[f"lead_{state}"] in page.text
        other = {"en": zh.TEXTS}.get(tag, en.TEXTS)
        assert other[f"lead_{state}"] not in page.text
        found = said(ask(app, accept="application/json", accept_language=tag))
        assert (found["status"], found["title"]) == (state, texts[f"status_{state}"])
        assert "script" not in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]


def test_the_switch_wins_over_the_header_and_keeps_the_question(filled: Site) -> None:
    app = told(filled)
    page = ask(app, f"{PACK}?17=290430&lang=zh", accept_language="en")
    assert page.headers["content-language"] == "zh-Hans"
    assert f'href="{PACK}?lang=en&amp;17=290430"' in page.text
    for header in ("xx", "zh;q=0, en;q=0.1", "de, *;q=0.5", "en;q=abc", "," * 4000):
        assert ask(app, accept_language=header).headers["content-language"] == "en"


def test_both_catalogues_have_every_sentence_and_leave_none_untranslated() -> None:
    assert en.TEXTS.keys() == zh.TEXTS.keys()
    hole = re.compile(r"\{\w+\}")
    for name, text in en.TEXTS.items():
        chinese = zh.TEXTS[name]
        assert sorted(hole.findall(text)) == sorted(hole.findall(chinese)), name
        assert text, name
        if not name.startswith("month_"):
            assert re.search("[\u4e00-\u9fff]", chinese), f"{name} is not in Chinese"
            assert not re.search("[\u4e00-\u9fff]", text), f"{name} is not in English"


def test_every_sentence_is_used_and_every_name_used_is_there() -> None:
    gateway = Path(en.__file__).parents[2]
    code = "".join(p.read_text() for p in (gateway / "consumer").glob("*.py"))
    code += "".join(p.read_text() for p in (gateway / "web/templates").glob("pack*.html"))
    made = ("status_", "lead_", "month_", "proof_", "state_", "recall_")  # put together from a state
    for name in en.TEXTS:
        assert f'"{name}"' in code or name.startswith(made), f"{name} is said nowhere"


def test_the_proof_is_one_tap_away_and_its_receipt_verifies_and_discloses_nothing(filled: Site) -> None:
    app = told(filled)
    assert f'href="{PACK}?show=proof&amp;lang=en"' in ask(app).text
    proof = ask(app, f"{PACK}?show=proof&lang=zh")
    assert proof.text.count(zh.TEXTS["state_holds"]) == 7  # all links but the witnesses, and the pack in its lot
    assert "secret-wholesaler-line" not in proof.text
    receipt = ask(app, f"{PACK}?show=receipt")
    assert receipt.headers["content-disposition"].startswith("attachment")
    found = parse_receipt(receipt.content)
    assert verify_receipt(found, filled.policy).outcome is Outcome.VALID
    assert "4.0" not in json.dumps(said(receipt))
    tell(filled, replace(GOOD, proof=None))
    assert en.TEXTS["proof_none"] in ask(app, f"{PACK}?show=proof").text
    tell(filled, replace(GOOD, proof=999))
    assert en.TEXTS["proof_none"] in ask(app, f"{PACK}?show=receipt").text


def test_no_proof_of_what_is_unknown(filled: Site) -> None:
    app = told(filled, PackFacts())
    for show in ("proof", "receipt"):
        page = ask(app, f"{PACK}?show={show}")
        assert page.headers["content-type"].startswith("text/html")
        assert en.TEXTS["status_unknown"] in page.text


# -- attacks


def test_serials_that_are_guessed_all_look_the_same_and_take_the_same_time(filled: Site) -> None:
    """A real serial under the wrong lot or date is no better known than one that nobody ever printed."""
    app = told(filled, replace(GOOD, fits=False))
    forged = PACK.replace(SERIAL, "AAAAAAAAAAAA")
    answers, times = [], []
    for path in (forged, PACK):
        began = time.monotonic()
        found = said(ask(app, path, accept="application/json"))
        times.append(time.monotonic() - began)
        answers.append({name: value for name, value in found.items() if name != "serial"})
    assert answers[0] == answers[1]
    tell(filled, GOOD)
    known = said(ask(app, accept="application/json"))
    assert known.keys() == {*answers[0], "serial"}
    assert min(times) >= STEP_S
    for spent_s in (0.0, 0.001, STEP_S / 3, STEP_S, 1.01 * STEP_S, 7.77 * STEP_S):
        steps = (spent_s + pack.pause_s(spent_s)) / STEP_S
        assert (round(steps, 6) % 1, 0 <= pack.pause_s(spent_s) <= STEP_S) == (0, True)


def test_enumerating_serials_is_slowed_down_and_harms_nobody_else(filled: Site) -> None:
    app = told(filled, PackFacts())
    answers = [ask(app, f"/01/{GTIN}/21/GUESS{n}", ABROAD).status_code for n in range(int(LIMITS.burst) + 3)]
    assert answers[: int(LIMITS.burst)] == [200] * int(LIMITS.burst)
    assert 429 in answers[int(LIMITS.burst) :]
    slow = ask(app, PACK, "2001:db8:77::99")  # of the same network
    assert (slow.status_code, int(slow.headers["retry-after"]) >= 1) == (429, True)
    assert en.TEXTS["lead_slow"] in slow.text
    other = ask(app, PACK, "2001:db8:77:abcd::99")  # whoever has a /48 has 65,536 such networks
    assert other.status_code == 429
    assert ask(app, address=CAFE).status_code == 200


def test_however_many_ask_few_questions_are_at_the_ledger_at_once(
    filled: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack, "WAIT_S", 0.05)
    app, answered = told(filled), asyncio.Event()

    class Slow(Told):
        async def look_up(self, question: Any) -> PackFacts:
            self.asked.append(question)
            await answered.wait()
            return GOOD

    slow = Slow(GOOD)
    filled.supply = replace(filled.supply, consumer=replace(filled.supply.consumer, lookup=slow))

    async def run() -> tuple[list[int], list[int]]:
        crowd = [asyncio.create_task(asked(app, PACK, f"203.0.113.{n}")) for n in range(AT_ONCE + 5)]
        refused, _ = await asyncio.wait(crowd, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        while len(refused) < 5:
            refused, _ = await asyncio.wait(crowd, timeout=0.05)
        assert len(slow.asked) == AT_ONCE
        assert all(one.result().headers["retry-after"] for one in refused)
        answered.set()
        found = [one.result().status_code for one in refused]
        return found, [one.status_code for one in await asyncio.gather(*set(crowd) - refused)]

    assert asyncio.run(run()) == ([503] * 5, [200] * AT_ONCE)
    assert ask(app, address=CAFE).status_code == 200  # who waited in vain took no place away


@pytest.mark.parametrize(
    "path",
    [
        "/01/<script>alert(1)</script>/21/x",
        f"/01/{GTIN}/21/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        f"/01/{GTIN}/21/x%0d%0aSet-Cookie:%20a=b",
        f"/01/{GTIN}/21/%00",
        f"/01/{GTIN}/21/%F0%9F%92%8A",
        f"/01/{GTIN}/21/{'A' * 21}",
        f"/01/{GTIN}/21/{'A' * 5000}",
        "/01/09506000134353/21/A",
        f"/01/{GTIN}/22/A/21/B",
        f"/01/{GTIN}/21/A/21/B",
        f"/01/{GTIN}/99/A",
        f"/01/{GTIN}",
        "/01/",
        f"/01/{GTIN}/21/A?17=991399",
        f"/01/{GTIN}/21/A?17=%0d%0a",
    ],
)
def test_paths_that_name_no_pack_are_told_so_and_never_repeated(filled: Site, path: str) -> None:
    answer = ask(told(filled), path)
    assert "alert(1)" not in answer.text
    assert "set-cookie" not in answer.headers
    if "%0aSet" in path:  # with a line feed in it, it is not even a path of this page
        assert answer.status_code == 404
    else:
        assert answer.status_code == 400
        assert en.TEXTS["lead_nothing"] in answer.text


def test_characters_of_a_serial_that_mean_something_in_html_are_escaped(filled: Site) -> None:
    """GS1's character set 82 has quotes, ampersand and angle brackets."""
    app = told(filled)
    serial, escaped = "%22%3E%3Cb%20".replace("%20", "") + "%26x%27", "&#34;&gt;&lt;b&amp;x&#39;"
    page = ask(app, f"/01/{GTIN}/21/{serial}")
    assert page.status_code == 200
    assert escaped in page.text
    assert '"><b' not in page.text
    assert [q.serial for q in _lookup(filled).asked] == ["\"><b&x'"]
    for odd in ("?lang=%22%3E%3Cb", "?17=290430&lang=<b>", "?show=%3Cscript%3E", "?utm_source=%22><b"):
        assert '"><b' not in ask(app, f"/01/{GTIN}/21/{serial}{odd}").text


def _lookup(site: Site) -> Told:
    lookup = site.supply.consumer.lookup
    assert isinstance(lookup, Told)
    return lookup


def test_a_code_copied_onto_other_packs_is_noticed_and_the_pack_is_never_locked_out(filled: Site) -> None:
    copied = PACK.replace(SERIAL, "COPIED")
    app = told(filled)
    known = replace(QUESTION, serial="COPIED")

    class Copied(Told):
        async def look_up(self, question: Any) -> PackFacts:
            return GOOD if question == known else PackFacts()

    filled.supply = replace(filled.supply, consumer=replace(filled.supply.consumer, lookup=Copied(GOOD)))
    assert en.TEXTS["scan_first"] in ask(app, copied, HOME).text
    elsewhere = ask(app, copied, CAFE)
    assert en.TEXTS["scan_elsewhere"] in elsewhere.text
    assert f"<h1>{en.TEXTS['status_genuine']}</h1>" in elsewhere.text
    for address in (ABROAD, "192.0.2.1", "192.0.99.1"):
        many = ask(app, copied, address)
    assert f"<h1>{en.TEXTS['status_copied']}</h1>" in many.text
    found = said(ask(app, copied, accept="application/json"))
    assert (found["known"], found["status"], found["scan"]["what"]) == (True, "copied", "many")


def test_pages_loaded_in_advance_and_proofs_are_no_scans(filled: Site) -> None:
    app = told(filled)
    before = said(ask(app, accept="application/json", address=HOME))["scan"]
    ask(app, address=CAFE, sec_purpose="prefetch")
    ask(app, f"{PACK}?show=proof", address=ABROAD)
    ask(app, f"{PACK}?linkType=all", address=ABROAD)
    again = said(ask(app, accept="application/json", address=HOME))["scan"]
    assert again == before  # within a minute from one place: the same scan


def test_nobody_elses_name_leaves_the_facts() -> None:
    """What the page can say is bounded by what it is given: no organisation, place, unit or other serial."""
    assert {field.name for field in fields(PackFacts)} == {
        "known", "fits", "lot", "expiry", "commissioned_us", "recalled", "dispensed_us", "withdrawn_us", "quarantined",
        "kept_cold", "proof",
    }  # fmt: skip


# -- forms


def test_link_types_of_the_resolver_standard(filled: Site) -> None:
    app = told(filled)
    every = ask(app, f"{PACK}?linkType=all")
    assert every.headers["content-type"] == "application/linkset+json"
    (entry,) = said(every)["linkset"]
    assert entry["anchor"] == f"https://maker.example{PACK}"
    assert {link["type"] for link in entry["https://ref.gs1.org/voc/pip"]} == {"text/html", "application/json"}
    assert said(ask(app, accept="application/linkset+json")) == said(every)
    for one in ("gs1:pip", "https://ref.gs1.org/voc/recallStatus"):
        assert en.TEXTS["status_genuine"] in ask(app, f"{PACK}?linkType={one}").text
    assert ask(app, f"{PACK}?linkType=gs1:recipeInfo").status_code == 404


def test_a_lot_alone_can_be_asked_about(filled: Site) -> None:
    class OfLot(Told):
        async def look_up(self, question: Any) -> PackFacts:
            return GOOD if question.serial is None and question.lot == LOT else PackFacts()

    app = told(filled)
    filled.supply = replace(filled.supply, consumer=replace(filled.supply.consumer, lookup=OfLot(GOOD)))
    page = ask(app, f"/01/{GTIN}/10/{LOT}")
    assert en.TEXTS["status_lot"] in page.text
    assert en.TEXTS["scan_first"] not in page.text
    assert en.TEXTS["status_unknown"] in ask(app, f"/01/{GTIN}/10/OTHER").text


def test_a_ledger_that_is_away_says_nothing_about_a_pack(filled: Site) -> None:
    from chain.errors import LedgerError

    class Away(Told):
        async def look_up(self, question: Any) -> PackFacts:
            raise LedgerError("away")

    app = told(filled)
    filled.supply = replace(filled.supply, consumer=replace(filled.supply.consumer, lookup=Away(GOOD)))
    answer = ask(app)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert en.TEXTS["lead_away"] in answer.text
    assert said(ask(app, accept="application/json"))["status"] == "away"
