"""The kind `object`: that a sealed object exists, by the digest of its ciphertext.

Trust boundary: takes untrusted bytes. Nothing here tells what is in the object, or that its recipients can open it.
The gateway reports one for each object that it stores; a device that seals something itself may report its own.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from chain.record import RecordFlag
from gateway.preprocess.gs1 import END
from gateway.preprocess.kind import Context, Prepared
from gateway.preprocess.schema import struct_schema
from gateway.preprocess.strictjson import decode_strict

MAX_SIZE = 2**53 - 1  # what every JSON parser reads exactly
Hex = Annotated[str, Meta(pattern="^[0-9a-f]{64}" + END, description="32 bytes, 64 lower-case hex digits")]


class ObjectPayload(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The payload as sent."""

    object: Annotated[Hex, Meta(description="object id, from its header")]
    digest: Annotated[Hex, Meta(description="SHA-256 of the whole ciphertext")]
    size: Annotated[int, Meta(ge=0, le=MAX_SIZE, description="bytes of the ciphertext")]
    recipients: Annotated[Hex, Meta(description="SHA-256 of the CBOR list of the recipients' kids, ascending")]


_DECODER = msgspec.json.Decoder(ObjectPayload)


class SealedObject:
    """Sealed objects. Four fields, each its own commitment."""

    name = "object"
    code = 6  # 5, an erasure, belongs to the log itself
    version = 1

    def prepare(self, payload: bytes, context: Context) -> Prepared:
        """See Kind.prepare."""
        sent = decode_strict(_DECODER, payload)
        fields = (
            ("object", sent.object),
            ("digest", sent.digest),
            ("size", sent.size),
            ("recipients", sent.recipients),
        )
        index = (("input", sent.object), ("input", sent.digest))
        return Prepared(fields, RecordFlag.NONE, context.sensed_us, index)

    def json_schema(self) -> dict[str, Any]:
        """See Kind.json_schema."""
        return struct_schema(ObjectPayload, self.name, self.version, "A sealed object, by its ciphertext")
