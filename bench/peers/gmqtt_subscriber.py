"""A bare gmqtt subscriber that acknowledges each message after its callback, which does nothing.

`python -m bench.peers.gmqtt_subscriber PORT COUNT`: prints a JSON line when subscribed, and one with the time
(s of time.monotonic) of the COUNT-th message.
"""

import asyncio
import json
import sys
import time
from typing import Any

import gmqtt

TOPIC, RECEIVE_MAXIMUM = "st/1/+/events", 1024
ACKNOWLEDGE = 0


async def main() -> None:
    """Subscribe, count, end."""
    port, left, done = int(sys.argv[1]), int(sys.argv[2]), asyncio.Event()
    client = gmqtt.Client("bare-gmqtt", optimistic_acknowledgement=False, receive_maximum=RECEIVE_MAXIMUM)

    async def on_message(*_: Any) -> int:  # gmqtt acknowledges by hand for coroutines only
        nonlocal left
        left -= 1
        if not left:
            print(json.dumps({"done": time.monotonic()}), flush=True)
            done.set()
        return ACKNOWLEDGE

    client.on_message = on_message
    client.on_subscribe = lambda *_: print(json.dumps({"ready": True}), flush=True)
    await client.connect("127.0.0.1", port)
    client.subscribe(TOPIC, qos=1)
    await done.wait()
    await client.disconnect()


if __name__ == "__main__":
    asyncio.run(main())
