"""Other people's clients at a real front door: paho, Mosquitto's tools, and a small device in C."""

import asyncio
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from mqtt_support import DEADLINE_S, Gateway, Raw, wait_until
from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

EVENTS = "st/1/dev/events"
RECEIPTS = "st/1/dev/receipts"
VERSIONS = [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5]
both = pytest.mark.parametrize("version", VERSIONS, ids=["3.1.1", "5"])


class Paho:
    """A paho client that remembers what it was told."""

    def __init__(self, port: int, version: MQTTProtocolVersion, *, clean: bool = True) -> None:
        self.v5 = version == MQTTProtocolVersion.MQTTv5
        clean_session = None if self.v5 else clean
        self.client = Client(CallbackAPIVersion.VERSION2, "paho-dev", clean_session, protocol=version)
        self.client.username_pw_set("dev", "secret-dev")
        self.client.max_inflight_messages_set(500)
        self.acked: list[tuple[int, int]] = []
        self.received: list[bytes] = []
        self.present: bool | None = None
        self.subscribed = threading.Event()
        self.lost: list[str] = []
        self.client.on_connect = self._on_connect
        self.client.on_publish = lambda _c, _u, mid, reason, _p: self.acked.append((mid, reason.value))
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = self._on_message
        self.client.on_disconnect = lambda _c, _u, _f, reason, _p: self.lost.append(str(reason))
        options: dict[str, Any] = {}
        if self.v5:
            options["properties"] = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            options["properties"].SessionExpiryInterval = 0 if clean else 600
            options["clean_start"] = clean
        self.client.connect("127.0.0.1", port, **options)
        self.client.loop_start()
        wait_until(lambda: self.present is not None, "paho's connection")

    def _on_connect(
        self, _client: Client, _user: Any, flags: ConnectFlags, reason: ReasonCode, _props: Properties | None
    ) -> None:
        assert not reason.is_failure
        self.present = flags.session_present

    def _on_message(self, _client: Client, _user: Any, message: MQTTMessage) -> None:
        self.received.append(bytes(message.payload))

    def subscribe(self, topic: str) -> None:
        self.client.subscribe(topic, 1)
        assert self.subscribed.wait(DEADLINE_S)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@both
def test_paho_big_burst(gateway: Gateway, version: MQTTProtocolVersion) -> None:
    paho = Paho(gateway.port, version)
    payloads = [b"%06d" % number for number in range(5000)]
    for payload in payloads:
        paho.client.publish(EVENTS, payload, qos=1)
    wait_until(lambda: len(paho.acked) == len(payloads), "all PUBACKs")
    paho.close()
    assert gateway.sink.payloads() == payloads
    assert {reason for _, reason in paho.acked} == {0}
    assert gateway.door.counters.acknowledged == len(payloads)


@both
def test_paho_hears_receipts_and_its_session_is_resumed(gateway: Gateway, version: MQTTProtocolVersion) -> None:
    paho = Paho(gateway.port, version, clean=False)
    assert paho.present is False
    paho.subscribe("st/1/dev/#")
    assert gateway.receipt("dev", b"first")
    wait_until(lambda: paho.received == [b"first"])
    paho.close()
    wait_until(lambda: not gateway.door.connected_sources())
    paho = Paho(gateway.port, version, clean=False)
    assert paho.present is True
    assert gateway.receipt("dev", b"second")
    wait_until(lambda: paho.received == [b"second"])
    paho.close()
    wait_until(lambda: not gateway.door.connected_sources())
    paho = Paho(gateway.port, version, clean=True)
    assert paho.present is False
    paho.close()


def test_paho_topic_alias(gateway: Gateway) -> None:
    paho = Paho(gateway.port, MQTTProtocolVersion.MQTTv5)
    for topic in (EVENTS, "", ""):
        properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.TopicAlias = 1
        paho.client.publish(topic, b"aliased", qos=1, properties=properties)
    wait_until(lambda: len(paho.acked) == 3)
    paho.close()
    assert gateway.sink.payloads() == [b"aliased"] * 3


@both
def test_paho_qos2_is_refused(gateway: Gateway, version: MQTTProtocolVersion) -> None:
    paho = Paho(gateway.port, version)
    paho.client.publish(EVENTS, b"x", qos=2)
    wait_until(lambda: bool(paho.lost), "the end of the connection")
    paho.close()
    assert gateway.sink.messages == []
    assert gateway.door.counters.not_offered >= 1
    if paho.v5:
        assert "QoS not supported" in paho.lost[0]


def test_paho_resends_after_the_connection_broke_before_the_puback(gateway: Gateway) -> None:
    gateway.sink.verdict = None
    paho = Paho(gateway.port, MQTTProtocolVersion.MQTTv311, clean=False)
    paho.client.reconnect_delay_set(1, 1)
    paho.client.publish(EVENTS, b"precious", qos=1)
    wait_until(lambda: len(gateway.sink.waiting) == 1)
    with Raw(gateway.port).login(v5=False, client_id="paho-dev"):  # takes over: paho loses its connection
        wait_until(lambda: len(gateway.sink.waiting) == 2, "paho's second attempt")
    assert gateway.sink.payloads() == [b"precious"] * 2
    assert paho.acked == []
    gateway.thread.call(gateway.sink.answer_all)
    wait_until(lambda: len(paho.acked) == 1)
    paho.close()


# Mosquitto's tools


def mosquitto(tool: str, gateway: Gateway, version: str, *arguments: str) -> list[str]:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed (Debian: mosquitto-clients)")
    login = ["-h", "127.0.0.1", "-p", str(gateway.port), "-u", "dev", "-P", "secret-dev", "-V", version]
    return [tool, *login, *arguments]


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_mosquitto_pub(gateway: Gateway, version: str) -> None:
    lines = "\n".join(f"line {number}" for number in range(200)).encode()
    command = mosquitto("mosquitto_pub", gateway, version, "-q", "1", "-t", EVENTS, "-l")
    subprocess.run(command, input=lines, check=True, timeout=DEADLINE_S)
    assert sorted(gateway.sink.payloads()) == sorted(lines.split(b"\n"))


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_mosquitto_pub_is_told_that_a_topic_is_foreign(gateway: Gateway, version: str) -> None:
    command = mosquitto("mosquitto_pub", gateway, version, "-q", "1", "-t", "st/1/other/events", "-m", "x")
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert "Not authorized" in done.stderr or done.returncode != 0
    assert gateway.sink.messages == []


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_mosquitto_sub_hears_a_receipt(gateway: Gateway, version: str) -> None:
    command = mosquitto("mosquitto_sub", gateway, version, "-C", "1", "-W", "10", "-t", RECEIPTS)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as listener:
        wait_until(lambda: gateway.subscribed == ["dev"])
        assert gateway.receipt("dev", b"a receipt")
        assert listener.communicate(timeout=DEADLINE_S)[0] == b"a receipt\n"
        assert listener.returncode == 0


# A device in C


@pytest.fixture(scope="session")
def embedded_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) here")
    program = tmp_path_factory.mktemp("c") / "embedded_client"
    source = Path(__file__).with_name("embedded_client.c")
    subprocess.run([compiler, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-o", program, source], check=True)
    return program


def test_embedded_client(embedded_client: Path) -> None:
    with Gateway() as gateway:
        receipts: list[asyncio.Task[bool]] = []

        def answer(source: str) -> None:
            receipts.append(asyncio.get_running_loop().create_task(gateway.door.publish_receipt(source, b"all 500")))

        gateway.on_subscribed = answer
        done = subprocess.run(
            [embedded_client, str(gateway.port), "dev", "secret-dev", "500"],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "all 500\n", "")
        assert gateway.sink.payloads() == [b"event %d" % number for number in range(1, 501)]
        assert [task.result() for task in receipts] == [True]
        wait_until(lambda: len(gateway.liveness.events) == 2)
        assert gateway.liveness.events[1][1] == "disconnected by the device"
