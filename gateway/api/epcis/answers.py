"""What all answers under /epcis have in common: versions, media types, and what a request may ask for of them.

Source: EPCIS 2.0 section 12.3. Events are given back exactly as they were captured, so EPCs are never translated.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import Request
from fastapi.responses import Response

from gateway.api.epcis.exceptions import EpcisProblem
from gateway.epcis.context import GS1_PREFIXES, STANDARD

VERSION = "2.0.0"
JSON = "application/json"
MEDIA_TYPES = ("application/json", "application/ld+json")
VERSIONS = {"GS1-EPCIS-Version": VERSION, "GS1-CBV-Version": VERSION, "GS1-Vendor-Version": "sealtrail-1"}
_VERSION = re.compile(r"\d{1,4}(\.\d{1,4}){0,2}", re.ASCII)
_EXTENSION = re.compile(r"([A-Za-z][A-Za-z0-9_.-]{0,63})=([A-Za-z][A-Za-z0-9+.-]*:[^\s,]{1,512})", re.ASCII)
_MAX_EXTENSIONS = 32
_FORMATS = ("No_Preference", "Never_Translates")


def negotiate(request: Request) -> None:
    """A dependency: 406 where the client wants another version, format or media type than there is.

    A version header may stand once alone, or as lowest and highest.
    """
    for family in ("EPCIS", "CBV"):
        for name, refuses in ((f"GS1-{family}-Version", _differs), (f"GS1-{family}-Min", _above),
                              (f"GS1-{family}-Max", _below)):  # fmt: skip
            given = request.headers.get(name)
            if given is not None and (not _VERSION.fullmatch(given) or refuses(_parts(given))):
                raise not_acceptable(f"{name}: this gateway speaks {family} {VERSION}, got {given!r:.40}")
    wanted = request.headers.get("GS1-EPC-Format")
    if wanted is not None and wanted not in _FORMATS:
        raise not_acceptable(f"GS1-EPC-Format: events stay as they were captured ({_FORMATS[1]}), got {wanted!r:.40}")
    accepted = request.headers.get("accept", "*/*")
    if not any(_accepts(part) for part in accepted.split(",")):
        raise not_acceptable(f"answers are {MEDIA_TYPES[0]}, got Accept: {accepted!r:.80}")


def answer(content: Any = None, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`content` is JSON's bytes, or what becomes JSON; None for none."""
    body = content if isinstance(content, bytes) else b"" if content is None else msgspec.json.encode(content)
    return Response(body, status, VERSIONS | dict(headers or {}), JSON if body else None)


def collection(members: list[str]) -> dict[str, Any]:
    return {"@context": STANDARD, "type": "Collection", "member": members}


def prefixes(request: Request) -> Mapping[str, str]:
    """GS1's own, and those that the header GS1-Extensions declares: prefix=namespace, between commas."""
    header = request.headers.get("GS1-Extensions", "").strip()
    if not header:
        return GS1_PREFIXES
    found = [_EXTENSION.fullmatch(part.strip()) for part in header.split(",")]
    if len(found) > _MAX_EXTENSIONS or not all(found):
        said = f"expected at most {_MAX_EXTENSIONS} of prefix=namespace with commas between them"
        raise EpcisProblem(400, "ValidationException", f"GS1-Extensions: {said}, got {header!r:.100}")
    return {**GS1_PREFIXES, **{one[1]: one[2] for one in found if one}}


def not_acceptable(detail: str) -> EpcisProblem:
    return EpcisProblem(406, "NotAcceptableException", detail)


def _accepts(part: str) -> bool:
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    refused = any(re.fullmatch(r"q=0(\.0{0,3})?", parameter) for parameter in parameters)
    return not refused and kind in (*MEDIA_TYPES, "*/*", "application/*")


def _parts(version: str) -> tuple[int, ...]:
    numbers = tuple(map(int, version.split(".")))
    return (*numbers, 0, 0)[:3]


def _differs(version: tuple[int, ...]) -> bool:
    return version[0] != 2


def _above(version: tuple[int, ...]) -> bool:
    return version > _parts(VERSION)


def _below(version: tuple[int, ...]) -> bool:
    return version < _parts(VERSION)
