"""A bare paho subscriber that acknowledges each message by hand and does nothing else with it.

`python -m bench.peers.paho_subscriber PORT COUNT`: prints a JSON line when subscribed, and one with the time
(s of time.monotonic) of the COUNT-th message.
"""

import json
import sys
import time
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

TOPIC, RECEIVE_MAXIMUM = "st/1/+/events", 1024  # as the gateway's side door


def main() -> None:
    """Subscribe, count, end."""
    port, left = int(sys.argv[1]), int(sys.argv[2])
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True)

    def on_connect(*_: Any) -> None:
        client.subscribe([(TOPIC, SubscribeOptions(qos=1))])

    def on_message(_client: Client, _user: Any, message: MQTTMessage) -> None:
        nonlocal left
        client.ack(message.mid, 1)
        left -= 1
        if not left:
            print(json.dumps({"done": time.monotonic()}), flush=True)
            client.disconnect()

    client.on_connect, client.on_message = on_connect, on_message
    client.on_subscribe = lambda *_: print(json.dumps({"ready": True}), flush=True)
    properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own omission
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    client.connect("127.0.0.1", port, properties=properties)
    client.loop_forever()


if __name__ == "__main__":
    main()
