"""A gateway's capture as its users reach it: over REST, with a token.

A file is split into lists of events, each with its own context. What fails on the way is tried again: capturing twice
stores once.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from chain.remote import bearer, printable, refusal
from crypto.tls.client import for_httpx
from gateway.capture.errors import CaptureError
from gateway.capture.intake import taken_in
from gateway.capture.jobs import Refused
from gateway.epcis.document import MAX_DOCUMENT_BYTES
from gateway.epcis.errors import EpcisError

TIMEOUT_S = 60.0
TRIES = 6
BATCH_BYTES = 4 * 2**20
MAX_EVENTS = 1_000_000
_AGAIN = (429, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Lot:
    """The events of a file that hold, with their numbers in it, and those that do not."""

    payloads: Sequence[bytes]
    numbers: Sequence[int]
    refused: Sequence[Refused]
    total: int


@dataclass(frozen=True, slots=True)
class Told:
    """What came of some events. `verdicts`: for each its number in the file, "stored", "known" or "refused", and then
    the record or the reason."""

    events: int
    stored: int
    duplicates: int
    refused: tuple[dict[str, Any], ...]
    verdicts: tuple[dict[str, Any], ...]
    job: str = ""


def pieces(file: Path, *, proceed: bool) -> Lot:
    """Read and check a file. CaptureError where that fails; with `proceed`, an event that does not hold is told."""
    try:
        data = file.read_bytes()
    except OSError as e:
        raise CaptureError(f"cannot read {file}: {e.strerror}") from e
    try:
        found = taken_in(data, MAX_DOCUMENT_BYTES, MAX_EVENTS, proceed=proceed)
    except EpcisError as e:
        raise CaptureError(f"{file}: {e}") from e
    return Lot([c.payload for c in found.candidates], found.numbers, found.refused, found.total)


def bring(url: str, token: str, lot: Lot, batch: int, *, proceed: bool) -> Iterator[Told]:
    """Capture it piece by piece. CaptureError where the gateway does not answer, or refuses the whole."""
    if lot.refused:
        said = tuple(_refusal(one) for one in lot.refused)
        yield Told(len(said), 0, 0, said, tuple(one | {"verdict": "refused"} for one in said))
    with _client(url, token) as client:
        for numbers, payloads in _batches(lot, batch):
            yield _told(_ask(client, payloads, proceed), numbers)


def _client(url: str, token: str) -> httpx.Client:
    headers = bearer(token, CaptureError)
    try:
        return httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=TIMEOUT_S, verify=for_httpx())
    except httpx.InvalidURL as e:
        raise CaptureError(printable(f"cannot reach {url}: {e}")) from e


def _batches(lot: Lot, batch: int) -> Iterator[tuple[list[int], list[bytes]]]:
    numbers, payloads, size = list[int](), list[bytes](), 0
    for number, payload in zip(lot.numbers, lot.payloads, strict=True):
        if payloads and (len(payloads) >= batch or size + len(payload) > BATCH_BYTES):
            yield numbers, payloads
            numbers, payloads, size = [], [], 0
        numbers.append(number)
        payloads.append(payload)
        size += len(payload)
    if payloads:
        yield numbers, payloads


def _ask(client: httpx.Client, payloads: Sequence[bytes], proceed: bool) -> dict[str, Any]:
    """The job. What the gateway cannot take now is brought again, after a pause that grows."""
    headers = {"Content-Type": "application/json", "GS1-Capture-Error-Behaviour": "proceed" if proceed else "rollback"}
    body = b"[" + b",".join(payloads) + b"]"
    for number in range(1, TRIES + 1):
        wait, said = 2.0 ** (number - 1), ""
        try:
            answer = client.post("/epcis/capture", content=body, headers=headers)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as e:  # as it is, it never will be reached
            raise CaptureError(printable(f"cannot reach {client.base_url}: {e}")) from e
        except httpx.HTTPError as e:
            said = printable(f"cannot reach {client.base_url}: {e or type(e).__name__}")
        else:
            if answer.status_code == 202:
                return _job(answer)
            said = refusal(answer)
            if answer.status_code not in _AGAIN:
                raise CaptureError(said)
            wait = max(wait, _seconds(answer.headers.get("Retry-After", "")))
        if number < TRIES:
            time.sleep(min(wait, 30.0))
    raise CaptureError(f"{said}; what was stored is stored: repeat the capture")


def _job(answer: httpx.Response) -> dict[str, Any]:
    try:
        return dict(answer.json())
    except (ValueError, TypeError) as e:
        raise CaptureError(f"{answer.url} answers what no gateway says; is this its address?") from e


def _told(job: dict[str, Any], numbers: Sequence[int]) -> Told:
    refused = tuple(one | {"event": numbers[one["event"]]} for one in job["errors"])
    bad = {one["event"] for one in refused}
    records, known = iter(job["verdicts"]), 0
    verdicts = []
    for number in numbers:
        if number in bad:
            continue
        record, again = next(records)
        known += again
        verdicts.append({"event": number, "verdict": "known" if again else "stored", "record": record})
    return Told(len(numbers), job["stored"], job["duplicates"], refused,
                (*({"event": one["event"], "verdict": "refused", "place": one["place"], "reason": one["reason"]}
                   for one in refused), *verdicts), job["captureID"])  # fmt: skip


def _refusal(one: Refused) -> dict[str, Any]:
    return {"event": one.event, "place": one.place, "reason": one.reason}


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() else 0.0
