"""A seal that stays away is an alert, once; one that comes in time is none."""

from pathlib import Path

from chain.record import Authentication
from tests.support.site import Site
from tests.support.source import message


def test_events_that_no_seal_follows_are_told_once_until_one_comes(tmp_path: Path) -> None:
    with Site(tmp_path / "site", pipeline={"seal_overdue_s": 0.3}) as site:
        late, good = site.enrol("late"), site.enrol("good")
        site.send(late, message(late.batch(3)))
        site.send(good, message(good.batch(3), good.seal()))
        assert {r.authentication for r in site.records() if r.source == "late"} == {Authentication.SESSION}
        site.wait(lambda: site.alerts("unsealed"))
        site.send(late, message(late.batch(2)))  # more of the same is not told again
        site.send(good, message(good.batch(1), good.seal()))
        (alert,) = site.alerts("unsealed")
        assert (alert.source, alert.text) == ("late", "no seal came over its events up to boot 1 seq 2")
        site.send(late, message(None, late.seal()))
        site.send(late, message(late.batch(1)))  # unsealed anew
        site.wait(lambda: len(site.alerts("unsealed")) == 2)
        assert site.alerts("unsealed")[1].text.endswith("boot 1 seq 5")
        assert {a.source for a in site.alerts()} == {"late"}


def test_a_seal_over_a_part_begins_the_wait_anew(tmp_path: Path) -> None:
    with Site(tmp_path / "site", pipeline={"seal_overdue_s": 3600}) as site:
        source = site.enrol("a")
        events = source.batch(2)
        seal = source.seal()
        rest = source.batch(2)
        site.send(source, message(events + rest, seal))
        overdue = site.gateway.committer._overdue
        site.wait(lambda: "a" in overdue._unsealed)
        assert (overdue._unsealed["a"].boot, overdue._unsealed["a"].end) == (1, 4)
        site.send(source, message(None, source.seal()))
        site.wait(lambda: not overdue._unsealed)
        assert not site.alerts()
