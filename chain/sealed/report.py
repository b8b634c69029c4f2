"""What anyone can see of a sealed object or a grant, for people and for programs."""

from typing import Any

from crypto.envelope.content import ALGORITHM, CHUNK_BYTES
from crypto.envelope.grants import Grant
from crypto.envelope.header import VERSION
from crypto.envelope.objects import SealedObject


def about_object(found: SealedObject, verified: bool) -> dict[str, Any]:
    """As JSON shows it; hashes and kids in hexadecimal, lengths in bytes. `verified`: the signature was."""
    sender = found.header.sender
    return {
        "kind": "sealed object", "version": VERSION, "object_id": found.object_id.hex(), "digest": found.digest.hex(),
        "length": found.length, "content_length": found.size, "algorithm": ALGORITHM, "chunks": found.chunks,
        "chunk_bytes": CHUNK_BYTES, "commitment": found.commitment.hex(),
        "recipients": [{"suite": str(stanza.suite), "kid": stanza.kid.hex()} for stanza in found.header.stanzas],
        "sender": {
            "kid": sender.kid.hex(), "signature_bytes": sender.signature_bytes,
            "signature": "verified" if verified else "not verified",
        } if sender else None,
    }  # fmt: skip


def about_grant(grant: Grant) -> dict[str, Any]:
    """As JSON shows it."""
    return {
        "kind": "grant", "version": VERSION, "object_id": grant.object_id.hex(), "digest": grant.digest.hex(),
        "commitment": grant.commitment.hex(), "recipients": [{"suite": str(grant.suite), "kid": grant.kid.hex()}],
    }  # fmt: skip


def as_text(about: dict[str, Any]) -> str:
    """The same for people."""
    rows = [
        (about["kind"], f"version {about['version']}"), ("object id", about["object_id"]),
        ("digest", f"{about['digest']} (SHA-256)"), ("commitment", about["commitment"]),
    ]  # fmt: skip
    if "chunks" in about:
        rows += [
            ("length", f"{about['length']:,} bytes"),
            ("content", f"{about['content_length']:,} bytes in {about['chunks']:,} chunks, {about['algorithm']}"),
            ("sender", _sender(about["sender"])),
        ]
    rows += [("recipient", f"{each['kid']} ({each['suite']})") for each in about["recipients"]]
    return "\n".join(f"{name:<14} {value}" for name, value in rows)


def _sender(sender: dict[str, Any] | None) -> str:
    if sender is None:
        return "not signed"
    hint = "" if sender["signature"] == "verified" else ": a claim until you give --from KEY.pub"
    return f"{sender['kid']} (signature {sender['signature']}{hint})"
