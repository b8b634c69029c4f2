"""Alarms reach people: a webhook, mail, server-sent events and MQTT, within seconds; and what was down hears later."""

import asyncio
import json
import secrets
import socket
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace as changed
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

import httpx
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import ValidationError

from crypto.files import write_secret
from gateway.access import Scope, SourceSettings
from gateway.alarms import store, telling
from gateway.alarms.alarm import Alarm, What
from gateway.alarms.errors import AlarmError
from gateway.alarms.settings import AlarmTarget
from gateway.alarms.store import AlarmStore
from gateway.api.routes import alarms as routes
from gateway.coldchain.shipping_order import Opening, WantedLogger
from gateway.delivery import signing
from gateway.server import _application, _listen, _server
from tests.gateway.coldchain.listeners import PASSWORD, USER, mail_server
from tests.gateway.coldchain.trade import POLICY, SERIES, now_us, trade, truck
from tests.gateway.delivery.receiver import Receiver, receiving
from tests.support.certificates import Authority
from tests.support.site import Site
from tests.support.source import message

SECRET = signing.new_secret()
QUICK = {"delivery": {"retry_max_s": 0.1}}


@asynccontextmanager
async def served(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """The gateway's REST interface on a real socket, and a client with an operator's token."""
    app = await asyncio.to_thread(_application, site.gateway, site.config.api)
    listening, server = _listen(site.config.api), _server(app, 100, None)
    serving = asyncio.create_task(server.serve([listening]))
    token = site.gateway.access.new_token("night desk", frozenset({Scope.OPERATOR}))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=20) as one:
            yield one
    finally:
        server.should_exit = True
        await serving
        listening.close()


async def heard(client: httpx.AsyncClient, count: int, **headers: str) -> list[dict[str, Any]]:
    """So many alarms of the stream."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(15), client.stream("GET", "/v1/alarms/stream", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line[6:]))
            if len(found) == count:
                return found
    return found


def _targets(folder: Path, webhook: Receiver, mail_port: int, ca: Path) -> dict[str, Any]:
    write_secret(folder / "hook.secret", signing.secret_text(SECRET).encode())
    write_secret(folder / "mail.secret", PASSWORD.encode())
    return QUICK | {
        "alarms": [
            {"name": "hook", "webhook": webhook.url, "secret_file": folder / "hook.secret"},
            {
                "name": "desk", "smtp": f"smtp://localhost:{mail_port}", "sender": "gateway@carrier.example",
                "to": ["qa@carrier.example", "night@carrier.example"], "username": USER,
                "password_file": folder / "mail.secret", "tls_ca": ca, "kinds": ["excursion"],
            },
        ],
    }  # fmt: skip


def test_an_excursion_reaches_everybody_within_seconds(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with receiving() as hook, mail_server(authority.issue("mail")) as (box, port):
        settings = _targets(tmp_path, hook, port, authority.file)
        with trade(tmp_path, "maker", "carrier", carrier=settings) as (maker, carrier):
            logger = truck(carrier)
            lamp = SourceSettings(kinds=(), allow_plain=True, alarms=True)
            password = carrier.run(carrier.gateway.add_plain("lamp", lamp))
            deaf = carrier.run(carrier.gateway.add_plain("deaf", SourceSettings(kinds=(), allow_plain=True)))
            clients = {name: _listen_on(carrier, name, word) for name, word in (("lamp", password), ("deaf", deaf))}

            async def run() -> list[dict[str, Any]]:
                async with served(carrier) as client:
                    first = asyncio.create_task(heard(client, 2))
                    while not routes._open:
                        await asyncio.sleep(0.01)
                    shipment = await maker.gateway.supply.cold.open(*_opening(carrier))
                    while not carrier.gateway.supply.cold.concerns(shipment.shipment_id):
                        await asyncio.sleep(0.01)
                    begun = time.monotonic()
                    await _reads(logger, 12.0)
                    found = await first
                    async with asyncio.timeout(30):
                        while len(hook.taken) < 2 or not box.mails or not clients["lamp"][1]:
                            await asyncio.sleep(0.01)
                    assert time.monotonic() - begun < 20  # seconds on a busy machine; the bench says how quick it is
                    # Whoever lost the line goes on behind the last one that it has.
                    again = await heard(client, 1, **{"Last-Event-ID": found[0]["id"]})
                    assert again == found[1:]
                    return found

            found = carrier.run(run())
            for client, _ in clients.values():
                client.disconnect()
                client.loop_stop()
    excursion = next(one for one in found if one["what"] == "excursion")
    assert "s more than allowed above 8 °C" in excursion["text"]
    (finding,) = excursion["numbers"]["findings"]
    assert (finding["cause"], finding["logger"], finding["limit_milli_c"]) == ("limit", "truck", 8000)
    assert excursion["links"]["shipment"] == f"/v1/shipments/{excursion['subject']}"
    # The webhook: signed, one for each alarm, in order.
    posted = [json.loads(request.body) for request in hook.taken]
    assert [one["data"]["id"] for one in posted] == sorted((one["data"]["id"] for one in posted), key=int)
    for request, one in zip(hook.taken, posted, strict=True):
        assert signing.verify([SECRET], request.headers, request.body) == one["data"]["message"]
        assert one["type"] == f"sealtrail.alarm.{one['data']['what']}"
    # The mail: only what it is for, to both.
    ((to, mail),) = box.mails
    assert to == ["qa@carrier.example", "night@carrier.example"]
    assert "excursion" in str(make_header(decode_header(mail["Subject"])))
    body = mail.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert excursion["subject"] in body.decode()
    # MQTT: by right.
    assert json.loads(clients["lamp"][1][-1])["origin"] == "carrier.example/gw"
    assert clients["deaf"][1] == []


def _opening(carrier: Site) -> tuple[Opening, str]:
    loggers, units = [WantedLogger("truck", SERIES)], [secrets.token_hex(32)]
    return Opening(POLICY, "Pharmacy", loggers, units, carrier.folder.origin), "tests"


async def _reads(logger: Any, celsius: float) -> None:
    event = logger.source.event([{"n": SERIES, "u": "Cel", "v": celsius, "t": now_us() / 1e6}], sensed_us=now_us())
    sent = message([event], logger.source.seal(signed_us=now_us()))
    await logger.site._send_all([logger.site.inbound(logger.source, sent, received_us=now_us())])


def _listen_on(site: Site, name: str, password: str) -> tuple[Client, list[bytes]]:
    """A real MQTT client that subscribes to all of its topics."""
    came: list[bytes] = []
    client = Client(CallbackAPIVersion.VERSION2, client_id=name)
    client.username_pw_set(name, password)
    client.on_message = lambda *told: came.append(told[-1].payload)
    client.on_connect = lambda made, *_: made.subscribe(f"st/1/{name}/#", 0)
    client.connect_async("127.0.0.1", site.gateway.doors.front.port)
    client.loop_start()
    site.wait(lambda: site.gateway.doors.front.listens(name, f"st/1/{name}/alarms"))
    return client, came


def test_a_webhook_that_is_down_for_long_hears_everything_and_once_in_order(tmp_path: Path) -> None:
    with receiving() as hook:
        hook.down()
        settings = QUICK | {"alarms": [{"name": "hook", "webhook": hook.url}]}
        with trade(tmp_path, "carrier", carrier=settings) as (carrier,):
            _raise(carrier, *range(30))
        with trade(tmp_path, "carrier", carrier=settings) as (carrier,):  # the gateway was restarted meanwhile
            _raise(carrier, *range(25, 40))  # some are told again by whoever raises them
            carrier.wait(lambda: carrier.gateway.supply.outbox._servings["alarms/hook"].problem)  # tried, in vain
            hook.up()
            carrier.wait(lambda: len(hook.taken) >= 40)
        assert [json.loads(body)["data"]["subject"] for body in hook.bodies] == [f"s-{n}" for n in range(40)]
        # A target that comes later does not hear of the past, and one that is gone is told nothing more.
        more = QUICK | {"alarms": [{"name": "new", "webhook": hook.url}]}
        with trade(tmp_path, "carrier", carrier=more) as (carrier,):
            _raise(carrier, 40)
            carrier.wait(lambda: len(hook.taken) == 41)
            assert [s.name for s in carrier.run(carrier.gateway.supply.outbox.states())] == ["alarms/new"]


def _raise(site: Site, *numbers: int) -> None:
    alarms = site.gateway.supply.alarms

    async def tell(alarm: Alarm) -> None:
        alarms._told(alarms._store.raise_all([alarm]))

    for n in numbers:
        site.run(tell(Alarm(0, f"key {n}", n, What.SITE, f"s-{n}", "a test")))


def test_the_sites_own_alerts_are_alarms(tmp_path: Path) -> None:
    with trade(tmp_path, "carrier") as (carrier,):
        logger = truck(carrier)
        logger.reads(20.0)
        alarms = carrier.gateway.supply.alarms
        carrier.wait(lambda: alarms._store.newest() == 1)
        (alarm,) = alarms._store.after(0, 10)
        assert (alarm.what, alarm.subject, alarm.numbers["kind"]) == (What.SITE, "truck", "excursion")


def test_an_alert_that_could_not_be_kept_at_once_is_an_alarm_later(tmp_path: Path) -> None:
    with trade(tmp_path, "carrier") as (carrier,):
        logger, alarms = truck(carrier), carrier.gateway.supply.alarms
        with closing(sqlite3.connect(tmp_path / "carrier" / store.NAME, isolation_level=None)) as other:
            other.execute("CREATE TRIGGER full BEFORE INSERT ON alarm BEGIN SELECT RAISE(ABORT, 'disk full'); END")
            logger.reads(20.0)
            carrier.wait(lambda: alarms._site_problem)
            other.execute("DROP TRIGGER full")
        carrier.wait(lambda: alarms._store.newest() == 1)
        assert alarms._store.after(0, 10)[0].subject == "truck"
        carrier.wait(lambda: not alarms._site_problem)


def test_alerts_of_a_site_that_was_put_back_from_a_backup_are_alarms(tmp_path: Path) -> None:
    kept = AlarmStore(tmp_path)
    kept.raise_all([_alert(100)], (store.ALERTS, 100))
    assert kept.mark(store.ALERTS, 60) == 60
    assert [one.key for one in kept.raise_all([_alert(61, store.MINUTE_US)], (store.ALERTS, 61))] == ["alert 61"]
    kept.close()


def test_a_target_that_cannot_be_told_silences_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "_RETRY_S", 0.05)
    secret = tmp_path / "hook.secret"
    with receiving() as first, receiving() as second:
        targets = [
            {"name": "first", "webhook": first.url, "secret_file": secret}, {"name": "second", "webhook": second.url},
        ]  # fmt: skip
        with trade(tmp_path, "carrier", carrier=QUICK | {"alarms": targets}) as (carrier,):
            problems = carrier.gateway.supply.alarms.telling.problems
            carrier.wait(lambda: "hook.secret" in problems["first"])  # said at the start, before anything happens
            assert any("alarms for first wait" in one for one in carrier.gateway.supply.problems())
            _raise(carrier, 1)
            carrier.wait(lambda: len(second.taken) == 1)
            assert first.came == []
            write_secret(secret, signing.secret_text(SECRET).encode())
            carrier.wait(lambda: len(first.taken) == 1 and not problems)


@pytest.mark.parametrize(
    "wrong",
    [
        {"webhook": "https://u:p@hook.example/x"},
        {"webhook": "https://hook.example/x#y"},
        {"webhook": "https://hook.example:99999/"},
        {"smtp": "smtp://mail.example:99999", "sender": "a@b.example", "to": ["c@d.example"]},
    ],
)
def test_a_target_that_nothing_can_be_sent_to_stops_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AlarmTarget.model_validate({"name": "hook", **wrong})


def test_a_person_acknowledges_and_the_first_word_stays(tmp_path: Path) -> None:
    with trade(tmp_path, "carrier") as (carrier,):
        _raise(carrier, 1)

        async def run() -> None:
            async with served(carrier) as client:
                (one,) = (await client.get("/v1/alarms?pending=true")).json()["alarms"]
                path = f"/v1/alarms/{one['id']}/acknowledge"
                assert (await client.post(path, json={"by": "A. Person"})).status_code == 422
                said = {"by": "A. Person", "reason": "moved to the other room"}
                done = (await client.post(path, json=said)).json()["acknowledged"]
                assert (done["by"], done["reason"]) == ("A. Person", "moved to the other room")
                later = await client.post(path, json=said | {"by": "B. Person"})
                assert later.json()["acknowledged"] == done
                assert (await client.get("/v1/alarms?pending=true")).json()["alarms"] == []
                assert (await client.post("/v1/alarms/99/acknowledge", json=said)).status_code == 404

        carrier.run(run())


def test_a_stream_ends_with_its_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "QUIET_S", 0.05)

    async def run(site: Site) -> None:
        async with served(site) as client, client.stream("GET", "/v1/alarms/stream") as answer, asyncio.timeout(15):
            lines = answer.aiter_lines()
            while await anext(lines) != ": quiet":
                pass
            site.gateway.access.revoke_token("night desk")
            async for _ in lines:  # until its end
                pass

    with trade(tmp_path, "carrier") as (carrier,):
        carrier.run(run(carrier))
        assert routes._open == set()


def test_who_reads_nothing_has_no_place_among_the_streams_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "SEND_S", 0.2)

    async def run(site: Site) -> None:
        alarms = site.gateway.supply.alarms
        many = [Alarm(0, f"key {n}", n, What.SITE, f"s-{n}", "a" * 2000) for n in range(2000)]
        await asyncio.to_thread(alarms._store.raise_all, many)
        async with served(site) as client, asyncio.timeout(15):
            host, port = client.base_url.host, client.base_url.port
            with socket.socket() as line:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                line.setblocking(False)
                await asyncio.get_running_loop().sock_connect(line, (host, port))
                token = client.headers["authorization"]
                asked = f"GET /v1/alarms/stream?after=0 HTTP/1.1\r\nhost: {host}\r\nauthorization: {token}\r\n\r\n"
                await asyncio.get_running_loop().sock_sendall(line, asked.encode())
                while not routes._open:
                    await asyncio.sleep(0.01)
                while routes._open:
                    await asyncio.sleep(0.01)

    with trade(tmp_path, "carrier") as (carrier,):
        carrier.run(run(carrier))


def test_a_mail_server_without_tls_elsewhere_or_with_a_wrong_login_gets_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    write_secret(tmp_path / "wrong", b"wrong")
    with mail_server(authority.issue("mail")) as (box, port):
        one = {
            "name": "desk", "smtp": f"smtp://localhost:{port}", "sender": "a@b.example", "to": ["c@d.example"],
            "username": USER, "password_file": tmp_path / "wrong", "tls_ca": authority.file,
        }  # fmt: skip
        stranger = one | {"name": "stranger", "tls_ca": Authority(tmp_path, "stranger").file}
        with trade(tmp_path, "carrier", carrier=QUICK | {"alarms": [one, stranger]}) as (carrier,):
            _raise(carrier, 1)
            servings = carrier.gateway.supply.outbox._servings
            carrier.wait(lambda: len(servings) == 2 and all(serving.problem for serving in servings.values()))
            assert "login" in servings["alarms/desk"].problem
            assert box.mails == []


def test_the_table_of_alarms_is_bounded_and_says_what_fell_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_ALARMS", 10)
    kept = AlarmStore(tmp_path)
    made = [Alarm(0, f"key {n}", n, What.SITE, "x", "text") for n in range(8)]
    assert [one.id for one in kept.raise_all(made)] == list(range(1, 9))
    kept.acknowledge(8, "A. Person", "seen")
    assert kept.raise_all([changed(made[0], text="again")]) == []  # known by its key
    kept.raise_all([Alarm(0, f"more {n}", n, What.SITE, "x", "text") for n in range(4)])
    assert kept.counts() == (10, 10, 2)
    ids = [one.id for one in kept.after(0, 100)]
    assert 8 not in ids  # what a person has seen to goes first
    assert kept.newest() == max(ids)
    with pytest.raises(AlarmError):
        kept.acknowledge(8, "A. Person", "seen")
    kept.close()


def _alert(n: int, at_us: int = 0, **more: Any) -> Alarm:
    numbers = {"alert": n, "kind": "excursion", "record": None, "count": 1}
    return Alarm(0, f"alert {n}", at_us, What.SITE, "truck", f"alert {n}", numbers | more)


def test_what_alternates_is_one_alarm_a_minute_with_a_count(tmp_path: Path) -> None:
    kept, minute = AlarmStore(tmp_path), store.MINUTE_US
    assert len(kept.raise_all([_alert(n, n) for n in range(1, 501)])) == 1
    assert len(kept.raise_all([_alert(501, 500, kind="gap"), _alert(502, 501)])) == 1  # another kind is its own
    assert [one.numbers["count"] for one in kept.after(0, 10)] == [501, 1]
    (later,) = kept.raise_all([_alert(503, minute + 1)])
    assert later.text == "alert 503; 500 more came within a minute of alarm 1"
    # What somebody has seen to counts nothing any more.
    kept.acknowledge(later.id, "A. Person", "seen")
    assert len(kept.raise_all([_alert(504, minute + 2)])) == 1
    kept.close()


def test_a_logger_that_goes_in_and_out_makes_one_alarm(tmp_path: Path) -> None:
    with trade(tmp_path, "carrier") as (carrier,):
        logger, alarms = truck(carrier), carrier.gateway.supply.alarms
        rows = [logger.source.event([{"n": SERIES, "u": "Cel", "v": 5.0 + 10 * (n % 2)}]) for n in range(100)]
        carrier.send(logger.source, message(rows, logger.source.seal(signed_us=now_us())), received_us=now_us())
        for celsius in (5.0, 20.0) * 3:
            logger.reads(celsius)
        carrier.wait(lambda: sum(one.numbers["count"] for one in alarms._store.after(0, 10)) == 4)
        assert alarms._store.newest() == 1
        assert "and 49 times more" in alarms._store.after(0, 1)[0].text


def test_alerts_of_the_site_push_no_alarm_of_the_ledger_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_ALARMS", 10)
    kept = AlarmStore(tmp_path)
    kept.raise_all([Alarm(0, "ledger x", 0, What.EXCURSION, "s", "goods are held")])
    for n in range(30):
        kept.raise_all([_alert(n, n * 10 * store.MINUTE_US)])
    assert kept.after(0, 1)[0].what is What.EXCURSION
    assert kept.counts() == (10, 10, 21)
    kept.close()
