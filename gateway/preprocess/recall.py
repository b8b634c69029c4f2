"""The kind `recall`: that a recall was begun, told, or answered here, by the digest of the signed statement.

Trust boundary: takes untrusted bytes. The gateway reports them itself; the record is evidence for the ledger.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from chain.record import RecordFlag
from gateway.preprocess.gs1 import END
from gateway.preprocess.kind import Context, Prepared
from gateway.preprocess.schema import struct_schema
from gateway.preprocess.strictjson import decode_strict


class RecallPayload(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The payload as sent."""

    recall: Annotated[str, Meta(pattern=r"^[0-9A-Za-z._:-]{0,128}" + END, description="id of the recall, empty before")]
    what: Annotated[Literal["begun", "told", "answered", "heard", "lifted"], Meta(description="what happened")]
    drill: Annotated[bool, Meta(description="a mock recall")]
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}" + END, description="SHA-256 of the statement")]


_DECODER = msgspec.json.Decoder(RecallPayload)


class RecallKind:
    """Steps of recalls. Four fields, each its own commitment."""

    name = "recall"
    code = 9
    version = 1

    def prepare(self, payload: bytes, context: Context) -> Prepared:
        """See Kind.prepare."""
        sent = decode_strict(_DECODER, payload)
        fields = (("recall", sent.recall), ("what", sent.what), ("drill", sent.drill), ("digest", sent.digest))
        return Prepared(fields, RecordFlag.NONE, context.sensed_us, (("input", sent.digest),))

    def json_schema(self) -> dict[str, Any]:
        """See Kind.json_schema."""
        return struct_schema(
            RecallPayload, self.name, self.version, "A step of a recall, by the digest of what was said"
        )
