"""Client of one witness (c2sp.org/tlog-witness): asks for cosignatures of the log's new checkpoint.

A witness is trusted for nothing until its cosignature verifies under the key that the policy pins. Its answers
are bounded before they are parsed. What it says about sizes is taken as a hint, except that a size above ours
stops the log: either our history was rolled back, or the witness is broken, and a person must say which.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from chain.errors import ForkError, WitnessError
from chain.log.proofs import TileSource, consistency_proof, root_at
from crypto.checkpoint import Checkpoint, open_checkpoint
from crypto.errors import FormatError, SealtrailError
from crypto.merkle import MAX_TREE_SIZE
from crypto.note import Note, NoteSignature, VerifierKey, parse_signature_line

if TYPE_CHECKING:
    import httpx

MAX_ANSWER_BYTES = 64 * 1024  # a few ML-DSA cosignatures of 3.3 kB each, with room
SIZE_TYPE = "text/x.tlog.size"


class UnknownLogError(WitnessError):
    """404: the witness does not know our origin; its operator must add the log's keys."""


class BadSignatureError(WitnessError):
    """403: the witness does not trust the keys that signed, or a signature is false."""


class StaleSizeError(WitnessError):
    """409 twice: the witness moves on faster than we can follow; another publisher of this log may run."""


class InconsistentError(WitnessError):
    """422: the witness could not follow the consistency proof."""


_REFUSALS: dict[int, type[WitnessError]] = {
    403: BadSignatureError, 404: UnknownLogError, 409: StaleSizeError, 422: InconsistentError,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint that the log has signed, on its way to witnesses, and the tiles that prove it."""

    note: Note
    checkpoint: Checkpoint
    reader: TileSource
    log_keys: tuple[VerifierKey, ...]

    def body(self, old: int) -> bytes:
        """An add-checkpoint request: old size, consistency proof, blank line, note."""
        proof = consistency_proof(self.reader, old, self.checkpoint.size)
        lines = [f"old {old}", *(base64.b64encode(node).decode() for node in proof), "", self.note.marshal()]
        return "\n".join(lines).encode()

    def contradicts(self, other: Checkpoint) -> bool:
        """Whether our history cannot contain this checkpoint that our keys have signed."""
        return other.size > self.checkpoint.size or root_at(self.reader, other.size) != other.root


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A verified cosignature and its key."""

    key: VerifierKey
    signature: NoteSignature


class Witness:
    """One submission prefix and the pinned keys that may answer there."""

    def __init__(self, url: str, keys: Sequence[VerifierKey]) -> None:
        self.url = url.rstrip("/")
        self.keys = tuple(keys)

    async def cosign(self, http: "httpx.AsyncClient", submission: Submission, old: int) -> list[Cosignature]:
        """Ask for cosignatures; `old` is the size we believe the witness has. A 409 corrects it, once.

        Raises:
            ForkError: the witness has cosigned a history that is not ours.
            WitnessError: it refused (see the subclasses), could not be reached, or answered nonsense.
        """
        for attempt in (1, 2):
            if old > submission.checkpoint.size:
                raise await self._fork(http, submission, f"it has cosigned size {old}")
            status, kind, answer = await self._send(http, "POST", "/add-checkpoint", submission.body(old))
            if status == 200:
                return parse_cosignatures(answer, submission.note.text, self.keys)
            if status != 409 or attempt == 2:
                break
            old = parse_size(answer, kind)
        if status == 422:
            await self._raise_if_forked(http, submission)
        refusal = _REFUSALS.get(status, WitnessError)
        raise refusal(f"witness {self.url} answered {status}: {answer[:200].decode(errors='replace').strip()}")

    async def _raise_if_forked(self, http: "httpx.AsyncClient", submission: Submission) -> None:
        if await self._evidence(http, submission):
            raise await self._fork(http, submission, "it has cosigned another root")

    async def _fork(self, http: "httpx.AsyncClient", submission: Submission, claim: str) -> ForkError:
        proof = await self._evidence(http, submission) or "(it shows no checkpoint of ours that proves this)"
        size, ours = submission.checkpoint.size, submission.note.marshal()
        return ForkError(
            f"witness {self.url} contradicts this log: {claim}, we are at {size}. Was an old backup restored? "
            f"Stop and compare.\nours:\n{ours}\nthe witness's:\n{proof}"
        )

    async def _evidence(self, http: "httpx.AsyncClient", submission: Submission) -> str | None:
        """The note that the witness holds of us, where it carries our own signatures and contradicts us."""
        origin = sha256(submission.checkpoint.origin.encode()).hexdigest()
        try:
            status, _, answer = await self._send(http, "GET", f"/{origin}/checkpoint", None)
            seen = open_checkpoint(answer, submission.log_keys) if status == 200 else None
        except SealtrailError:  # evidence is a help to whoever reads the error, its absence is no error
            return None
        return seen.note.marshal() if seen and submission.contradicts(seen.checkpoint) else None

    async def _send(
        self, http: "httpx.AsyncClient", method: str, path: str, content: bytes | None
    ) -> tuple[int, str, bytes]:
        import httpx

        headers = {"Accept-Encoding": "identity", "Content-Type": "text/plain; charset=utf-8"}
        try:
            async with http.stream(method, self.url + path, content=content, headers=headers) as response:
                answer = b""
                async for chunk in response.aiter_bytes():
                    answer += chunk
                    if len(answer) > MAX_ANSWER_BYTES:
                        raise WitnessError(f"witness {self.url} answered more than {MAX_ANSWER_BYTES} bytes")
                return response.status_code, response.headers.get("content-type", ""), answer
        except (httpx.HTTPError, httpx.InvalidURL) as e:
            raise WitnessError(f"witness {self.url} cannot be reached: {e or type(e).__name__}") from e


def parse_size(answer: bytes, content_type: str) -> int:
    """The size in the body of a 409: decimal, newline."""
    digits = answer.removesuffix(b"\n")
    form = answer.endswith(b"\n") and digits.isdigit() and (digits == b"0" or digits[0:1] != b"0")
    if content_type.split(";")[0].strip() != SIZE_TYPE or not form or len(digits) > 19 or int(digits) > MAX_TREE_SIZE:
        raise WitnessError(f"a witness answered 409 without a {SIZE_TYPE} body: {answer[:40]!r}")
    return int(digits)


def parse_cosignatures(answer: bytes, text: str, keys: Sequence[VerifierKey]) -> list[Cosignature]:
    """The verified cosignatures of the pinned keys; those of other keys are ignored.

    Raises WitnessError when the form is wrong, one of a pinned key is false, or none is there.
    """
    known = {(key.name, key.key_id): key for key in keys}
    found: dict[VerifierKey, Cosignature] = {}
    try:
        for line in _lines(answer):
            signature = parse_signature_line(line)
            key = known.get((signature.name, signature.key_id))
            if key and not key.verify(text, signature.signature):
                raise WitnessError(f"cosignature of {key.name} has timestamp 0")
            if key:
                found[key] = Cosignature(key, signature)
    except (SealtrailError, UnicodeDecodeError) as e:
        raise WitnessError(f"a witness answered with false or malformed cosignatures: {e}") from e
    if not found:
        raise WitnessError("a witness answered without a cosignature of its pinned keys")
    return list(found.values())


def _lines(answer: bytes) -> list[str]:
    text = answer.decode()
    if not text.endswith("\n"):
        raise FormatError("signature lines end with a newline")
    return text[:-1].split("\n")
