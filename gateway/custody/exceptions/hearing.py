"""Hears of exceptions from others: what partners tell, and what the ledger says that other companies' calls did.

Trust boundary: a partner's words are compared with the hash that the ledger has. An event of the ledger only says that
there is something to look at; what is taken in is asked of the contract. Each start looks as well, so that an event
which nobody heeded is not missed.
"""

import asyncio
import logging
from hashlib import sha256
from typing import Any

from chain.ledger.interface import Ledger, LedgerEvent
from chaincode.errors import Code, ContractError
from chaincode.lots.exception_records import MAX_ABOUT, ExceptionRecord
from crypto import cbor
from crypto.errors import SealtrailError
from gateway.custody.errors import HandoverError
from gateway.custody.exceptions.register import (
    AND,
    ANSWERED,
    BY_CONTRACT,
    MAX_NAME,
    MAX_TEXT,
    MAX_WORDS,
    OPEN,
    RESOLVED,
    Alert,
    ExceptionCase,
    Register,
    hash_of,
)  # fmt: skip
from gateway.custody.handover.book import Book
from gateway.custody.handover.format import Notice
from gateway.custody.units import Units
from gateway.device.backoff import Backoff
from gateway.finishing import finished
from gateway.supply.ourselves import OwnOrganisation

log = logging.getLogger(__name__)
EVENT = "lots.exception"
MAX_EVENT_BYTES = 2**20
MAX_ENDED = 1000  # that wait to be looked at; what is more is seen when a person asks the ledger
MAX_PAGES = 64  # of the ledger's listing, of 1,000 entries each


class Hearing:
    """On the event loop. `heard` takes notices, `heed` is called with each event of the ledger, `run` once."""

    def __init__(
        self, register: Register, units: Units, book: Book, ledger: Ledger, us: OwnOrganisation, alert: Alert
    ) -> None:
        self._register, self._units, self._book, self._ledger = register, units, book, ledger
        self._us, self._alert = us, alert
        self._news, self._ended = asyncio.Event(), dict[bytes, None]()
        self._news.set()  # a start looks
        self.problem = ""

    # -- what partners tell

    async def heard(self, organisation: str, notice: Notice) -> None:
        """An exception of another company that asks us, an answer to ours, or the end of one."""
        await self._us()
        body = notice.body
        if type(body) is not list or not body or type(body[0]) is not bytes:
            raise HandoverError("a notice about an exception begins with its id on the ledger")
        record = await self._record(body[0])
        if notice.kind == "exception":
            await self._asked(organisation, record, body)
        elif notice.kind == "exception-answer":
            await self._got_answer(organisation, record, body)
        else:
            await self._got_end(organisation, record, body)

    async def _asked(self, organisation: str, record: ExceptionRecord, body: list[Any]) -> None:
        shapes = [type(one) for one in body]
        if shapes != [bytes, str, list, str, int] or any(type(one) is not str for one in body[2]):
            raise HandoverError("a notice of an exception is a list of id, kind, things, words and deadline")
        if len(body[2]) > MAX_ABOUT or any(len(one) > MAX_NAME for one in body[2]) or len(body[3]) > MAX_WORDS:
            raise HandoverError(
                f"an exception is about {MAX_ABOUT} things at most, of {MAX_NAME} characters each, in {MAX_WORDS:,}"
                " characters of words"
            )
        if record.owner != organisation or record.party(self._us.name) is None or record.kind != body[1]:
            raise HandoverError(f"by the ledger {organisation} does not ask {self._us.name} so with this exception")
        if record.detail != hash_of(body[1], body[2], body[3]):
            raise HandoverError("the words of this exception are not those whose hash the ledger has")

        def note() -> bool:
            records = [leaf for thing in body[2] for leaf in self._book.mentions(thing)]
            leaf = max(records, default=0)
            return self._register.open(
                body[1], organisation, organisation, body[2], records, body[3], leaf,
                f"ledger {record.exception_id.hex()}", record.deadline_us, record.exception_id,
            ) is not None  # fmt: skip

        if await finished(note):
            await self._alert("exception", organisation, f"{organisation} asks about goods ({body[1]}): {body[3]}")

    async def _got_answer(self, organisation: str, record: ExceptionRecord, body: list[Any]) -> None:
        case = await finished(self._register.on_ledger, record.exception_id)
        party = record.party(organisation)
        if case is None or len(body) != 2 or type(body[1]) is not str or len(body[1]) > MAX_TEXT:
            raise HandoverError(f"an answer is a list of the exception's id and words, {MAX_TEXT:,} characters at most")
        if party is None or party.answer is None or party.answer.detail != sha256(body[1].encode()).digest():
            raise HandoverError("the words of this answer are not those whose hash the ledger has")
        if case.state == OPEN or not case.answer:  # what we said of it meanwhile may be refused: the words are kept
            state = ANSWERED if case.state == OPEN else case.state
            await finished(self._register.change, case.id, state, answer=body[1][:MAX_TEXT])
            await self._alert("exception", organisation, f"{organisation} answers exception {case.id}: {body[1]}")

    async def _got_end(self, organisation: str, record: ExceptionRecord, body: list[Any]) -> None:
        case = await finished(self._register.on_ledger, record.exception_id)
        if case is None or len(body) != 3 or [type(one) for one in body[1:]] != [str, str]:
            raise HandoverError("the end of an exception is a list of its id, a resolution and words")
        if record.end is None or (record.end.organisation, record.end.resolution) != (organisation, body[1]):
            raise HandoverError(f"by the ledger {organisation} did not end this exception so")
        if case.state != RESOLVED or (record.detail is None and not case.remark):
            await finished(self._register.change, case.id, RESOLVED, resolution=body[1], remark=body[2][:MAX_TEXT])

    async def _record(self, ledger_id: bytes) -> ExceptionRecord:
        try:
            return ExceptionRecord.decode(await self._ledger.evaluate("lots.exception", ledger_id))
        except ContractError as e:
            if e.code not in (Code.UNKNOWN_EXCEPTION, Code.MALFORMED):
                raise
            raise HandoverError(f"the ledger has no such exception: {e}") from e

    # -- what the ledger says

    async def look_up(self) -> list[ExceptionCase]:
        """Take in what the contract itself opened that concerns us; the new ones. It looks at 64,000 that are open."""
        await self._us()
        new, after = list[ExceptionCase](), list[bytes]()
        for _ in range(MAX_PAGES):
            answer = await self._ledger.evaluate("lots.exceptions", self._us.name.encode(), *after)
            found, last = cbor.decode(answer, 2**22)
            for encoded in found:
                record = ExceptionRecord.decode(encoded)
                known = await finished(self._register.on_ledger, record.exception_id)
                if known is None or (not known.owner and record.owner):
                    case = await finished(self._from_ledger, record)
                    new += [case] if case else []
            if last is None:
                break
            after = [last]
        return new

    async def look_at_end(self, exception_id: bytes) -> None:
        """An exception ended. Of one that the contract opened, whoever ended it may be no partner who could tell us."""
        case = await finished(self._register.on_ledger, exception_id)
        if case is None or case.state == RESOLVED:
            return
        record = await self._record(exception_id)
        if record.detail is None and record.end is not None:
            await finished(self._register.change, case.id, RESOLVED, resolution=str(record.end.resolution))

    def _from_ledger(self, record: ExceptionRecord) -> ExceptionCase | None:
        known = self._register.on_ledger(record.exception_id)
        if known is not None:
            self._register.owned(known.id, record.owner, "" if record.owner == self._us.name else record.owner)
            return None
        if record.detail is not None or record.kind not in BY_CONTRACT.values():
            return None  # whoever reported it tells us the words
        parties = AND.join(party.organisation for party in record.parties)
        compared = (
            f"The contract kept this itself: {record.kind} of a pack, by {parties}. Its ids on the ledger:"
            f" {', '.join(one.hex()[:16] for one in record.about)}."
        )
        others = AND.join(one.organisation for one in record.parties if one.organisation != self._us.name)
        number = self._register.open(
            str(record.kind), record.owner, others if record.owner == self._us.name else record.owner,
            self._units.named(record.about), [], compared, 0, f"ledger {record.exception_id.hex()}", record.deadline_us,
            record.exception_id,
        )  # fmt: skip
        return self._register.get(number) if number else None

    # -- at work

    async def heed(self, event: LedgerEvent) -> None:
        """An event of the ledger: news where it names our organisation."""
        if event.name != EVENT:
            return
        exception_id, _, state, owner, parties = cbor.decode(event.payload, MAX_EVENT_BYTES)[:5]
        await self._us()
        if self._us.name not in (owner, *parties):
            return
        if state == "resolved" and len(self._ended) < MAX_ENDED:
            self._ended[exception_id] = None
        self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        backoff = Backoff(0.2, 30.0)
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._look()
                self.problem = ""
                backoff.reset()
            except Exception as e:  # outermost boundary of this task: it must outlive any fault, and say so
                if self.problem != str(e):
                    log.warning("exceptions wait: %s", e, exc_info=not isinstance(e, SealtrailError))
                self.problem = str(e) or repr(e)
                self._news.set()
                await asyncio.sleep(backoff.next())

    async def _look(self) -> None:
        await self.look_up()
        while self._ended:
            exception_id = next(iter(self._ended))
            await self.look_at_end(exception_id)
            self._ended.pop(exception_id, None)
