"""The kind `shipment`: what this gateway or a person at it said of a shipment under a cold chain policy.

Trust boundary: takes untrusted bytes. The gateway makes one for each act that it brings to the ledger, whose evidence
the record is: texts of people stay here, the ledger gets digests. Nothing here tells that an act was right.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from chain.record import RecordFlag
from gateway.preprocess.kind import Context, Prepared
from gateway.preprocess.schema import struct_schema
from gateway.preprocess.sealed_object import Hex
from gateway.preprocess.strictjson import decode_strict

MAX_TEXT = 4000
Act = Literal["open", "watch", "accept", "explain", "release", "close"]


class ShipmentPayload(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The payload as sent."""

    act: Annotated[Act, Meta(description="what was done; watch: its loggers are watched from now on")]
    shipment: Annotated[Hex, Meta(description="shipment id on the ledger")]
    by: Annotated[str, Meta(max_length=100, description="who said so: the label of a token; empty: the gateway")] = ""
    alarm: Annotated[int, Meta(ge=0, le=2**31, description="number of the alarm that is explained")] | None = None
    code: Annotated[str, Meta(max_length=128, description="the explanation in one word")] = ""
    text: Annotated[str, Meta(max_length=MAX_TEXT, description="the explanation, or the reason")] = ""


_DECODER = msgspec.json.Decoder(ShipmentPayload)


class Shipment:
    """Acts on shipments. Six fields, each its own commitment."""

    name = "shipment"
    code = 8
    version = 1

    def prepare(self, payload: bytes, context: Context) -> Prepared:
        """See Kind.prepare."""
        sent = decode_strict(_DECODER, payload)
        fields = (
            ("act", sent.act), ("shipment", sent.shipment), ("by", sent.by), ("alarm", sent.alarm), ("code", sent.code),
            ("text", sent.text),
        )  # fmt: skip
        return Prepared(fields, RecordFlag.NONE, context.sensed_us, (("input", sent.shipment),))

    def json_schema(self) -> dict[str, Any]:
        """See Kind.json_schema."""
        return struct_schema(ShipmentPayload, self.name, self.version, "An act on a shipment")
