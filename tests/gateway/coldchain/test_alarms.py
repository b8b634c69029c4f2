"""Alarms reach people: a webhook, mail, server-sent events and MQTT, within seconds; and what was down hears later."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace as changed
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

import httpx
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from crypto.files import write_secret
from gateway.access import Scope, SourceSettings
from gateway.alarms import store
from gateway.alarms.alarm import Alarm, What
from gateway.alarms.errors import AlarmError
from gateway.alarms.store import AlarmStore
from gateway.coldchain.opening import Opening, WantedLogger
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
                    await asyncio.sleep(0.3)
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
            carrier.run(asyncio.sleep(0.3))
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
    for n in numbers:
        site.run(site.gateway.supply.alarms.raise_alarm(Alarm(0, f"key {n}", n, What.SITE, f"s-{n}", "a test")))


def test_the_sites_own_alerts_are_alarms(tmp_path: Path) -> None:
    with trade(tmp_path, "carrier") as (carrier,):
        logger = truck(carrier)
        logger.reads(20.0)
        alarms = carrier.gateway.supply.alarms
        carrier.wait(lambda: alarms._store.newest() == 1)
        (alarm,) = alarms._store.after(0, 10)
        assert (alarm.what, alarm.subject, alarm.numbers["kind"]) == (What.SITE, "truck", "excursion")


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
