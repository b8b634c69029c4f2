"""Enrolment: a one-time code and a proof of possession become an identity.

Trust boundary: the answer is believed because of where it came from (TLS to the URL that the operator typed);
what it pins is believed from then on. Over plain HTTP nothing protects that first moment, which is logged.
Wire format: docs/formats/device.md.
"""

import base64
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from chain.event import source_name
from chaincode.identities import enrolment
from crypto import labels
from crypto.errors import SealtrailError
from crypto.files import private_key_at
from crypto.keys import Algorithm, PrivateKey
from gateway.device.buffer import create_buffer
from gateway.device.errors import DeviceError, EnrolmentError
from gateway.device.identity import (
    BUFFER_FILE,
    KEY_FILE,
    MAX_TEXT,
    DeviceIdentity,
    Profile,
    ca_of,
    is_enrolled,
    load_identity,
    save_profile,
)

if TYPE_CHECKING:
    import httpx

MAX_ANSWER_BYTES: Final = 256 * 1024
TIMEOUT_S: Final = 15.0
_LOG = logging.getLogger(__name__)


class _Answer(Profile, frozen=True, kw_only=True):
    password: str


class _Offer(msgspec.Struct, frozen=True):
    """What a code enrols; both names are signed by the device and kept by the contract."""

    source: str
    origin: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]


class _Problem(msgspec.Struct, frozen=True):
    """What is shown of problem+json (RFC 9457)."""

    title: str = ""
    detail: str = ""


def enrol(url: str, code: str, folder: Path, algorithm: Algorithm = Algorithm.ED25519) -> DeviceIdentity:
    """Enrol this device at the gateway's REST interface and write its folder.

    A failed attempt leaves the key behind, and the next one uses it again.

    Raises:
        DeviceError: the folder is enrolled already.
        EnrolmentError: the gateway cannot be reached, refuses (its detail is in the message), or answers nonsense.
    """
    if is_enrolled(folder):
        raise DeviceError(f"{folder} holds an enrolled device already; take another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as e:
        raise DeviceError(f"cannot make the folder {folder}: {e.strerror}") from e
    key = private_key_at(folder / KEY_FILE, algorithm)
    if url.startswith("http://"):
        _LOG.warning("enrolling over plain HTTP: whoever sits on the line can pose as the gateway")
    offer = _parse_offer(_post(url, "/v1/enrol/offer", {"code": code}, folder))
    request = enrolment_request(code, offer.source, offer.origin, key)
    answer = _parse(_post(url, "/v1/enrol", request, folder))
    if (answer.source, answer.origin) != (offer.source, offer.origin):
        raise EnrolmentError(f"the gateway offered {offer.source} and enrolled {answer.source}; ask its operator")
    create_buffer(folder / BUFFER_FILE, answer.source)
    save_profile(folder, answer, answer.password)
    return load_identity(folder)


def enrolment_request(code: str, source: str, origin: str, key: PrivateKey) -> dict[str, str]:
    """The JSON body. `proof` is what the contract demands: the key's signature that it wants to be this source
    of this log, so that nobody enrols a key they do not hold, or under another name."""
    signed = enrolment(source, origin, key.public)
    return {
        "code": code,
        "algorithm": str(key.public.algorithm),
        "public_key": base64.b64encode(key.public.raw).decode(),
        "proof": base64.b64encode(key.sign(signed, labels.ENROL)).decode(),
    }


def _post(url: str, path: str, body: dict[str, str], folder: Path) -> bytes:
    code, content = ask(url, path, body, folder)
    if code != 200:
        raise EnrolmentError(f"the gateway refused ({code}): {detail_of(content)}")
    return content


def ask(url: str, path: str, body: dict[str, Any] | None, folder: Path) -> tuple[int, bytes]:
    """POST the body, or GET without one; the status and the content of the answer. EnrolmentError where none came."""
    import httpx

    from crypto.tls.client import TlsClient

    target = url.rstrip("/") + path
    try:
        trust: Any = TlsClient(ca_of(folder))
        with (
            httpx.Client(timeout=TIMEOUT_S, verify=trust) as client,
            client.stream("GET" if body is None else "POST", target, json=body) as response,
        ):
            content = _bounded(response)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as e:
        raise EnrolmentError(f"cannot enrol at {target}: {e or type(e).__name__}") from e
    return response.status_code, content


def _bounded(response: "httpx.Response") -> bytes:
    content = b""
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise EnrolmentError(f"the answer to the enrolment is over {MAX_ANSWER_BYTES} bytes; is this a gateway?")
    return content


def detail_of(content: bytes) -> str:
    """The words of an error for a person: printable, bounded."""
    try:
        problem = msgspec.json.decode(content, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "no reason given"
    text = problem.detail or problem.title or "no reason given"
    return "".join(c if c.isprintable() else " " for c in text[:MAX_TEXT])


def _parse_offer(content: bytes) -> _Offer:
    try:
        offer = msgspec.json.decode(content, type=_Offer)
        source_name(offer.source)
    except (msgspec.DecodeError, UnicodeDecodeError, SealtrailError) as e:
        raise EnrolmentError(f"the gateway's answer to the code cannot be understood: {e}") from e
    return offer


def _parse(content: bytes) -> _Answer:
    try:
        answer = msgspec.json.decode(content, type=_Answer)
        answer.checked()
    except (msgspec.DecodeError, UnicodeDecodeError, SealtrailError) as e:
        raise EnrolmentError(f"the gateway's answer to the enrolment cannot be understood: {e}") from e
    if not 0 < len(answer.password) <= MAX_TEXT:
        raise EnrolmentError(f"expected a password of 1 to {MAX_TEXT} characters in the gateway's answer")
    return answer
