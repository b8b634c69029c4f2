"""Every field of every MQTT packet that a client sends, malformed, for MQTT 5 and 3.1.1.

A row names the section of MQTT 5.0 (OASIS, 2019; 3.1.1 has the same numbers up to its missing property sections), what
is wrong, the bytes, and the reason code that MQTT 5 has for it. Table 2-4 is written down here once more, so that the
test does not ask the program what is right.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.gateway.ingest.mqtt_support import connect, packet, publish, subscribe, unsubscribe, write_text, write_varint

TOPIC, ID = write_text("st/1/dev/events"), b"\0\1"
MALFORMED, PROTOCOL, TOO_LARGE, TOPIC_INVALID, ALIAS = 0x81, 0x82, 0x95, 0x90, 0x94
SILENCE = 0  # nothing says yet that this is MQTT 5, or the packet is an end by itself
BAD_TEXTS = {
    "not UTF-8": b"\xff\xfe", "an overlong form": b"\xc0\xaf", "a surrogate": b"\xed\xa0\x80", "U+0000": b"\0",
    "cut off in a character": b"\xe2\x82", "beyond U+10FFFF": b"\xf4\x90\x80\x80",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """`whole` follows a good CONNECT, or is one itself where `first`."""

    section: str
    what: str
    v5: bool
    whole: bytes
    reason: int
    first: bool = False

    def __str__(self) -> str:
        return f"{'5' if self.v5 else '3.1.1'} {self.section} {self.what}"


# identifier: name, a good value, where it may stand (MQTT 5.0 table 2-4)
PROPERTIES = {
    0x01: ("Payload Format Indicator", b"\1", "PUBLISH WILL"), 0x02: ("Message Expiry", bytes(4), "PUBLISH WILL"),
    0x03: ("Content Type", write_text("a"), "PUBLISH WILL"), 0x08: ("Response Topic", write_text("a"), "PUBLISH WILL"),
    0x09: ("Correlation Data", b"\0\1x", "PUBLISH WILL"), 0x0B: ("Subscription Identifier", b"\1", "SUBSCRIBE"),
    0x11: ("Session Expiry", bytes(4), "CONNECT DISCONNECT"), 0x12: ("Assigned Client Id", write_text("a"), ""),
    0x13: ("Server Keep Alive", b"\0\1", ""), 0x15: ("Authentication Method", write_text("a"), "CONNECT"),
    0x16: ("Authentication Data", b"\0\1x", "CONNECT"), 0x17: ("Request Problem Information", b"\1", "CONNECT"),
    0x18: ("Will Delay", bytes(4), "WILL"), 0x19: ("Request Response Information", b"\1", "CONNECT"),
    0x1A: ("Response Information", write_text("a"), ""), 0x1C: ("Server Reference", write_text("a"), ""),
    0x1F: ("Reason String", write_text("a"), "DISCONNECT"), 0x21: ("Receive Maximum", b"\0\1", "CONNECT"),
    0x22: ("Topic Alias Maximum", b"\0\1", "CONNECT"), 0x23: ("Topic Alias", b"\0\1", "PUBLISH"),
    0x24: ("Maximum QoS", b"\1", ""), 0x25: ("Retain Available", b"\1", ""),
    0x26: ("User Property", write_text("a") * 2, "CONNECT PUBLISH WILL SUBSCRIBE UNSUBSCRIBE DISCONNECT"),
    0x27: ("Maximum Packet Size", b"\0\1\0\0", "CONNECT"), 0x28: ("Wildcards Available", b"\1", ""),
    0x29: ("Subscription Identifiers Available", b"\1", ""), 0x2A: ("Shared Subscriptions Available", b"\1", ""),
}  # fmt: skip
SECTIONS = {
    "CONNECT": "3.1.2.11", "WILL": "3.1.3.2", "PUBLISH": "3.3.2.3", "SUBSCRIBE": "3.8.2.1", "UNSUBSCRIBE": "3.10.2.1",
    "DISCONNECT": "3.14.2.2",
}  # fmt: skip
FLAGS = (0x01, 0x17, 0x19)
TEXTS = (0x03, 0x08, 0x15, 0x1F, 0x26)
NOT_ZERO = {0x21: PROTOCOL, 0x27: PROTOCOL, 0x0B: PROTOCOL, 0x23: ALIAS}


def with_properties(place: str, properties: bytes) -> bytes:
    """A packet that is right but for its properties, given with their length."""
    if place == "CONNECT":
        return connect_with(properties=properties)
    if place == "WILL":
        return connect_with(flags=0xC6, will=properties + write_text("st/1/dev/status") + write_text(""))
    return {
        "PUBLISH": packet(0x32, TOPIC + ID + properties + b"x"),
        "SUBSCRIBE": packet(0x82, ID + properties + write_text("st/1/dev/receipts") + b"\0"),
        "UNSUBSCRIBE": packet(0xA2, ID + properties + write_text("st/1/dev/receipts")),
        "DISCONNECT": packet(0xE0, b"\0" + properties),
    }[place]


def connect_with(
    *, v5: bool = True, name: bytes = write_text("MQTT"), level: int | None = None, flags: int = 0xC2,
    keep_alive: bytes = b"\0\x3c", properties: bytes = b"\0", client_id: bytes = write_text("dev"), will: bytes = b"",
    username: bytes = write_text("dev"), password: bytes = write_text("guess"), rest: bytes = b"",
) -> bytes:  # fmt: skip
    """A CONNECT of raw fields."""
    head = (
        name + bytes(((5 if v5 else 4) if level is None else level, flags)) + keep_alive + (properties if v5 else b"")
    )
    return packet(0x10, head + client_id + will + username + password + rest)


def listed(*properties: bytes) -> bytes:
    return write_varint(sum(map(len, properties))) + b"".join(properties)


def property_rows() -> Iterator[Row]:
    for place, section in SECTIONS.items():
        first = place in ("CONNECT", "WILL")

        def row(what: str, properties: bytes, reason: int) -> Row:
            return Row(section, f"{place}: {what}", True, with_properties(place, properties), reason, first)  # noqa: B023

        for number, (name, value, places) in PROPERTIES.items():
            one = bytes((number,)) + value
            if place not in places.split():
                reason = PROTOCOL if (place, number) == ("PUBLISH", 0x0B) else MALFORMED  # 3.3.4, 2.2.2.2
                yield row(f"{name} does not belong here", listed(one), reason)
                continue
            yield row(f"{name} cut off", listed(one[:-1]), MALFORMED)
            if number != 0x26:
                also = b"\x15\0\1a" if number == 0x16 else b""
                yield row(f"{name} twice", listed(also, one, one), PROTOCOL)
            if number in FLAGS:
                yield row(f"{name} is 2", listed(bytes((number, 2))), PROTOCOL)
            if number in NOT_ZERO:
                yield row(f"{name} is 0", listed(bytes((number,)) + bytes(len(value))), NOT_ZERO[number])
            if number in TEXTS:
                for what, text in BAD_TEXTS.items():
                    bad = bytes((number,)) + len(text).to_bytes(2, "big") + text
                    yield row(f"{name} {what}", listed(bad + (write_text("v") if number == 0x26 else b"")), MALFORMED)
        for unknown in (0x00, 0x04, 0x2B, 0x7F):
            yield row(f"identifier 0x{unknown:02x}", listed(bytes((unknown, 0))), MALFORMED)
        yield row("an identifier in two bytes for one", listed(b"\xa6\0" + write_text("a") * 2), MALFORMED)
        yield row("an identifier without end", listed(b"\xff\xff\xff\xff\x7f"), MALFORMED)
        yield row("length beyond the packet", b"\x7f", MALFORMED)
        yield row("length in five bytes", b"\x80\x80\x80\x80\x01", MALFORMED)
        yield row("length in two bytes for one", b"\x80\0", MALFORMED)


def text_rows(v5: bool) -> Iterator[Row]:
    """1.5.4: every string field with every bad string."""
    none = b"\0" if v5 else b""
    for what, bad in {**BAD_TEXTS, "longer than the packet": b""}.items():
        text = len(bad).to_bytes(2, "big") + bad if bad else b"\xff\xff"
        yield Row("3.1.3.1", f"client identifier {what}", v5, connect_with(v5=v5, client_id=text), MALFORMED, True)
        will = none + text + write_text("")
        yield Row("3.1.3.3", f"will topic {what}", v5, connect_with(v5=v5, flags=0xC6, will=will), MALFORMED, True)
        yield Row("3.1.3.5", f"user name {what}", v5, connect_with(v5=v5, username=text), MALFORMED, True)
        yield Row("3.3.2.1", f"topic {what}", v5, packet(0x32, text + ID + none), MALFORMED)
        yield Row("3.8.3", f"filter {what}", v5, packet(0x82, ID + none + text + b"\0"), MALFORMED)
        yield Row("3.10.3", f"filter to leave {what}", v5, packet(0xA2, ID + none + text), MALFORMED)


def connect_rows(v5: bool) -> Iterator[Row]:
    def row(section: str, what: str, whole: bytes, reason: int = MALFORMED) -> Row:
        return Row(section, what, v5, whole, reason, first=True)

    good, none = connect_with(v5=v5), b"\0" if v5 else b""
    for first in (*range(0x11, 0x20), 0x00, 0x30, 0x82, 0xC0, 0xE0, 0xF0):
        yield row("3.1.1", f"first byte 0x{first:02x}", bytes((first,)) + good[1:], SILENCE)
    yield row("1.5.5", "Remaining Length of five bytes", b"\x10\x80\x80\x80\x80\x01", SILENCE)
    yield row("1.5.5", "Remaining Length longer than needed", b"\x10\x80\x00", SILENCE)
    yield row("3.1.1", "Remaining Length of 256 MiB", b"\x10\xff\xff\xff\x7f", SILENCE)
    yield row("3.1.1", "no body", b"\x10\0", SILENCE)
    for name in (b"", b"MQTX", b"mqtt", b"MQT", b"MQTTT", b"MQIsdp", b"M\xd0\xa4TT"):
        yield row("3.1.2.1", f"protocol name {name!r}", connect_with(v5=v5, name=write_text_bytes(name)), SILENCE)
    yield row("3.1.2.1", "protocol name longer than the packet", connect_with(v5=v5, name=b"\xff\xffMQTT"), SILENCE)
    for level in (0, 1, 2, 3, 6, 127, 128, 255) if v5 else ():
        yield row("3.1.2.2", f"level {level}", connect_with(level=level), 0x84 if level > 5 else -0x84)
    for flags, what in (
        (0xC3, "reserved bit"), (0xCA, "Will QoS without a will"), (0xE2, "Will Retain without a will"),
        (0xDE, "Will QoS 3"), (0xC6, "a will that is not there"),
    ):  # fmt: skip
        yield row("3.1.2.3", what, connect_with(v5=v5, flags=flags))
    yield row("3.1.2.8", "no user name, though announced", connect_with(v5=v5, username=b"", password=b""))
    yield row("3.1.2.9", "no password, though announced", connect_with(v5=v5, password=b""))
    yield row("3.1.2.9", "a user name that was not announced", connect_with(v5=v5, flags=0x42))
    yield row("3.1.2.10", "no Keep Alive", packet(0x10, write_text("MQTT") + bytes((5 if v5 else 4, 0xC2))))
    yield row("3.1.3", "no payload", packet(0x10, write_text("MQTT") + bytes((5 if v5 else 4, 2, 0, 60)) + none))
    yield row("3.1.3.6", "a password longer than the packet", connect_with(v5=v5, password=b"\xff\xffx"))
    yield row("3.1.3.6", "bytes behind the last field", connect_with(v5=v5, rest=b"x"))
    for topic, reason in ((b"", MALFORMED), (b"st/1/+/status", TOPIC_INVALID), (b"#", TOPIC_INVALID)):
        will = none + write_text_bytes(topic) + write_text("")
        yield row("3.1.3.3", f"will topic {topic!r}", connect_with(v5=v5, flags=0xC6, will=will), reason)
    will = none + write_text("st/1/dev/status") + b"\xff\xffx"
    yield row("3.1.3.4", "a will longer than the packet", connect_with(v5=v5, flags=0xC6, will=will))
    for end in range(9, len(good) - 2):  # from where the level is known
        yield row("3.1", f"cut off after {end} bytes", packet(0x10, good[2 : 2 + end]))
    if not v5:
        yield row("3.1.2.9", "a password without a user name", connect_with(v5=False, flags=0x42, username=b""))
    else:
        yield row("3.1.2.11.10", "data without a method", connect_with(properties=listed(b"\x16\0\1x")), PROTOCOL)


def write_text_bytes(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def packet_rows(v5: bool) -> Iterator[Row]:
    none = b"\0" if v5 else b""

    def row(section: str, what: str, whole: bytes, reason: int = MALFORMED) -> Row:
        return Row(section, what, v5, whole, reason)

    yield row("2.1.2", "packet type 0", b"\0\0")
    yield row("2.1.2", "packet type 15", b"\xf0\0", PROTOCOL if v5 else MALFORMED)
    yield row("3.1", "a second CONNECT", connect("dev", v5=v5), PROTOCOL)
    for first, name in ((0x20, "CONNACK"), (0x90, "SUBACK"), (0xB0, "UNSUBACK"), (0xD0, "PINGRESP")):
        yield row("2.1.2", f"{name} from a client", packet(first, ID + none), PROTOCOL)
    for first, name in ((0x40, "PUBACK"), (0x50, "PUBREC"), (0x62, "PUBREL"), (0x70, "PUBCOMP")):
        yield row("4.13", f"{name} of nothing", packet(first, ID), PROTOCOL)
    for first in (0x80, 0x81, 0x83, 0x8A, 0xA0, 0xA1, 0xA6, 0xC1, 0xC8, 0xE1, 0xEF):
        yield row(
            "2.1.3", f"reserved flags 0x{first:02x}", packet(first, b"" if first & 0x40 else ID + none + TOPIC + b"\0")
        )
    yield row("1.5.5", "Remaining Length of five bytes", b"\x32\x80\x80\x80\x80\x01")
    yield row("1.5.5", "Remaining Length longer than needed", b"\xc0\x80\x00")
    yield row("3.2.2.3.6", "a packet of 256 MiB", b"\x32\xff\xff\xff\x7f", TOO_LARGE)
    # PUBLISH
    yield row("3.3.1.1", "DUP with QoS 0", packet(0x38, TOPIC + none))
    for first in (0x36, 0x3E):
        yield row("3.3.1.2", f"QoS 3 in 0x{first:02x}", packet(first, TOPIC + ID + none))
    for topic in ("#", "st/1/dev/+", "st/1/dev/#"):
        yield row("3.3.2.1", f"topic {topic}", publish(topic, b"x", v5=v5), TOPIC_INVALID)
    yield row("3.3.2.1", "no topic", publish("", b"x", v5=v5), PROTOCOL)
    yield row("3.3.2.1", "no body", b"\x32\0")
    yield row("3.3.2.2", "packet identifier 0", publish("st/1/dev/events", b"x", 0, v5=v5), PROTOCOL)
    yield row("3.3.2.2", "no packet identifier", packet(0x32, TOPIC))
    yield row("3.3.2.2", "half a packet identifier", packet(0x32, TOPIC + b"\0"))
    # SUBSCRIBE and UNSUBSCRIBE
    for name, section, first, option in (("SUBSCRIBE", "3.8", 0x82, b"\0"), ("UNSUBSCRIBE", "3.10", 0xA2, b"")):
        one = TOPIC + option
        yield row(f"{section}.2", f"{name}: no body", packet(first, b""))
        yield row(f"{section}.2", f"{name}: packet identifier 0", packet(first, b"\0\0" + none + one), PROTOCOL)
        yield row(f"{section}.3", f"{name}: no filter", packet(first, ID + none), PROTOCOL)
        yield row(f"{section}.3", f"{name}: an empty filter", packet(first, ID + none + b"\0\0" + option))
        yield row(f"{section}.3", f"{name}: cut off", packet(first, ID + none + one + b"\0"))
    yield row("3.8.3", "no options", packet(0x82, ID + none + TOPIC))
    for options in (0x03, 0x40, 0x80, 0xC1):
        yield row("3.8.3.1", f"options 0x{options:02x}", subscribe("st/1/dev/receipts", v5=v5, options=options))
    if v5:
        yield row("3.8.3.1", "Retain Handling 3", subscribe("st/1/dev/receipts", v5=True, options=0x30), PROTOCOL)
        shared = subscribe("$share/g/st/1/dev/#", v5=True, options=0x04)
        yield row("3.8.3.1", "No Local on a shared subscription", shared, PROTOCOL)
        for alias, reason in ((0, ALIAS), (17, ALIAS), (65_535, ALIAS)):
            with_alias = packet(0x32, TOPIC + ID + listed(b"\x23" + alias.to_bytes(2, "big")))
            yield row("3.3.2.3.4", f"topic alias {alias}", with_alias, reason)
        yield row("3.3.2.3.4", "an alias without a topic", packet(0x32, b"\0\0" + ID + listed(b"\x23\0\5")), PROTOCOL)
        answer = packet(0x32, TOPIC + ID + listed(b"\x08" + write_text("a/#")))
        yield row("3.3.2.3.5", "a wildcard in the Response Topic", answer, TOPIC_INVALID)
        yield row("4.7.3", "an empty Response Topic", packet(0x32, TOPIC + ID + listed(b"\x08\0\0")), PROTOCOL)
        yield row("3.14.2.2", "bytes behind the last field", packet(0xE0, b"\0\0x"))
        yield row("3.14.2.2.2", "a session prolonged at its end", packet(0xE0, b"\0\x05\x11\0\0\0\x09"), PROTOCOL)
        yield row("3.15", "AUTH that nobody asked for", packet(0xF0, b"\x18\0"), PROTOCOL)
        yield row("3.15.1", "AUTH with flags", packet(0xF1, b""), PROTOCOL)
    else:
        yield row("3.8.3", "MQTT 5 options", subscribe("st/1/dev/receipts", v5=False, options=0x04))
        yield row("3.14", "DISCONNECT with a body", packet(0xE0, b"\0"))
    yield row("3.12", "PINGREQ with a body", b"\xc0\1x")
    yield row("3.10.3", "seventeen filters", unsubscribe(*["a"] * 17, v5=v5), 0x97)


ROWS = [
    *property_rows(),
    *(row for rows in (text_rows, connect_rows, packet_rows) for v5 in (False, True) for row in rows(v5)),
]
