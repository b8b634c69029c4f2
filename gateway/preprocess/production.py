"""The kind `production`: a pack that a line made, inspected or moved on, with its GS1 identifiers.

Trust boundary: takes untrusted bytes. Identifiers come out verified by check digit and character set, which
catches misreading, not lying.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from chain.record import RecordFlag
from gateway.preprocess.gs1 import END, EXPIRY_PATTERN, GTIN_PATTERN, LOT_PATTERN, expiry_date, gtin14
from gateway.preprocess.kind import Context, Prepared, Subject, named_subject
from gateway.preprocess.moment import Moment, to_date, to_us
from gateway.preprocess.schema import struct_schema
from gateway.preprocess.strictjson import decode_strict

Label = Annotated[str, Meta(min_length=1, max_length=64)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}" + END, description="SHA-256, 64 lower-case hex digits")]
LotOrSerial = Annotated[str, Meta(pattern=LOT_PATTERN, description="1 to 20 of GS1 character set 82")]


class ProductionPayload(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The payload as sent."""

    gtin: Annotated[str, Meta(pattern=GTIN_PATTERN, description="8, 12, 13 or 14 digits, AI (01)")]
    lot: LotOrSerial
    expiry: Annotated[str, Meta(pattern=EXPIRY_PATTERN, description="YYYY-MM-DD or YYMMDD, AI (17)")] | None = None
    serial: LotOrSerial | None = None
    line: Label | None = None
    time: Moment | None = None
    step: Annotated[str, Meta(pattern="^[a-z][a-z_]{0,31}" + END)] = "commissioning"
    image_digest: Sha256 | None = None
    decoder: Label | None = None
    subject: Subject | None = None


_DECODER = msgspec.json.Decoder(ProductionPayload)


class Production:
    """Production events. Nine fields, each its own commitment, and a tenth where a person is named."""

    name = "production"
    code = 2
    version = 1

    def prepare(self, payload: bytes, context: Context) -> Prepared:
        """See Kind.prepare. Flags SUSPECT if the pack had expired when it was made."""
        sent = decode_strict(_DECODER, payload)
        time_us = None if sent.time is None else to_us(sent.time)
        sensed_us = context.sensed_us if time_us is None else time_us
        today = to_date(sensed_us)
        gtin = gtin14(sent.gtin)
        expiry = None if sent.expiry is None else expiry_date(sent.expiry, today.year)
        fields = (
            ("gtin", gtin),
            ("lot", sent.lot),
            ("expiry", None if expiry is None else expiry.isoformat()),
            ("serial", sent.serial),
            ("line", sent.line),
            ("time_us", time_us),
            ("step", sent.step),
            ("image_digest", sent.image_digest),
            ("decoder", sent.decoder),
            *named_subject(sent.subject),
        )
        flags = RecordFlag.SUSPECT if expiry is not None and expiry < today else RecordFlag.NONE
        return Prepared(fields, flags, sensed_us, _index(sent, gtin), sent.subject or "")

    def json_schema(self) -> dict[str, Any]:
        """See Kind.json_schema."""
        return struct_schema(ProductionPayload, self.name, self.version, "One step of one pack on a line")


def _index(sent: ProductionPayload, gtin: str) -> tuple[tuple[str, str], ...]:
    terms = (
        ("gtin", gtin),
        ("lot", sent.lot),
        ("serial", sent.serial),
        ("line", sent.line),
        ("input", sent.image_digest),  # the same term as an inference about that image
    )
    return tuple((term, value) for term, value in terms if value is not None)
