"""The book of scans: what it tells apart, what it keeps, and that spam fills nothing and locks out nobody."""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.consumer.scans import DAY_US, FILE, MAX_PLACES, MINUTE_US, Scanned, Scans, network_of

NOW = 20_000 * DAY_US + 10 * 60 * MINUTE_US
URI = "https://id.gs1.org/01/09506000134352/21/A"


@pytest.fixture
def scans(tmp_path: Path) -> Iterator[Scans]:
    with closing(Scans(tmp_path, most_packs=3)) as made:
        yield made


def rows(scans: Scans, table: str) -> list[tuple[object, ...]]:
    return scans._db.connection.execute(f"SELECT * FROM {table}").fetchall()


def test_first_again_elsewhere_many(scans: Scans) -> None:
    first = scans.scan(URI, "203.0.113.1", NOW)
    assert (first.what, first.before, first.first_us) == (Scanned.FIRST, 0, NOW)
    again = scans.scan(URI, "203.0.113.200", NOW + 2 * MINUTE_US)  # the same /24
    assert (again.what, again.before, again.first_us) == (Scanned.AGAIN, 1, NOW)
    assert scans.scan(URI, "198.51.100.1", NOW + 5 * MINUTE_US).what is Scanned.ELSEWHERE
    assert scans.scan(URI, "203.0.113.1", NOW + 300 * MINUTE_US).what is Scanned.AGAIN  # the other one is hours ago
    assert scans.scan(URI, "2001:db8::1", NOW + 301 * MINUTE_US).what is Scanned.ELSEWHERE
    assert scans.scan(URI, "2001:db8:0:7::9", NOW + 303 * MINUTE_US).what is Scanned.ELSEWHERE  # the same /48
    assert scans.scan(URI, "192.0.2.1", NOW + 304 * MINUTE_US).what is Scanned.MANY


def test_a_page_loaded_again_is_no_second_scan(scans: Scans) -> None:
    for second in range(0, 50, 10):
        assert scans.scan(URI, "203.0.113.1", NOW + second * 1_000_000).before == 0
    assert scans.scan(URI, "203.0.113.1", NOW + 5 * MINUTE_US).before == 1


def test_two_places_are_told_apart_across_midnight(scans: Scans) -> None:
    late = (NOW // DAY_US + 1) * DAY_US - 5 * MINUTE_US
    scans.scan(URI, "203.0.113.1", late)
    assert scans.scan(URI, "203.0.113.1", late + 10 * MINUTE_US).what is Scanned.AGAIN
    assert scans.scan(URI, "198.51.100.1", late + 11 * MINUTE_US).what is Scanned.ELSEWHERE


def test_after_two_days_no_place_is_left_and_no_address_ever_was(scans: Scans, tmp_path: Path) -> None:
    scans.scan(URI, "203.0.113.77", NOW)
    salts, places = rows(scans, "salt"), rows(scans, "place")
    assert len(salts) == len(places) == 1
    scans.scan(URI, "203.0.113.77", NOW + DAY_US)
    assert sorted(row[1] for row in rows(scans, "place")) == [NOW // DAY_US, NOW // DAY_US + 1]  # type: ignore[type-var]
    assert len({bytes(row[2]) for row in rows(scans, "place")}) == 2  # one network, another salt, another mark
    scans.scan("https://id.gs1.org/01/09506000134352/21/B", "203.0.113.77", NOW + 3 * DAY_US)
    assert salts[0] not in rows(scans, "salt")
    assert places[0] not in rows(scans, "place")
    assert scans.scan(URI, "203.0.113.77", NOW + 4 * DAY_US).first_us == NOW
    scans.forget(NOW + 4 * DAY_US)
    assert (tmp_path / f"{FILE}-wal").stat().st_size == 0
    content = (tmp_path / FILE).read_bytes()
    assert bytes(salts[0][1]) not in content  # type: ignore[call-overload]
    assert bytes(places[0][2]) not in content  # type: ignore[call-overload]
    assert b"203.0.113" not in content
    assert b"09506000134352" not in content
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_spam_fills_nothing(scans: Scans) -> None:
    for n in range(4 * MAX_PLACES):
        scans.scan(URI, f"10.0.{n}.1", NOW + n)
    assert len(rows(scans, "place")) == MAX_PLACES
    for n in range(6):
        scans.scan(f"{URI}{n}", "203.0.113.1", NOW + DAY_US + n)
    assert len(rows(scans, "pack")) == 3
    assert scans.scan(f"{URI}5", "203.0.113.1", NOW + DAY_US + 10 * MINUTE_US).what is Scanned.AGAIN


def test_what_spam_left_is_gone_after_a_day(scans: Scans) -> None:
    for n in range(MAX_PLACES):
        scans.scan(URI, f"10.0.{n}.1", NOW)
    assert scans.scan(URI, "203.0.113.1", NOW + MINUTE_US).what is Scanned.MANY
    assert scans.scan(URI, "203.0.113.1", NOW + 2 * DAY_US).what is Scanned.AGAIN


def test_the_book_survives_a_restart(tmp_path: Path) -> None:
    with closing(Scans(tmp_path)) as scans:
        scans.scan(URI, "203.0.113.1", NOW)
    with closing(Scans(tmp_path)) as scans:
        assert scans.scan(URI, "203.0.113.1", NOW + 5 * MINUTE_US).before == 1
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        assert db.execute("SELECT count FROM pack").fetchall() == [(2,)]


@pytest.mark.parametrize(
    ("address", "network"),
    [("203.0.113.9", "203.0.113.0/24"), ("::ffff:203.0.113.9", "203.0.113.0/24"), ("", "?"), ("a unix socket", "?"),
     ("2001:db8:7:1::5", "2001:db8:7::/48"), ("fe80::1%eth0", "fe80::/48")],
)  # fmt: skip
def test_networks(address: str, network: str) -> None:
    assert network_of(address) == network
