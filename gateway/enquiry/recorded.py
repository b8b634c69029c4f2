"""Events with what the gateway knows of them: when it recorded them, their ids, and their records in the log.

By default an event is given back exactly as it was captured. A client that wants the repository's own fields, as EPCIS
2.0 section 7.4.1 has them in answers, asks for them; what it gets is then no longer the logged bytes.
"""

import msgspec
from msgspec import Raw

from gateway.enquiry.search import Found
from gateway.epcis.context import merged
from gateway.epcis.event import read_event
from gateway.events.times import rfc3339

NAMESPACE = "urn:sealtrail:epcis:"
_MEMBERS: msgspec.json.Decoder[dict[str, Raw]] = msgspec.json.Decoder(dict[str, Raw])


def recorded(found: Found) -> bytes:
    """recordTime by the gateway's clock, the event's hash as eventID where it has none, its record as
    sealtrail:record."""
    members: dict[str, object] = dict(_MEMBERS.decode(found.payload))
    event = read_event(found.payload)
    members["@context"] = merged(event.body["@context"], {"sealtrail": NAMESPACE})
    members["recordTime"] = rfc3339(found.received_us)
    members.setdefault("eventID", event.hash_id)
    members["sealtrail:record"] = found.leaf
    return msgspec.json.encode(members)
