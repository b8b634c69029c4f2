"""A branch of a recall: a company's signed answer, and the signed answers of its customers that its root is of.

Upwards go totals and the root only. When an authority has a branch opened, whoever holds it hands out this file, and
the authority checks it: nothing was left out, nothing was added, and the totals are those of the answers.
Format: docs/formats/recall.md.
"""

import base64
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from hashlib import sha256
from typing import Any

from crypto import cbor, labels
from crypto.flat import MAX_NUMBER
from crypto.merkle import leaf_hash, root_of
from gateway.recall.errors import StatementError
from gateway.recall.statements import MAX_TIERS, Answer, Counts, Signed, Tier, open_signed

FORMAT = "sealtrail-recall-branch/v1"
MAX_FILE_BYTES = 64 * 2**20
RequireSender = Callable[[Signed, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Heard:
    """A customer's signed answer with the salt that keeps it from being guessed."""

    organisation: str
    salt: bytes
    body: bytes

    @property
    def leaf(self) -> bytes:
        """Leaf hash in the tree of answers."""
        return leaf_hash(self.salt + self.body)

    @property
    def answer(self) -> Answer:
        statement = open_signed(self.body).statement
        if not isinstance(statement, Answer):
            raise StatementError("expected an answer of a customer, got a notice")
        return statement


def tree_of(heard: Iterable[Heard]) -> bytes:
    """The Merkle root over the answers, ordered by their leaf hashes; that of nothing where there are none."""
    return root_of(sorted(one.leaf for one in heard))


def commitment(salt: bytes, body: bytes) -> bytes:
    """What stands on the ledger for a signed answer: 32 bytes that reveal nothing without the salt."""
    return sha256(labels.RECALL_ANSWER + b"\x00" + salt + body).digest()


def passed_on(heard: Iterable[Heard]) -> Counts:
    """What customers say all together: their own packs, and what theirs say."""
    return reduce(lambda total, one: total + one.answer.own + one.answer.passed_on, heard, Counts())


def tiers(customers: int, silent: int, last_us: int, heard: Iterable[Heard]) -> tuple[Tier, ...]:
    """Direct customers first, then theirs all together, and so on; what lies deeper than a statement may tell is left
    out."""
    answers = [one.answer for one in heard]
    deeper = max((len(answer.tiers) for answer in answers), default=0)
    found = [Tier(customers, len(answers), silent, last_us)]
    for depth in range(deeper):
        found.append(_together([answer.tiers[depth] for answer in answers if depth < len(answer.tiers)]))
    return tuple(tier for n, tier in enumerate(found) if tier.customers or n == 0)[:MAX_TIERS]


def _together(parts: list[Tier]) -> Tier:
    """As large as a statement may say."""
    customers = added(t.customers for t in parts)
    answered = min(sum(t.answered for t in parts), customers)
    silent = min(sum(t.silent for t in parts), customers - answered)
    return Tier(customers, answered, silent, max(t.last_us for t in parts))


def added(numbers: Iterable[int]) -> int:
    """The sum, 2^63-1 at most."""
    return min(sum(numbers), MAX_NUMBER)


def encode_opening(heard: Iterable[Heard]) -> bytes:
    return cbor.encode([[one.organisation, one.salt, one.body] for one in heard])


def decode_opening(data: bytes) -> list[Heard]:
    return [Heard(*items) for items in cbor.unpack(data)]


def branch_file(body: bytes, salt: bytes, heard: Iterable[Heard]) -> bytes:
    """The file that is handed out."""
    opened = [{"organisation": h.organisation, "salt": _text(h.salt), "answer": _text(h.body)} for h in heard]
    content = {"format": FORMAT, "answer": _text(body), "salt": _text(salt), "customers": opened}
    return json.dumps(content, indent=1).encode() + b"\n"


async def check_branch(
    data: bytes, organisation: str, require_sender: RequireSender
) -> tuple[Answer, list[Heard], bytes]:
    """The answer of `organisation`, the answers behind it, and the commitment that the ledger should have. Steps:

    1. The file is whole. 2. A gateway of the organisation signed its answer. 3. The answers of its customers make its
    root: none is missing, none was added. 4. Each is signed by its company's gateway and speaks of the same recall and
    lot, to this organisation. 5. What the answer passes on is their sum.

    Raises:
        StatementError: one of these is not so.
    """
    body, salt, heard = _read(data)
    signed = open_signed(body)
    answer = signed.statement
    if not isinstance(answer, Answer):
        raise StatementError("the file holds a notice in place of an answer")
    await require_sender(signed, organisation)
    if tree_of(heard) != answer.root:
        raise StatementError("the answers in the file are not those that the signed answer has the root of")
    for one in heard:
        await require_sender(open_signed(one.body), one.organisation)
        heading = one.answer.heading
        same = (heading.recall, heading.lot, heading.drill) == (
            answer.heading.recall, answer.heading.lot, answer.heading.drill,
        )  # fmt: skip
        if not same or heading.recipient != organisation:
            raise StatementError(f"the answer of {one.organisation} is about another recall, or to somebody else")
    if passed_on(heard) != answer.passed_on:
        raise StatementError("the totals of the signed answer are not the sum of its customers' answers")
    return answer, heard, commitment(salt, body)


def _read(data: bytes) -> tuple[bytes, bytes, list[Heard]]:
    try:
        if len(data) > MAX_FILE_BYTES:
            raise ValueError("too large")
        content: Any = json.loads(data)
        if content["format"] != FORMAT:
            raise ValueError("another format")
        heard = [Heard(str(c["organisation"]), _bytes(c["salt"]), _bytes(c["answer"])) for c in content["customers"]]
        return _bytes(content["answer"]), _bytes(content["salt"]), heard
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise StatementError(f"this is no branch of a recall ({FORMAT}): {e}") from e


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
