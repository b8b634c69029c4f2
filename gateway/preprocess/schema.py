"""JSON Schemas (draft 2020-12) of the payloads, and the command that writes them to a folder.

The schema of each kind is made from the very types that its decoder is compiled from, so the two cannot
differ. What a schema cannot say (check digits, duplicate keys, name rules across records) is in
docs/formats/kinds.md.
"""

from typing import Any

import msgspec

from gateway.preprocess.senml import Pack, Record

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def struct_schema(payload_type: Any, name: str, version: int, title: str) -> dict[str, Any]:
    """The schema of a payload type, with its definitions under $defs."""
    (schema,), definitions = msgspec.json.schema_components((payload_type,), ref_template="#/$defs/{name}")
    heading = {"$schema": DRAFT, "$id": f"urn:sealtrail:schema:{name}:{version}", "title": title}
    return {**heading, **schema, "$defs": definitions}


def senml_schema() -> dict[str, Any]:
    """The schema of a SenML pack or a lone record; labels that end in _ must be understood and are not."""
    schema = struct_schema(Pack | Record, "reading", 1, "A SenML pack (RFC 8428), or one SenML record")
    record = schema["$defs"]["Record"]
    record["patternProperties"] = {"_$": False}
    regular = ("n", "u", "v", "vs", "vb", "vd", "s", "t", "ut")
    no_measurement = {"not": {"anyOf": [{"required": [label]} for label in regular]}}
    one_value = {"oneOf": [{"required": [label]} for label in ("v", "vs", "vb", "vd")]}
    sum_only = {"required": ["s"], "not": {"anyOf": one_value["oneOf"]}}
    record["anyOf"] = [one_value, sum_only, no_measurement]
    return schema
