"""The topics of a source, `st/1/<source>/...`, and who may use them.

Trust boundary: topic names come from peers or brokers; only names that match exactly are understood.
"""

import re
from dataclasses import dataclass
from typing import Final

from gateway.ingest.inbound import Channel

SOURCE: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
KIND: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_TOPIC: Final = re.compile(
    rf"st/1/({SOURCE.pattern})/(?:(events|frames/up|handshake/up)|plain/({KIND.pattern}))", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a message goes: its source, channel and, for PLAIN, kind."""

    source: str
    channel: Channel
    kind: str


def is_source(name: str) -> bool:
    """True when `name` can be a source's name."""
    return SOURCE.fullmatch(name) is not None


def target_of(topic: str) -> Target | None:
    """What a topic of the device protocol means; None for any other topic."""
    match = _TOPIC.fullmatch(topic)
    if match is None:
        return None
    source, channel, kind = match.groups()
    return Target(source, Channel(channel) if channel else Channel.PLAIN, kind or "")


def receipts_topic(source: str) -> str:
    """Where a source hears what became of its events."""
    return f"st/1/{source}/receipts"


def events_topic(source: str) -> str:
    """Where a source publishes its events in the clear."""
    return f"st/1/{source}/events"


def handshake_up(source: str) -> str:
    """Where a source publishes its half of a handshake."""
    return f"st/1/{source}/handshake/up"


def handshake_down(source: str) -> str:
    """Where a source hears the gateway's half of a handshake."""
    return f"st/1/{source}/handshake/down"


def frames_up(source: str) -> str:
    """Where a source publishes the frames of its session."""
    return f"st/1/{source}/frames/up"


def frames_down(source: str) -> str:
    """Where a source hears the gateway's frames."""
    return f"st/1/{source}/frames/down"


def status_topic(source: str) -> str:
    """Where a source tells, or its will tells for it, how it is."""
    return f"st/1/{source}/status"


def objects_filter(source: str) -> str:
    """Where a source hears of sealed objects that it was granted; below it are small ones themselves."""
    return f"st/1/{source}/objects/#"


def alarms_topic(source: str) -> str:
    """Where a source hears of alarms, if its settings let it."""
    return f"st/1/{source}/alarms"


def own_filters(source: str) -> frozenset[str]:
    """The only topic filters a source may subscribe to."""
    down = (handshake_down(source), frames_down(source))
    heard = (objects_filter(source), alarms_topic(source), every_topic(source))
    return frozenset({receipts_topic(source), *down, *heard})


def every_topic(source: str) -> str:
    """The filter of all topics of a source."""
    return f"st/1/{source}/#"


def covers(granted: str, topic: str) -> bool:
    """Whether one of a source's own filters takes this topic (MQTT 5.0 section 4.7.1.2: # takes its parent too)."""
    return topic == granted or (granted.endswith("/#") and (topic + "/").startswith(granted[:-1]))


def is_filter(topic_filter: str) -> bool:
    """True when wildcards stand where MQTT 5.0 section 4.7.1 allows them."""
    levels = topic_filter.split("/")
    plain_or_wildcard = all(level in ("+", "#") or not {"+", "#"} & set(level) for level in levels)
    return plain_or_wildcard and "#" not in levels[:-1]
