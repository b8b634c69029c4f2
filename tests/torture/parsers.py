"""Parsers of untrusted bytes. Whatever the bytes are, a parser gives a value or an error of ours."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

from chain import handover
from chain.disclosed import verify_disclosure
from chain.disclosure import parse_disclosure
from chain.erasure import decode_erasure
from chain.event import Event, Message
from chain.follow import follow, parse_key_change
from chain.log.bundle import unpack
from chain.log.witness import parse_cosignatures, parse_size
from chain.policy import parse_policy
from chain.receipt import parse_receipt
from chain.record import Record, parts
from chain.seal import Seal
from chain.verify import Verifier, verify_receipt
from chaincode.exchange import To
from chaincode.exchange_records import DeliveryRecord, DeliveryStatement, GrantRecord, ObjectRecord
from chaincode.kem_records import KemKeys
from chaincode.log_rotation import KeyChange
from crypto.checkpoint import open_checkpoint
from crypto.envelope.grants import Grant
from crypto.envelope.header import read_header
from crypto.errors import SealtrailError
from crypto.kem import KemPrivateKey, KemSuite
from crypto.keys import Algorithm, PrivateKey
from crypto.keystore.backup import unpacked
from crypto.keystore.file import KeyFile
from crypto.keystore.public import NamedKey
from crypto.keystore.vault import read_lock
from crypto.note import parse_note
from crypto.session import messages as session_messages
from crypto.session.frames import Direction, FrameOpener
from crypto.session.handshake import DeviceHandshake, GatewayHandshake
from crypto.session.messages import Hello, Terms
from crypto.session.static import open_announcement
from crypto.session.suites import Suite
from gateway.epcis import digital_link
from gateway.epcis.document import query_document, sift_document
from gateway.epcis.event import read_event
from gateway.ingest.mqtt import decode
from gateway.preprocess import kinds
from gateway.preprocess.kind import Context, Limits

GOLDEN = Path(__file__).parents[1] / "golden" / "v1"
POLICY = parse_policy((GOLDEN / "policy.txt").read_bytes())
NOW_US = 1_795_413_600_000_000
CONTEXT = Context(NOW_US, NOW_US, (("", Limits(2.0, 8.0, "Cel")),))
LIMIT = 1 << 20
PACKETS: dict[int, Callable[[int, bytes, bool], object]] = {
    1: lambda first, body, v5: (decode.read_level(body), decode.read_connect(body)),
    3: decode.read_publish,
    8: lambda first, body, v5: decode.read_subscribe(body, v5),
    10: lambda first, body, v5: decode.read_unsubscribe(body, v5),
    14: lambda first, body, v5: decode.read_disconnect(body, v5),
}


def packets(data: bytes) -> None:
    """The first byte tells the level, MQTT packets follow."""
    pos = 1
    while data[1:] and (frame := decode.read_frame(data, pos, LIMIT)) and frame[1] <= len(data):
        reader = PACKETS.get(data[pos] >> 4)
        if reader:
            reader(data[pos], data[frame[0] : frame[1]], bool(data[0] & 1))
        pos = frame[1]


def messages(data: bytes) -> None:
    message = Message.decode(data)
    for raw in message.events:
        event = Event.decode(raw)
        kinds.by_code(event.kind).prepare(event.payload, CONTEXT)
    for signed in message.seals:
        Seal.decode(signed.seal)


def payloads(data: bytes) -> None:
    """The first byte is the kind's number."""
    kinds.by_code(data[0] if data else 0).prepare(data[1:], CONTEXT)


def documents(data: bytes) -> None:
    """EPCIS: what is good in a document can be named, and made a document again. Else what a scanner saw."""
    if data[:1] != b"{":
        links(data.decode("utf-8", "replace"))
        return
    good = sift_document(data).document.events
    for event in good:
        _ = read_event(event).hash_id
    sift_document(query_document(good, "2026-11-18T12:00:00Z"))


def links(text: str) -> None:
    """A Digital Link or an EPC URN, then element strings."""
    with contextlib.suppress(SealtrailError):
        digital_link.elements_of_link(text)
        digital_link.link(digital_link.parse(text))
    digital_link.link_of_elements(digital_link.read_elements(text))


def leaves(data: bytes) -> None:
    """The first byte is the number of entries in a bundle."""
    for entry in unpack(data[1:], data[0] if data else 0):
        Record.decode(entry)
        parts(entry)


def receipts(data: bytes) -> None:
    verify_receipt(parse_receipt(data), POLICY)


def disclosures(data: bytes) -> None:
    verify_disclosure(parse_disclosure(data), Verifier(POLICY))


def notes(data: bytes) -> None:
    open_checkpoint(parse_note(data), [line.key for line in POLICY.logs])


def answers(data: bytes) -> None:
    """What a witness may say; the first byte chooses the form."""
    if data[:1] < b"\x80":
        parse_size(data[1:], "text/x.tlog.size")
    else:
        parse_cosignatures(data[1:], "example\n1\nAAAA\n", [])


def key_changes(data: bytes) -> None:
    """Of a gateway as its sources hear of it, of a log as the contract does, and the file for auditors."""
    if data[:1] == b"\1":
        KeyChange.decode(data[1:])
    elif data[:1] == b"\2":
        follow(POLICY, parse_key_change(data[1:]))
    else:
        handover.decode_all(data[1:])


STATIC = KemPrivateKey(KemSuite.X_WING, bytes(32))
OPENER = FrameOpener(Suite.AES_256_GCM_SIV, bytes(16), Direction.UP, bytes(32))


def handshakes(data: bytes) -> None:
    """Each message to the end that it is for, and to the parsers of what it would seal."""
    kind = session_messages.kind_of(data)
    for reader in (Hello.decode, Terms.decode):
        with contextlib.suppress(SealtrailError):
            reader(data)
    if kind:
        session_messages.decode(data, kind)
    if kind == session_messages.M1:
        GatewayHandshake(STATIC, data)
    elif kind == session_messages.M2:
        WAITING.answer(data)
    elif kind == session_messages.ANNOUNCEMENT:
        open_announcement(data, DEVICE.public, "example", 0)


def frames(data: bytes) -> None:
    OPENER.open("st/1/dev/frames/up", data)


DEVICE = PrivateKey.generate(Algorithm.ED25519)
WAITING = DeviceHandshake(STATIC.public, DEVICE, Hello("dev", bytes(32), 1))


def sealed(data: bytes) -> None:
    read_header(io.BytesIO(data))


def exchange(data: bytes) -> None:
    """The first byte chooses what a partner's bytes, or a damaged ledger's, are read as."""
    (To, DeliveryStatement, DeliveryRecord, GrantRecord, ObjectRecord, KemKeys)[data[0] % 6 if data else 0].decode(
        data[1:]
    )


def keys(data: bytes) -> None:
    """The first byte chooses the file."""
    (KeyFile.decode, NamedKey.parse, unpacked, read_lock)[data[0] & 3 if data else 0](data[1:])


TARGETS: dict[str, Callable[[bytes], object]] = {
    "packets": packets, "messages": messages, "payloads": payloads, "documents": documents,
    "leaves": leaves, "receipts": receipts,
    "notes": notes, "policies": parse_policy, "answers": answers, "sealed": sealed,
    "grants": Grant.decode, "keys": keys, "handshakes": handshakes, "frames": frames, "exchange": exchange,
    "disclosures": disclosures, "erasures": decode_erasure, "key_changes": key_changes,
}  # fmt: skip
